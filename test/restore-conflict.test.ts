/** What `--conflict` does with what is in the target already, and what `--dry-run` says it would do. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import type { Conflict, ExtractEvent } from '../src/operations/extract.ts'
import { setFileFlags } from '../src/platform/file-flags.ts'
import { skip } from '../src/platform/testing.ts'
import { commitFolder } from './full-snapshot.ts'
import { IS_ROOT, TestRepository, issuesOf, needs, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
const LARGE = testBytes('large', 40 << 20)
let repository: TestRepository

before(async () => {
  mkdirSync(`${source}/d`)
  writeFileSync(`${source}/d/f`, 'from the snapshot')
  writeFileSync(`${source}/empty`, '')
  writeFileSync(`${source}/large`, LARGE)
  symlinkSync('d', `${source}/link`)
  for (const name of ['d/f', 'empty', 'large', 'd']) utimesSync(`${source}/${name}`, 1_000_000, 1_000_000)
  repository = await TestRepository.create()
  await commitFolder(repository, source)
})

/** A target with the snapshot in it, changed by `change`. */
async function changed(change: (target: string) => void): Promise<string> {
  const { target } = await repository.extract()
  change(target)
  return target
}

/** What was done, by path; directories, which are always restored, left out. */
function actions(events: readonly ExtractEvent[]): Record<string, string> {
  return Object.fromEntries(
    events.flatMap((event) =>
      event.type === 'entry' && !['', 'd'].includes(event.path) ? [[event.path, event.action]] : [],
    ),
  )
}

describe('--conflict overwrite', () => {
  it('replaces what differs, leaves what is right as it is, and only sets what else is wrong', async () => {
    const target = await changed((folder) => {
      writeFileSync(`${folder}/d/f`, 'FROM the snapshot')
      chmodSync(`${folder}/large`, 0o600)
      writeFileSync(`${folder}/mine`, 'mine')
    })
    const inode = statSync(`${target}/large`).ino
    const { events, filesUnchanged, bytes } = await repository.extract({ target, conflict: 'overwrite' })
    assert.deepEqual(actions(events), { 'd/f': 'updated', empty: 'unchanged', large: 'unchanged', link: 'unchanged' })
    assert.equal(statSync(`${target}/large`).ino, inode)
    assert.deepEqual([filesUnchanged, bytes], [2, 17])
    assert.equal(readFileSync(`${target}/mine`, 'utf8'), 'mine')
    assert.deepEqual(digestTree(`${target}/d`), digestTree(`${source}/d`))
    assert.deepEqual(digestTree(`${target}/large`), digestTree(`${source}/large`))
  })

  it('finds one wrong byte in a large file, with any number of workers', async () => {
    for (const workers of [1, 3]) {
      const target = await changed((folder) => {
        const bytes = Buffer.from(LARGE)
        bytes[30_000_000] = (bytes[30_000_000] ?? 0) ^ 1
        writeFileSync(`${folder}/large`, bytes)
      })
      const { events } = await repository.extract({ target, conflict: 'overwrite', workers })
      assert.equal(actions(events)['large'], 'updated')
      assert.deepEqual(digestTree(target), digestTree(source))
    }
  })

  it('gives a file a new inode where another name has the old one, so that nothing else changes', async () => {
    const outside = `${newFolder()}/outside`
    const target = await changed((folder) => linkSync(`${folder}/d/f`, outside))
    chmodSync(outside, 0o640)
    const before = readFileSync(outside, 'utf8')
    await repository.extract({ target, conflict: 'overwrite' })
    assert.equal(lstatSync(`${target}/d/f`).nlink, 1)
    assert.equal(statSync(outside).mode & 0o777, 0o640)
    assert.equal(readFileSync(outside, 'utf8'), before)
  })

  it('replaces an empty directory, and calls one with something in it an issue', async () => {
    const target = newFolder()
    mkdirSync(`${target}/empty`)
    mkdirSync(`${target}/large/below`, { recursive: true })
    writeFileSync(`${target}/d`, 'a file in the place of a directory')
    const dry = await repository.extract({ target, conflict: 'overwrite', dryRun: true })
    const { events } = await repository.extract({ target, conflict: 'overwrite' })
    for (const all of [dry.events, events]) assert.deepEqual(issuesOf(all), ['ENOTEMPTY large'])
    assert.ok(existsSync(`${target}/large/below`))
    assert.equal(readFileSync(`${target}/d/f`, 'utf8'), 'from the snapshot')
    assert.equal(statSync(`${target}/empty`).size, 0)
  })

  it('calls an immutable file an issue, and restores the rest', { skip: needs(IS_ROOT, 'needs root') }, async (t) => {
    const target = await changed((folder) => writeFileSync(`${folder}/d/f`, 'other'))
    try {
      setFileFlags(`${target}/d/f`, 2)
    } catch {
      return skip(t, 'flags cannot be set here')
    }
    try {
      writeFileSync(`${target}/empty`, 'not empty')
      const { events } = await repository.extract({ target, conflict: 'overwrite' })
      assert.deepEqual(issuesOf(events), ['EPERM d/f'])
      assert.equal(statSync(`${target}/empty`).size, 0)
      assert.deepEqual(readdirSync(`${target}/d`), ['f'])
    } finally {
      setFileFlags(`${target}/d/f`, 0)
    }
  })
})

describe('--conflict keep', () => {
  it('leaves alone what is there, without a word, and restores the rest', async () => {
    const target = await changed((folder) => writeFileSync(`${folder}/d/f`, 'mine'))
    const before = digestTree(`${target}/d/f`)
    const { events, issues, entriesKept } = await repository.extract({ target, conflict: 'keep' })
    assert.deepEqual([issues, entriesKept], [0, 4])
    assert.equal(actions(events)['d/f'], 'kept')
    assert.deepEqual(digestTree(`${target}/d/f`), before)
  })
})

describe('--conflict if-newer', () => {
  it('replaces what is older than in the snapshot only', async () => {
    const target = await changed((folder) => {
      writeFileSync(`${folder}/d/f`, 'newer')
      writeFileSync(`${folder}/empty`, 'older')
      utimesSync(`${folder}/empty`, 999_999, 999_999)
    })
    const { events } = await repository.extract({ target, conflict: 'if-newer' })
    assert.deepEqual(actions(events), { 'd/f': 'kept', empty: 'updated', large: 'kept', link: 'kept' })
    assert.equal(readFileSync(`${target}/d/f`, 'utf8'), 'newer')
    assert.deepEqual(digestTree(`${target}/empty`), digestTree(`${source}/empty`))
  })
})

describe('--conflict mirror', () => {
  it('removes what the snapshot has not, below what was restored only', async () => {
    const target = await changed((folder) => {
      mkdirSync(`${folder}/extra/deep`, { recursive: true })
      writeFileSync(`${folder}/extra/deep/file`, 'x')
      writeFileSync(`${folder}/d/extra`, 'x')
    })
    const partly = await repository.extract({ target, conflict: 'mirror', paths: ['d'] })
    assert.equal(partly.entriesDeleted, 1)
    assert.deepEqual([existsSync(`${target}/extra`), existsSync(`${target}/d/extra`)], [true, false])
    const dry = await repository.extract({ target, conflict: 'mirror', dryRun: true })
    assert.equal(dry.entriesDeleted, 3)
    assert.ok(existsSync(`${target}/extra/deep/file`))
    const { entriesDeleted } = await repository.extract({ target, conflict: 'mirror' })
    assert.equal(entriesDeleted, 3)
    assert.deepEqual(digestTree(target), digestTree(source))
  })

  it('leaves alone what patterns exclude, and the directories above it', async () => {
    const target = await changed((folder) => {
      mkdirSync(`${folder}/extra`)
      for (const name of ['extra/kept.tmp', 'extra/gone', 'd/kept.tmp']) writeFileSync(`${folder}/${name}`, 'x')
    })
    const patterns = [{ kind: 'exclude', value: '*.tmp' }] as const
    const { events } = await repository.extract({ target, conflict: 'mirror', patterns })
    assert.deepEqual(issuesOf(events), [])
    assert.deepEqual(readdirSync(`${target}/extra`), ['kept.tmp'])
    assert.deepEqual(readdirSync(`${target}/d`), ['f', 'kept.tmp'])
  })

  it('removes nothing of the target where only parts of it are in the snapshot', async () => {
    const plain = await TestRepository.create()
    await plain.create([source])
    const target = newFolder()
    writeFileSync(`${target}/mine`, 'mine')
    const [, first = ''] = source.split('/')
    mkdirSync(`${target}/${first}`)
    writeFileSync(`${target}/${first}/mine`, 'mine')
    const { entriesDeleted } = await plain.extract({ target, conflict: 'mirror' })
    assert.equal(entriesDeleted, 0)
    assert.ok(existsSync(`${target}/mine`) && existsSync(`${target}/${first}/mine`))
  })
})

describe('--dry-run', () => {
  it('writes nothing at all, and says of each entry what would be done', async () => {
    const missing = `${newFolder()}/not/there`
    const { events } = await repository.extract({ target: missing, dryRun: true })
    assert.deepEqual(actions(events), { 'd/f': 'restored', empty: 'restored', large: 'restored', link: 'restored' })
    assert.equal(existsSync(missing), false)

    const target = await changed((folder) => {
      writeFileSync(`${folder}/d/f`, 'other')
      writeFileSync(`${folder}/extra`, 'x')
    })
    const wanted: Record<Conflict, Record<string, string>> = {
      fail: {},
      keep: { 'd/f': 'kept', empty: 'kept', large: 'kept', link: 'kept' },
      overwrite: { 'd/f': 'updated', empty: 'unchanged', large: 'unchanged', link: 'unchanged' },
      'if-newer': { 'd/f': 'kept', empty: 'kept', large: 'kept', link: 'kept' },
      mirror: { 'd/f': 'updated', empty: 'unchanged', large: 'unchanged', link: 'unchanged', extra: 'deleted' },
    }
    const before = digestTree(target)
    for (const [conflict, want] of Object.entries(wanted)) {
      const result = await repository.extract({ target, dryRun: true, conflict: conflict as Conflict })
      assert.deepEqual(actions(result.events), want, conflict)
    }
    assert.deepEqual(digestTree(target), before)
  })
})
