/** Sources that other processes write to, or hide, while they are backed up; and files that nobody touches. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../src/chunker/testing.ts'
import {
  AS_NOBODY,
  CAN_BE_NOBODY,
  NOBODY,
  TestRepository,
  hasCommand,
  issuesOf,
  needs,
  newFolder,
  runScript,
  statuses,
} from './testing.ts'
import { digestTree } from './tree-digest.ts'

describe('a file that another process appends to all the time', () => {
  it('has status C, makes the snapshot incomplete, and the rest of the source is as it should be', async () => {
    const source = newFolder()
    const log = `${source}/log`
    const start = testBytes('log', 30 << 20)
    writeFileSync(log, start)
    writeFileSync(`${source}/quiet`, 'quiet')
    const quiet = digestTree(`${source}/quiet`)
    const writer = spawn('sh', ['-c', 'while :; do echo line >>"$0"; done', log], { stdio: 'ignore' })
    try {
      while (readFileSync(log).length === start.length) await sleep(2)
      const repository = await TestRepository.create()
      const { events, issues, snapshot } = await repository.create([source])
      const inside = source.slice(1)
      assert.deepEqual(issuesOf(events), [`CHANGED /${inside}/log`])
      assert.deepEqual([issues, snapshot.incomplete], [1, true])
      assert.deepEqual([statuses(events)[`${inside}/log`], statuses(events)[`${inside}/quiet`]], ['C', 'A'])

      const { target, issues: restoreIssues } = await repository.extract()
      assert.equal(restoreIssues, 0)
      assert.deepEqual(digestTree(path.join(target, source, 'quiet')), quiet)
      // It is what the file was up to some moment: nothing in it is mixed up.
      const restored = readFileSync(path.join(target, log))
      assert.ok(restored.length > start.length)
      assert.ok(readFileSync(log).subarray(0, restored.length).equals(restored))
    } finally {
      const closed = once(writer, 'close')
      writer.kill()
      await closed
    }
    // At rest again, it is read once more and then trusted.
    truncateSync(log, 1000)
  })
})

describe('a source that cannot be read in full', () => {
  const skip = needs(CAN_BE_NOBODY, 'cannot become another user')

  it('gives an incomplete snapshot of what could be read', { skip }, async () => {
    const source = newFolder()
    chmodSync(source, 0o755)
    mkdirSync(`${source}/closed`, { mode: 0o700 })
    writeFileSync(`${source}/closed/hidden`, 'x')
    writeFileSync(`${source}/open`, 'x')
    writeFileSync(`${source}/secret`, 'x', { mode: 0o600 })
    const repository = await TestRepository.create()
    const { location, keyFolder } = repository.access
    execFileSync('chown', ['-R', String(NOBODY), path.dirname(location)])
    const code = `
      const events = []
      const onEvent = (event) => void events.push(event)
      const { issues, snapshot } = await createSnapshot(access, { name: 'n', paths: [given.source], workers: 1, onEvent, listEntries: true })
      print({ issues, incomplete: snapshot.incomplete, files: snapshot.stats.filesNew, events })`
    const [result] = runScript(code, { location, keyFolder, source }, AS_NOBODY) as [
      { issues: number; incomplete: boolean; files: number; events: Parameters<typeof issuesOf>[0] },
    ]
    const inside = source.slice(1)
    assert.deepEqual(issuesOf(result.events), [`EACCES /${inside}/closed`, `EACCES /${inside}/secret`])
    assert.deepEqual([result.issues, result.incomplete, result.files], [2, true, 1])
    const { target } = await repository.extract()
    assert.equal(readFileSync(path.join(target, source, 'open'), 'utf8'), 'x')
    assert.deepEqual(digestTree(path.join(target, source, 'closed')), digestTree(`${source}/closed`).slice(0, 1))
    assert.equal(existsSync(path.join(target, source, 'secret')), false)
  })
})

describe('files that have not changed', () => {
  const skip = needs(hasCommand('strace', '-V'), 'needs strace')

  it('are not opened by the second run', { skip }, async () => {
    const source = newFolder()
    for (let i = 0; i < 50; i++) writeFileSync(`${source}/f${i}`, `content ${i}`)
    writeFileSync(`${source}/large`, testBytes('large', 9 << 20))
    const repository = await TestRepository.create()
    const { location, keyFolder } = repository.access
    const create = (name: string): number => {
      const log = path.join(newFolder(), 'log')
      const strace = ['strace', '-f', '-qq', '--seccomp-bpf', '-e', 'trace=open,openat,openat2', '-o', log]
      const code = `await createSnapshot(access, { name: given.name, paths: [given.source], workers: 1 })`
      runScript(code, { location, keyFolder, source, name, aheadMs: 3_600_000 }, strace)
      return readFileSync(log, 'utf8').split(`"${source}/`).length - 1
    }
    assert.ok(create('first') >= 51)
    assert.equal(create('second'), 0)
    writeFileSync(`${source}/f7`, 'changed')
    assert.equal(create('third'), 1)
    await repository.expectRestored(source)
  })
})
