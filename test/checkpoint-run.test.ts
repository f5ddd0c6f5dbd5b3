/** A long first backup that is killed after a checkpoint, with the whole program. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../src/chunker/testing.ts'
import { hasPrograms } from '../src/platform/testing.ts'
import { Program, untilTrusted } from './program.ts'
import { newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const FILES = 40
const FILE_BYTES = 2 << 20

describe('a first backup that is killed after a checkpoint', () => {
  it('leaves a checkpoint that is listed, can be restored, and saves the next run the work; then it is gone', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const program = new Program()
    const other = newFolder()
    writeFileSync(`${other}/f`, 'other')
    program.create([other])
    const source = newFolder()
    for (let i = 0; i < FILES; i++) {
      const folder = `${source}/${String(i % 4)}`
      mkdirSync(folder, { recursive: true })
      writeFileSync(`${folder}/${i}`, testBytes(`checkpoint ${i}`, FILE_BYTES))
    }
    await untilTrusted()

    const commits = (): number => readdirSync(`${program.repository}/commits`).length
    const before = commits()
    // A slow compression, so that there is something left to do when the checkpoint is seen.
    const options = ['--checkpoint-interval', '100ms', '-C', 'lzma,1']
    const killed = program.start(['create', ...options, `${program.repository}::killed`, source])
    const closed = once(killed, 'close')
    while (commits() === before && killed.exitCode === null) await sleep(5)
    killed.kill('SIGKILL')
    assert.deepEqual(await closed, [null, 'SIGKILL'], 'it was done before it could be killed')

    const list = program.succeed(['list', program.repository])
    assert.match(list, /^killed\.checkpoint .*\] \(checkpoint\)$/m)
    assert.match(list, /^s1 .*\]$/m)
    program.succeed(['check', program.repository])
    const latest = path.join(program.restore(), other)
    assert.deepEqual(digestTree(latest), digestTree(other))

    const kept = Object.values(program.nodes('killed.checkpoint')).filter(({ type }) => type === 'file')
    assert.ok(kept.length > 0 && kept.length < FILES, `${kept.length} files are in the checkpoint`)
    const target = newFolder()
    program.succeed(['restore', '-r', program.repository, 'killed.checkpoint', '--target', target, '-q'])
    for (const { path: file } of kept)
      assert.ok(readFileSync(`${target}/${String(file)}`).equals(readFileSync(`/${String(file)}`)))

    const log = path.join(newFolder(), 'log')
    const under = ['strace', '-f', '-qq', '--seccomp-bpf', '-e', 'trace=open,openat,openat2', '-o', log]
    const { letters, summary } = program.create([source], { under })
    const opened = readFileSync(log, 'utf8')
    for (const { path: file } of kept) {
      assert.equal(letters[String(file)], 'U')
      assert.ok(!opened.includes(`"/${String(file)}"`), `${String(file)} is read again`)
    }
    assert.equal(Object.values(letters).filter((letter) => letter === 'A').length, FILES - kept.length)
    assert.ok(Number(summary['data_added']) <= (FILES - kept.length) * FILE_BYTES)
    assert.equal(summary['total_files_processed'], FILES)
    // All content is random: what was stored twice would show.
    const size = program.sizeBytes()
    assert.ok(size < FILES * FILE_BYTES * 1.01 + 100_000, `${size} bytes for ${FILES * FILE_BYTES}`)

    assert.doesNotMatch(program.succeed(['list', program.repository]), /checkpoint/)
    assert.deepEqual(digestTree(path.join(program.restore(), source)), digestTree(source))
    program.succeed(['check', '--read-data', program.repository])
  })
})
