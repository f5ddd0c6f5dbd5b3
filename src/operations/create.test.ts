import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { hostname } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import { TestRepository, issuesOf, newFolder, statuses } from '../../test/testing.ts'
import { CairnError } from '../base/errors.ts'
import { fixedClock, systemClock } from '../base/clock.ts'
import { testBytes } from '../chunker/testing.ts'
import type { CreateEvent } from './create.ts'
import { listSnapshots } from './list.ts'
import { VERSION } from './version.ts'

function newSource(): string {
  const source = newFolder()
  mkdirSync(`${source}/d`)
  writeFileSync(`${source}/a`, testBytes('a', 100_000))
  writeFileSync(`${source}/d/b`, 'b')
  writeFileSync(`${source}/d/copy`, testBytes('a', 100_000))
  symlinkSync('a', `${source}/l`)
  return source
}

const namesOf = async ({ access }: TestRepository): Promise<string[]> =>
  (await listSnapshots(access)).snapshots.map(({ name }) => name)

describe('createSnapshot()', () => {
  it('tells what it saved, where it came from and what it cost', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    const { snapshot, totals, issues } = await repository.create([source], {
      name: 'n',
      comment: 'why',
      tags: ['b', 'a', 'b'],
      commandLine: ['cairn', 'create'],
    })
    assert.equal(issues, 0)
    assert.deepEqual(
      [snapshot.name, snapshot.comment, snapshot.commandLine, snapshot.paths, snapshot.hostname, snapshot.incomplete],
      ['n', 'why', ['cairn', 'create'], [source], hostname(), false],
    )
    assert.deepEqual(snapshot.tags, ['b', 'a'])
    assert.equal(snapshot.programVersion, VERSION)
    assert.match(snapshot.id, /^[0-9a-f]{32}$/)
    assert.ok(snapshot.startedAt <= snapshot.endedAt)
    const { stats } = snapshot
    assert.deepEqual(
      [stats.filesNew, stats.filesChanged, stats.filesUnmodified, stats.directories, stats.otherEntries],
      [3, 0, 0, 2, 1],
    )
    assert.deepEqual([stats.originalBytes, stats.addedBytes], [200_001, 100_001])
    // Two copies of the same content, one other chunk, and a tree for each directory.
    assert.equal(stats.chunksTotal, (stats.chunksNew - 1) * 2 + 1 + stats.directories)
    const stored = ['packs/', 'index/'].flatMap((prefix) => repository.objects(prefix))
    assert.equal(stored.length, 3) // data, trees, index
    assert.ok(stats.deduplicatedBytes > 100_001 * 0.9)
    assert.deepEqual([totals.originalBytes, totals.chunksTotal], [200_001, stats.chunksTotal])
    assert.deepEqual((await listSnapshots(repository.access)).snapshots, [snapshot])
  })

  it('adds nothing when nothing has changed, and shares the tree', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    const first = await repository.create([source])
    const before = repository.objects('packs/').concat(repository.objects('index/'))
    const { snapshot } = await repository.create([source])
    assert.deepEqual(repository.objects('packs/').concat(repository.objects('index/')), before)
    assert.equal(snapshot.tree, first.snapshot.tree)
    const { filesUnmodified, addedBytes, deduplicatedBytes, chunksNew, treeChunksNew, originalBytes } = snapshot.stats
    assert.deepEqual([filesUnmodified, addedBytes, deduplicatedBytes, chunksNew, treeChunksNew], [3, 0, 0, 0, 0])
    assert.equal(originalBytes, 200_001)
    await repository.expectRestored(source)
  })

  it('adds no content when a folder is moved or copied', async () => {
    const repository = await TestRepository.create()
    await repository.create([newSource()])
    const { snapshot } = await repository.create([newSource()])
    assert.deepEqual([snapshot.stats.filesNew, snapshot.stats.addedBytes], [3, 0])
  })

  it('compares with the newest snapshot of the same paths, and with no other', async () => {
    const repository = await TestRepository.create()
    const [one, two] = [newSource(), newSource()]
    await repository.create([one, two])
    const unmodified = async (...paths: string[]): Promise<number> =>
      (await repository.create(paths)).snapshot.stats.filesUnmodified
    assert.equal(await unmodified(one), 0)
    assert.equal(await unmodified(two, one), 6)
    appendFileSync(`${one}/a`, '!')
    assert.equal(await unmodified(one), 2)
    assert.equal(await unmodified(one), 3)
    assert.equal(await unmodified(one, two), 5)
  })

  it('reads files again that had just changed when they were saved', async () => {
    const repository = await TestRepository.create({ clock: systemClock })
    const source = newSource()
    await repository.create([source])
    const { snapshot, events } = await repository.create([source])
    assert.equal(snapshot.stats.filesChanged, 3)
    assert.equal(statuses(events)[`${source.slice(1)}/a`], 'M')
    assert.equal(snapshot.stats.addedBytes, 0)
  })

  it('makes the same tree with any number of workers', async () => {
    const repository = await TestRepository.create({ clock: systemClock })
    const source = newSource()
    writeFileSync(`${source}/large`, testBytes('large', 9 << 20))
    const trees = new Set<string>()
    for (const workers of [1, 4]) {
      const { snapshot } = await repository.create([source], { workers })
      assert.equal(snapshot.stats.filesUnmodified, 0) // all of it was read, since it is so new
      trees.add(snapshot.tree)
    }
    assert.equal(trees.size, 1)
  })

  it('refuses a name that is taken, and leaves nothing behind', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    await repository.create([source], { name: 'taken' })
    const before = repository.objects('')
    await assert.rejects(repository.create([source], { name: 'taken' }), {
      code: 'SNAPSHOT_EXISTS',
      message: /'taken'/,
    })
    assert.deepEqual(repository.objects(''), before)
    assert.deepEqual(await namesOf(repository), ['taken'])
  })

  it('appends a number to a default name that is taken', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    for (let i = 0; i < 3; i++) await repository.create([source], { name: 'host-now', nameIsDefault: true })
    assert.deepEqual((await namesOf(repository)).sort(), ['host-now', 'host-now-2', 'host-now-3'])
  })

  it('throws SOURCE_FAILED for a path that does not exist, and leaves nothing behind', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    const before = repository.objects('')
    for (const missing of ['missing', 'a/below'])
      await assert.rejects(repository.create([source, `${source}/${missing}`]), { code: 'SOURCE_FAILED' })
    assert.deepEqual(repository.objects(''), before)
  })

  it('throws INVALID_ARGUMENT for an unknown compression, and leaves no session', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    await assert.rejects(repository.create([source], { name: 'n', compression: 'squeeze' }), {
      code: 'INVALID_ARGUMENT',
    })
    assert.deepEqual([repository.objects('sessions/'), repository.objects('commits/')], [[], []])
    await repository.create([source], { name: 'n', compression: 'lz4' })
  })

  it('mixes compressions in one repository', async () => {
    const repository = await TestRepository.create()
    const source = newFolder()
    for (const compression of ['none', 'lz4', 'zstd,9', 'zlib', 'lzma']) {
      writeFileSync(`${source}/${compression}`, testBytes(compression, 5000).toString('hex'))
      await repository.create([source], { compression })
    }
    await repository.expectRestored(source)
  })

  it('ends with CANCELLED when its signal is aborted, leaves no session, and the name stays free', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    for (const when of ['at once', 'at the first entry']) {
      const abort = new AbortController()
      if (when === 'at once') abort.abort()
      const run = repository.create([source], {
        name: 'n',
        access: { signal: abort.signal },
        onEvent: () => abort.abort(),
      })
      await assert.rejects(run, { code: 'CANCELLED' })
      assert.deepEqual([repository.objects('sessions/'), repository.objects('commits/')], [[], []])
    }
    await repository.create([source], { name: 'n' })
    await repository.expectRestored(source)
  })

  it('passes on what an event handler throws, and leaves no session', async () => {
    const repository = await TestRepository.create()
    const failure = new CairnError('INTERNAL', 'the handler says so')
    const onEvent = (): void => {
      throw failure
    }
    await assert.rejects(repository.create([newSource()], { onEvent }), failure)
    assert.deepEqual(repository.objects('sessions/'), [])
  })

  it('sends progress with totals of the parent, at most ten times a second', async () => {
    const clock = fixedClock(systemClock.now() + 3_600_000)
    const repository = await TestRepository.create({ clock })
    const source = newFolder()
    for (let i = 0; i < 160; i++) writeFileSync(`${source}/${i}`, 'x')
    const first = await repository.create([source])
    const progress = first.events.filter((event) => event.type === 'progress')
    assert.deepEqual(
      progress.map(({ filesTotal, bytesTotal }) => [filesTotal, bytesTotal]),
      [[undefined, undefined]],
    )
    let entries = 0
    const events: CreateEvent[] = []
    await repository.create([source], {
      onEvent(event) {
        if (event.type === 'progress') events.push(event)
        else if (event.type === 'entry' && event.status === 'U' && ++entries % 32 === 0) clock.set(clock.now() + 100)
      },
    })
    assert.equal(events.length, 6) // one at once, for the folder
    for (const event of events) {
      assert.ok(event.type === 'progress')
      assert.deepEqual([event.filesTotal, event.bytesTotal, event.issues], [160, 160, 0])
    }
  })

  it('notes a socket without calling the snapshot incomplete', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    const server = createServer().listen(`${source}/socket`)
    await once(server, 'listening')
    const { events, issues, snapshot } = await repository.create([source])
    server.close()
    assert.deepEqual(issuesOf(events), [`SKIPPED ${source}/socket`])
    assert.deepEqual([issues, snapshot.incomplete], [0, false])
  })

  it('takes the time it is given for that of the snapshot, and detects changes by the real one', async () => {
    const clock = fixedClock(systemClock.now())
    const repository = await TestRepository.create({ clock })
    const source = newSource()
    const { snapshot } = await repository.create([source], { timestampMs: Date.UTC(2101, 1, 3) })
    assert.deepEqual([snapshot.startedAt, snapshot.endedAt], ['2101-02-03T00:00:00.000Z', '2101-02-03T00:00:00.000Z'])
    // Its files changed just before that run: a time a hundred years later is no reason to trust them.
    clock.set(clock.now() + 3_600_000)
    const { events } = await repository.create([source], { timestampMs: Date.UTC(2001, 1, 3) })
    assert.equal(statuses(events)[`${source.slice(1)}/a`], 'M')
    const { snapshots } = await listSnapshots(repository.access)
    assert.deepEqual(
      snapshots.map(({ startedAt }) => startedAt.slice(0, 4)),
      ['2001', '2101'],
    )
  })

  it('saves several roots, relative ones among them, under the paths they were given', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    const relative = path.relative(process.cwd(), source)
    const { events, snapshot } = await repository.create([`${source}/d`, `${source}/a`, relative], {
      listEntries: true,
    })
    assert.deepEqual(snapshot.paths, [`${source}/d`, `${source}/a`, source])
    const withoutDots = relative.replace(/^(\.\.\/)*/, '')
    const roots = [`${source.slice(1)}/a`, `${source.slice(1)}/d/b`, `${withoutDots}/l`]
    for (const root of roots) assert.ok(root in statuses(events), root)
  })

  it('takes over what a snapshot has whose source is gone, and never changes it', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    const { snapshot } = await repository.create([source], { name: 'full' })
    rmSync(`${source}/d`, { recursive: true })
    await repository.create([source])
    const { files } = await repository.extract({ snapshot: 'full' })
    assert.equal(files, 3)
    assert.equal(
      (await listSnapshots(repository.access)).snapshots.find(({ name }) => name === 'full')?.tree,
      snapshot.tree,
    )
  })
})
