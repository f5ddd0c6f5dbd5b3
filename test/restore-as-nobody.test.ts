/** Restores by a user without rights: all that may be, and a word about each kind of thing that may not. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import type { ExtractEvent } from '../src/operations/extract.ts'
import { makeSpecialFile } from '../src/platform/special-files.ts'
import { setXattr } from '../src/platform/xattrs.ts'
import { commitFolder } from './full-snapshot.ts'
import { AS_NOBODY, CAN_BE_NOBODY, NOBODY, TestRepository, issuesOf, needs, newFolder, runScript } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const skip = needs(CAN_BE_NOBODY && process.platform === 'linux', 'cannot become another user')
const EXTRACT = `
const events = []
const onEvent = (event) => void (event.type === 'issue' && events.push(event))
const { issues } = await extractSnapshot(access, {
  snapshot: 'latest', paths: [], target: given.target, workers: 2, conflict: given.conflict, onEvent,
})
print({ issues, events })
`

let repository: TestRepository

async function commit(source: string): Promise<void> {
  repository = await TestRepository.create()
  await commitFolder(repository, source)
  execFileSync('chown', ['-R', String(NOBODY), path.dirname(repository.location)])
}

function restoreAsNobody(target: string, conflict = 'fail'): ExtractEvent[] {
  const { location, keyFolder } = repository.access
  const [report] = runScript(EXTRACT, { location, keyFolder, target, conflict }, AS_NOBODY)
  return (report as { events: ExtractEvent[] }).events
}

function folderOfNobody(): string {
  const folder = newFolder()
  execFileSync('chown', [`${NOBODY}:${NOBODY}`, folder])
  return folder
}

describe('a restore by a user without rights', { skip }, () => {
  it('names each kind of thing that cannot be restored once, with a count', async () => {
    const source = newFolder()
    for (let i = 0; i < 5; i++) {
      makeSpecialFile(`${source}/null${i}`, 'chardev', 0o666, { major: 1, minor: 3 })
      writeFileSync(`${source}/f${i}`, 'x')
      setXattr(`${source}/f${i}`, 'trusted.secret', Buffer.from('x'))
      setXattr(`${source}/f${i}`, 'user.open', Buffer.from('x'))
      chmodSync(`${source}/f${i}`, 0o4755)
    }
    makeSpecialFile(`${source}/fifo`, 'fifo', 0o640, { major: 0, minor: 0 })
    await commit(source)
    const target = folderOfNobody()
    const events = restoreAsNobody(target)
    const messages = events.flatMap((event) => (event.type === 'issue' ? [event.message] : [])).sort()
    assert.deepEqual(messages, [
      'an extended attribute cannot be set: operation not permitted; the same for 4 other entries',
      'it cannot be made: operation not permitted; the same for 4 other entries',
      'its owner cannot be set: operation not permitted; the same for 6 other entries',
      'setuid and setgid are left out, as its owner could not be set; the same for 4 other entries',
    ])
    assert.equal(statSync(`${target}/f0`).mode & 0o7777, 0o755)
    assert.ok(statSync(`${target}/fifo`).isFIFO())
    assert.match(digestTree(target).join('\n'), /757365722e6f70656e=78/) // user.open
  })

  it('mirrors exactly over anything of its own, also where it is closed to its owner', async () => {
    const source = newFolder()
    mkdirSync(`${source}/d/closed`, { recursive: true })
    writeFileSync(`${source}/d/closed/f`, 'f')
    writeFileSync(`${source}/unreadable`, 'u')
    symlinkSync('d', `${source}/link`)
    execFileSync('chown', ['-hR', `${NOBODY}:${NOBODY}`, source])
    chmodSync(`${source}/d/closed`, 0o500)
    chmodSync(`${source}/d`, 0o555)
    chmodSync(`${source}/unreadable`, 0)
    await commit(source)
    const target = folderOfNobody()
    mkdirSync(`${target}/d/closed/extra/deep`, { recursive: true })
    mkdirSync(`${target}/unreadable`)
    writeFileSync(`${target}/unreadable/x`, 'x')
    writeFileSync(`${target}/d/closed/f`, 'F')
    execFileSync('chown', ['-hR', `${NOBODY}:${NOBODY}`, target])
    for (const closed of ['d/closed/extra/deep', 'd/closed/extra', 'd/closed', 'd', 'unreadable'])
      chmodSync(`${target}/${closed}`, 0)
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(issuesOf(restoreAsNobody(target, 'mirror')), [])
      assert.deepEqual(digestTree(target), digestTree(source))
    }
  })
})
