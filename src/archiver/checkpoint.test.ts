/** What a checkpoint gets is, at any moment, a snapshot of what came first in the walk; and the run goes on as if there had been none. */
import assert from 'node:assert/strict'
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { newDirectory } from '../platform/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { nodeContents } from '../snapshot/node-chunks.ts'
import { contentIds } from '../snapshot/content.ts'
import { NO_SAMPLE, SampleReader } from '../snapshot/samples.ts'
import { StampReader } from '../snapshot/stamps.ts'
import type { Source, SourceEntry } from '../sources/source.ts'
import { sourceOf } from '../sources/testing.ts'
import type { ArchiveOptions, Archived } from './archiver.ts'
import { RANGE_BYTES } from './protocol.ts'
import { type ArchiveRun, archiveInto, entriesOf, newRepository, nodesOf } from './testing.ts'

type Repository = Awaited<ReturnType<typeof newRepository>>

/** Archives with checkpoints whenever `isDue` says so, and returns them as they were given. */
async function withCheckpoints(
  repository: Repository,
  source: Source,
  isDue: () => boolean,
  options: Partial<ArchiveOptions> = {},
): Promise<{ run: ArchiveRun; checkpoints: Archived[]; storedAt: Set<string>[] }> {
  const checkpoints: Archived[] = []
  const storedAt: Set<string>[] = []
  const stored = new Set<string>()
  const session = await WriteSession.open(repository)
  const run = await archiveInto(repository, source, {
    ...options,
    storePack: async (pack) => {
      const memory = await session.storePack(pack)
      stored.add(pack.id)
      return memory
    },
    isCheckpointDue: isDue,
    checkpoint: async (archived) => {
      checkpoints.push(archived)
      storedAt.push(new Set(stored))
    },
  })
  await session.commit({})
  await repository.loadIndex()
  return { run, checkpoints, storedAt }
}

/** Every chunk that a tree, its stamps and its samples refer to lies in one of these packs. */
async function expectStored(repository: Repository, archived: Archived, packs: ReadonlySet<string>): Promise<void> {
  const expect = (id: Uint8Array): void => {
    const address = repository.addressOf(id)
    assert.ok(address && packs.has(address.pack), `chunk ${toHex(id)} was not stored yet`)
  }
  const load = (id: Uint8Array): ReturnType<Repository['readChunk']> => {
    expect(id)
    return repository.readChunk(id)
  }
  for (const [path, node] of await nodesOf(repository, archived)) {
    if (node.tree) expect(node.tree)
    for (const content of nodeContents(node, path)) for await (const id of contentIds(content, load, path)) expect(id)
  }
  for (const column of [archived.stamps, archived.samples])
    if (column) for await (const id of contentIds(column, load, 'a column')) expect(id)
}

/** A folder of files small and large, links, and directories that are deep or empty. */
function newTree(): string {
  const root = newDirectory()
  for (let d = 0; d < 6; d++) {
    const folder = `${root}/d${d}/${'sub/'.repeat(d % 3)}`
    mkdirSync(folder, { recursive: true })
    for (let f = 0; f < 10; f++) writeFileSync(`${folder}/f${f}`, testBytes(`${d} ${f}`, 1000 * f * d))
    symlinkSync('f1', `${folder}/link`)
    linkSync(`${folder}/f2`, `${root}/d${d}/z-same`)
  }
  mkdirSync(`${root}/empty`)
  writeFileSync(`${root}/large`, testBytes('large', RANGE_BYTES + 3_000_000))
  writeFileSync(`${root}/last`, 'last')
  return root
}

const root = newTree()

/** What a checkpoint must be: the entries of the final tree up to some moment of the walk, each as it is there. */
async function expectPrefix(
  repository: Repository,
  checkpoint: Archived,
  run: Archived,
  entries: readonly SourceEntry[],
): Promise<number> {
  const nodes = await nodesOf(repository, checkpoint)
  const final = await nodesOf(repository, run)
  const walked = entries.map(({ path }) => path)
  assert.deepEqual([...nodes.keys()].toSorted(), walked.slice(0, nodes.size).toSorted())
  const stamps = new StampReader(checkpoint.stamps, (id) => repository.readChunk(id))
  const samples = checkpoint.samples && new SampleReader(checkpoint.samples, (id) => repository.readChunk(id))
  await stamps.seek(0)
  const byPath = new Map(entries.map((entry) => [entry.path, entry]))
  let leaf = 0
  for (const [path, { tree: _, leaves: __, ...node }] of nodes) {
    const { tree: ___, leaves: ____, ...want } = final.get(path) ?? assert.fail(path)
    assert.deepEqual(node, want, path)
    if (node.type === 'dir') continue
    assert.equal(stamps.at(leaf)?.inode, byPath.get(path)?.inode, path)
    if (samples && node.sizeBytes > 0) assert.notEqual(await samples.find(leaf), NO_SAMPLE, path)
    leaf++
  }
  assert.equal(stamps.at(leaf), undefined)
  return nodes.size
}

describe('a checkpoint of archive()', () => {
  it('is, at any moments, all stored and what came first in the walk, and changes nothing of the run', async () => {
    const entries = await entriesOf(root)
    const want = await archiveInto(await newRepository(), sourceOf(entries), { detect: 'partial-hash' })
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(fc.boolean()),
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(1, 3),
        async (due, batch, workers) => {
          const repository = await newRepository()
          const options = { workers, detect: 'partial-hash' } as const
          const { run, checkpoints, storedAt } = await withCheckpoints(
            repository,
            sourceOf(entries, batch),
            () => due.next().value ?? false,
            options,
          )
          assert.deepEqual([toHex(run.tree), toHex(run.stamps)], [toHex(want.tree), toHex(want.stamps)])
          assert.deepEqual([run.samples, run.issues], [want.samples, []])
          let before = 0
          for (const [i, checkpoint] of checkpoints.entries()) {
            await expectStored(repository, checkpoint, storedAt[i] ?? new Set())
            const size = await expectPrefix(repository, checkpoint, run, entries)
            assert.ok(size >= before)
            before = size
          }
        },
      ),
      { numRuns: 6 },
    )
  })

  it('is a parent like any other: what it has is not read again, and the rest is', async () => {
    const entries = await entriesOf(root)
    const repository = await newRepository()
    const { run, checkpoints } = await withCheckpoints(repository, sourceOf(entries, 5), () => true)
    for (const parent of [checkpoints[0], checkpoints[checkpoints.length >> 1], checkpoints.at(-1)]) {
      assert.ok(parent)
      const known = await nodesOf(repository, parent)
      const next = await archiveInto(repository, sourceOf(entries), { parent })
      assert.equal(toHex(next.tree), toHex(run.tree))
      const unchanged = next.entries.filter((entry) => entry.startsWith('U')).map((entry) => entry.slice(2))
      assert.deepEqual(
        unchanged.toSorted(),
        [...known]
          .filter(([, { type }]) => type !== 'dir')
          .map(([path]) => path)
          .toSorted(),
      )
    }
  })

  it('can be made in the middle of one huge file, which then still has the chunks of a sequential read', async () => {
    const folder = newDirectory()
    writeFileSync(`${folder}/a`, 'before')
    writeFileSync(`${folder}/huge`, testBytes('huge', 5 * RANGE_BYTES))
    const entries = await entriesOf(folder)
    const want = await archiveInto(await newRepository(), sourceOf(entries))
    const repository = await newRepository()
    const { run, checkpoints, storedAt } = await withCheckpoints(repository, sourceOf(entries), () => true, {
      workers: 2,
    })
    assert.equal(toHex(run.tree), toHex(want.tree))
    const sizes = await Promise.all(checkpoints.map(async (checkpoint) => (await nodesOf(repository, checkpoint)).size))
    assert.ok(sizes.includes(1), sizes.join())
    for (const [i, checkpoint] of checkpoints.entries())
      await expectStored(repository, checkpoint, storedAt[i] ?? new Set())
    const storedThen = storedAt[sizes.indexOf(1)]?.size ?? 0
    assert.ok(storedThen > 2, 'nothing of the huge file was stored then')
  })

  it('that fails ends the run with its error', async () => {
    const options = {
      isCheckpointDue: () => true,
      checkpoint: () => Promise.reject(new Error('no checkpoint here')),
    }
    await assert.rejects(
      archiveInto(await newRepository(), sourceOf(await entriesOf(root)), options),
      /no checkpoint here/,
    )
  })
})
