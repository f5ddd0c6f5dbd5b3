import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, linkSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { newDirectory } from '../platform/testing.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import { sourceEntry, sourceOf } from '../sources/testing.ts'
import type { SourceEntry } from '../sources/source.ts'
import { waitUntilStable } from './stability.ts'
import { archiveInto, contentOf, entriesOf, folderSource, newRepository, nodesOf } from './testing.ts'

/** A new folder with one file, and its entry. */
async function newEntry(content = 'content'): Promise<[file: string, entry: SourceEntry, root: string]> {
  const root = newDirectory()
  writeFileSync(`${root}/file`, content)
  const [entry = assert.fail()] = await entriesOf(root)
  return [`${root}/file`, entry, root]
}

/** Writes to a file all the time until `stop`ped or disposed of. */
function startWriting(file: string): Disposable & { stop(): void } {
  const timer = setInterval(() => appendFileSync(file, 'more'), 1)
  const stop = (): void => clearInterval(timer)
  return { stop, [Symbol.dispose]: stop }
}

describe('waitUntilStable()', () => {
  it('gives back the entry of a file that stays as it is', async () => {
    const [, entry] = await newEntry()
    assert.equal(await waitUntilStable(entry, { stableForMs: 5 }), entry)
  })

  it('gives what the file is once its writer has stopped', async () => {
    const [file, entry] = await newEntry()
    using writer = startWriting(file)
    const waiting = waitUntilStable(entry, { stableForMs: 50 })
    await setTimeout(120)
    writer.stop()
    const outcome = await waiting
    assert.ok(outcome !== 'unstable')
    assert.equal(outcome.sizeBytes, statSync(file).size)
    const { mtimeNs, ctimeNs, ino } = statSync(file, { bigint: true })
    assert.deepEqual([outcome.mtimeNs, outcome.ctimeNs, outcome.inode], [mtimeNs, ctimeNs, ino])
  })

  it('notices a change that leaves size and mtime as they were', async () => {
    const [file, entry] = await newEntry()
    const { atime, mtime } = statSync(file)
    utimesSync(file, atime, mtime)
    const outcome = await waitUntilStable(entry, { stableForMs: 5 })
    assert.ok(outcome !== 'unstable' && outcome !== entry)
    assert.notEqual(outcome.ctimeNs, entry.ctimeNs)
  })

  it('gives up a file that is always being written to', async () => {
    const [file, entry] = await newEntry()
    using _ = startWriting(file)
    assert.equal(await waitUntilStable(entry, { stableForMs: 20 }), 'unstable')
  })

  it('gives back the entry of a file that is gone, or of another type: reading it says what is wrong', async () => {
    const [file, entry] = await newEntry()
    rmSync(file)
    assert.equal(await waitUntilStable(entry, { stableForMs: 5 }), entry)
    const below = sourceEntry('x', { systemPath: `${file}/x` })
    assert.equal(await waitUntilStable(below, { stableForMs: 5 }), below)
  })

  it('ends with CANCELLED at once', async () => {
    const [, entry] = await newEntry()
    const waiting = waitUntilStable(entry, { stableForMs: 3_600_000, signal: AbortSignal.timeout(10) })
    await assert.rejects(waiting, { code: 'CANCELLED' })
  })
})

/** What runs of these tests have in common: everything was touched lately. */
const lately = (): { startedAtMs: number; stableForMs: number } => ({ startedAtMs: Date.now(), stableForMs: 30 })

describe('archive() with stableForMs', () => {
  it('reads what rests, and waits for what does not', async () => {
    const [file, , root] = await newEntry()
    using writer = startWriting(file)
    writeFileSync(`${root}/other`, 'rests')
    const repository = await newRepository()
    const running = archiveInto(repository, folderSource(root), lately())
    await setTimeout(150)
    writer.stop()
    const run = await running
    assert.deepEqual([run.entries.toSorted(), run.issues], [['A file', 'A other'], []])
    const node = (await nodesOf(repository, run)).get('file')
    assert.deepEqual(
      [node?.sizeBytes, (await contentOf(repository, node)).length],
      [statSync(file).size, statSync(file).size],
    )
    assert.equal(node?.mtimeNs, statSync(file, { bigint: true }).mtimeNs)
    const next = await archiveInto(repository, folderSource(root), { parent: run })
    assert.deepEqual(next.tree, run.tree)
  })

  it('leaves out a new file that never rests, with an issue', async () => {
    const [file, , root] = await newEntry()
    using _ = startWriting(file)
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(root), { ...lately(), stableForMs: 10 })
    assert.deepEqual([run.entries, run.issues], [['E file'], ['UNSTABLE file']])
    assert.deepEqual([...(await nodesOf(repository, run)).keys()], [])
  })

  it('keeps the previous version of a file that never rests, for all of its names, and reads it next time', async () => {
    const [file, , root] = await newEntry()
    linkSync(file, `${root}/same`)
    const repository = await newRepository()
    const parent = await archiveInto(repository, folderSource(root))
    {
      using _ = startWriting(file)
      await setTimeout(20)
      const run = await archiveInto(repository, folderSource(root), { ...lately(), stableForMs: 10, parent })
      assert.deepEqual([run.entries, run.issues], [['E file', 'h same'], ['UNSTABLE file']])
      assert.deepEqual(run.tree, parent.tree)
      const next = await archiveInto(repository, folderSource(root), { parent: run })
      assert.deepEqual(
        next.entries.filter((entry) => entry.startsWith('U')),
        [],
      )
    }
  })

  it('keeps no previous version whose content is no longer there', async () => {
    const [file, , root] = await newEntry()
    const repository = await newRepository()
    const parent = await archiveInto(repository, folderSource(root))
    using _ = startWriting(file)
    await setTimeout(20)
    const run = await archiveInto(repository, folderSource(root), {
      ...lately(),
      stableForMs: 10,
      parent,
      table: ChunkTable.create(100),
    })
    assert.deepEqual([run.entries, run.issues], [['E file'], ['UNSTABLE file']])
    assert.equal((await nodesOf(repository, run)).size, 0)
  })

  it('reports a file that vanishes while it is waited for', async () => {
    const [file, entry] = await newEntry()
    const running = archiveInto(await newRepository(), sourceOf([entry]), { ...lately(), stableForMs: 400 })
    await setTimeout(100)
    rmSync(file)
    const run = await running
    assert.deepEqual([run.entries, run.issues], [['E file'], ['ENOENT file']])
  })

  it('ends when it is cancelled while it waits', async () => {
    const [, , root] = await newEntry()
    const signal = AbortSignal.timeout(400)
    const run = archiveInto(await newRepository(), folderSource(root), { ...lately(), stableForMs: 3_600_000, signal })
    await assert.rejects(run, { code: 'CANCELLED' })
  })

  it('makes a checkpoint of what is known while files are waited for', async () => {
    const [, , root] = await newEntry()
    for (const name of ['a', 'z']) writeFileSync(`${root}/${name}`, name)
    const entries = await entriesOf(root)
    const quiet = entries.map((entry) => (entry.name === 'file' ? entry : { ...entry, mtimeNs: 1n, ctimeNs: 1n }))
    const repository = await newRepository()
    const seen: number[] = []
    const run = await archiveInto(repository, sourceOf(quiet, 1), {
      ...lately(),
      isCheckpointDue: () => true,
      checkpoint: async ({ tree }) => {
        seen.push(tree.length)
      },
    })
    assert.ok(seen.length > 0)
    assert.deepEqual(run.entries.toSorted(), ['A a', 'A file', 'A z'])
  })

  it('leaves no timer behind when the run fails: the process ends by itself', async () => {
    const [, , root] = await newEntry()
    writeFileSync(`${root}/large`, Buffer.alloc(1 << 20))
    const code = `
      import { archiveInto, folderSource, newRepository } from ${JSON.stringify(import.meta.resolve('./testing.ts'))}
      import { setTimeout } from 'node:timers/promises'
      const entries = (await import(${JSON.stringify(import.meta.resolve('./testing.ts'))})).entriesOf(${JSON.stringify(root)})
      async function* walk() {
        yield await entries
        throw new Error('the source fails')
      }
      const source = { paths: [], walk: () => ({ [Symbol.asyncIterator]: walk, [Symbol.asyncDispose]: async () => undefined }) }
      const waits = { stableForMs: 3_600_000, startedAtMs: Date.now() }
      await archiveInto(await newRepository(), source, waits).catch((error) => console.log(error.message))`
    const { stdout, status } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', timeout: 20_000 })
    assert.deepEqual([stdout, status], ['the source fails\n', 0])
  })
})
