/** What a run takes over from the parent snapshot, and what it reads again. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { newDirectory } from '../platform/testing.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import { sourceOf } from '../sources/testing.ts'
import { type ArchiveRun, archiveInto, entriesOf, folderSource, newRepository, nodesOf } from './testing.ts'

/** Entries of a run but for directories, sorted. */
function files(run: ArchiveRun): string[] {
  return run.entries.filter((entry) => !entry.startsWith('d ')).sort()
}

function newTree(): string {
  const root = newDirectory()
  mkdirSync(`${root}/d/e`, { recursive: true })
  for (const name of ['a', 'd/b', 'd/e/c', 'z']) writeFileSync(`${root}/${name}`, `content of ${name}`)
  writeFileSync(`${root}/empty`, '')
  writeFileSync(`${root}/large`, testBytes('large', 3 << 20))
  return root
}

describe('a run with a parent snapshot', () => {
  it('takes over unchanged files without opening them', async () => {
    const repository = await newRepository()
    const root = newTree()
    const entries = await entriesOf(root)
    const parent = await archiveInto(repository, sourceOf(entries))
    rmSync(root, { recursive: true }) // whoever opens a file now fails
    const run = await archiveInto(repository, sourceOf(entries), { parent })
    assert.deepEqual(files(run), ['U a', 'U d/b', 'U d/e/c', 'U empty', 'U large', 'U z'])
    assert.deepEqual(run.issues, [])
    assert.deepEqual([run.tree, run.stamps], [parent.tree, parent.stamps])
    assert.equal(run.data.chunks, 0)
    assert.equal(run.trees.storedBytes, 0)
  })

  it('reads what was added or modified, leaves out what is gone, and takes over the rest', async () => {
    const repository = await newRepository()
    const root = newTree()
    const parent = await archiveInto(repository, folderSource(root))
    appendFileSync(`${root}/d/b`, '!')
    rmSync(`${root}/a`)
    writeFileSync(`${root}/d/aa`, 'new')
    rmSync(`${root}/z`)
    mkdirSync(`${root}/z`)
    writeFileSync(`${root}/z/f`, 'was a file')
    const run = await archiveInto(repository, folderSource(root), { parent })
    assert.deepEqual(files(run), ['A d/aa', 'A z/f', 'M d/b', 'U d/e/c', 'U empty', 'U large'])
    // Comparing saves time and changes nothing.
    const alone = await archiveInto(repository, folderSource(root))
    assert.equal(toHex(run.tree), toHex(alone.tree))
    assert.equal(toHex(run.stamps), toHex(alone.stamps))
  })

  it('finds changed content of the same size whose mtime was set back', async () => {
    const repository = await newRepository()
    const root = newTree()
    const parent = await archiveInto(repository, folderSource(root))
    const { atime, mtime } = statSync(`${root}/a`)
    utimesSync(`${root}/a`, atime, mtime)
    const before = await archiveInto(repository, folderSource(root), { parent })
    writeFileSync(`${root}/a`, 'CONTENT OF A')
    utimesSync(`${root}/a`, atime, mtime)
    const after = await archiveInto(repository, folderSource(root), { parent: before })
    assert.equal(files(after)[0], 'M a')
  })

  it('reads another file of the same size and times that took the place of one', async () => {
    const repository = await newRepository()
    const root = newTree()
    const [entry] = await entriesOf(root)
    assert.equal(entry?.path, 'a')
    const parent = await archiveInto(repository, sourceOf([entry]))
    copyFileSync(`${root}/a`, `${root}/other`)
    renameSync(`${root}/other`, `${root}/a`)
    const [other] = await entriesOf(root)
    assert.notEqual(other?.inode, entry.inode)
    const run = await archiveInto(repository, sourceOf([{ ...entry, inode: other?.inode ?? 0n }]), { parent })
    assert.match(files(run)[0] ?? '', /^[MC] a$/)
  })

  it('reads a file again when any one of size, mtime, ctime and inode differs, and when it was of another type', async () => {
    const repository = await newRepository()
    const root = newTree()
    const entries = await entriesOf(root)
    const parent = await archiveInto(repository, sourceOf(entries))
    for (const change of [{ sizeBytes: 11 }, { mtimeNs: 5n }, { ctimeNs: 5n }, { inode: 5n }]) {
      const changed = entries.map((entry) => (entry.path === 'd/b' ? { ...entry, ...change } : entry))
      const run = await archiveInto(repository, sourceOf(changed), { parent })
      assert.deepEqual(
        files(run).filter((entry) => !entry.startsWith('U')),
        ['M d/b'],
      )
    }
    rmSync(`${root}/d/b`)
    symlinkSync('x', `${root}/d/b`)
    const linked = await archiveInto(repository, folderSource(root), { parent })
    rmSync(`${root}/d/b`)
    writeFileSync(`${root}/d/b`, '')
    const run = await archiveInto(repository, folderSource(root), { parent: linked })
    assert.ok(files(run).includes('A d/b'))
  })

  it('reads a file again when a chunk of it is not in the index any more', async () => {
    const repository = await newRepository()
    const root = newTree()
    const parent = await archiveInto(repository, folderSource(root))
    const run = await archiveInto(repository, folderSource(root), { parent, table: ChunkTable.create(100) })
    assert.deepEqual(files(run), ['M a', 'M d/b', 'M d/e/c', 'M large', 'M z', 'U empty'])
    assert.deepEqual(run.tree, parent.tree)
  })

  it('reads everything when the parent has no stamps', async () => {
    const repository = await newRepository()
    const root = newTree()
    const { tree } = await archiveInto(repository, folderSource(root))
    const run = await archiveInto(repository, folderSource(root), {
      parent: { tree, stamps: undefined, samples: undefined },
    })
    assert.equal(files(run).filter((entry) => entry.startsWith('M')).length, 6)
  })

  it('takes over metadata that changed together with unchanged content', async () => {
    const repository = await newRepository()
    const root = newTree()
    const entries = await entriesOf(root)
    const parent = await archiveInto(repository, sourceOf(entries))
    const chowned = entries.map((entry) => ({ ...entry, uid: 77, user: 'new name' }))
    const run = await archiveInto(repository, sourceOf(chowned), { parent })
    const nodes = await nodesOf(repository, run)
    assert.deepEqual([nodes.get('a')?.uid, nodes.get('d/e/c')?.user], [77, 'new name'])
  })
})

describe('a file that cannot be read, in a directory that has not changed otherwise', () => {
  it('is not in the snapshot, though the parent had it, and the stamps of all others keep their places', async () => {
    const repository = await newRepository()
    const root = newTree()
    const entries = await entriesOf(root)
    const parent = await archiveInto(repository, sourceOf(entries))
    rmSync(`${root}/d/b`)
    const touched = entries.map((entry) => (entry.path === 'd/b' ? { ...entry, ctimeNs: entry.ctimeNs + 1n } : entry))
    const run = await archiveInto(repository, sourceOf(touched), { parent })
    assert.deepEqual(files(run), ['E d/b', 'U a', 'U d/e/c', 'U empty', 'U large', 'U z'])
    assert.deepEqual(run.issues, ['ENOENT d/b'])
    const nodes = await nodesOf(repository, run)
    assert.deepEqual([nodes.has('d/b'), nodes.has('d/e/c'), nodes.get('d')?.leaves], [false, true, 1])
    const next = await archiveInto(repository, sourceOf(entries.filter(({ path }) => path !== 'd/b')), { parent: run })
    assert.deepEqual(files(next), ['U a', 'U d/e/c', 'U empty', 'U large', 'U z'])
    assert.deepEqual([next.tree, next.stamps], [run.tree, run.stamps])
  })
})

describe('the racy rule', () => {
  const second = 1_000_000_000n

  it('reads a file again that had changed less than two seconds before the run that saw it', async () => {
    const root = newTree()
    const entries = await entriesOf(root)
    const newest = entries.reduce((max, { ctimeNs }) => (ctimeNs > max ? ctimeNs : max), 0n)
    for (const [afterNs, letter] of [
      [0n, 'M'],
      [2n * second - 1_000_000n, 'M'],
      [2n * second + 2_000_000n, 'U'],
      [-5n * second, 'M'], // a clock that is behind
    ] as const) {
      const repository = await newRepository()
      const startedAtMs = Number((newest + afterNs) / 1_000_000n)
      const parent = await archiveInto(repository, sourceOf(entries), { startedAtMs })
      const run = await archiveInto(repository, sourceOf(entries), { parent, startedAtMs: startedAtMs + 60_000 })
      const last = entries.find(({ ctimeNs }) => ctimeNs === newest)
      assert.ok(run.entries.includes(`${letter} ${last?.path}`), `${afterNs}: ${run.entries.join()}`)
      // Once it was read at rest it is trusted.
      const next = await archiveInto(repository, sourceOf(entries), { parent: run })
      assert.equal(files(next).filter((entry) => entry.startsWith('U')).length, 6)
    }
  })

  it('keeps what was trusted before trusted, also in a run that starts at the same moment', async () => {
    const repository = await newRepository()
    const entries = await entriesOf(newTree())
    const parent = await archiveInto(repository, sourceOf(entries))
    const run = await archiveInto(repository, sourceOf(entries), { parent, startedAtMs: Date.now() })
    assert.equal(files(run).filter((entry) => entry.startsWith('U')).length, 6)
    assert.deepEqual(run.stamps, parent.stamps)
  })
})

describe('a chain of runs', () => {
  it('ends, after any edits, in the tree that a run without a parent makes', async () => {
    const repository = await newRepository()
    const root = newTree()
    let parent = await archiveInto(repository, folderSource(root))
    let seed = 1
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below
    const anyPath = (): string => `${root}/${['', 'd/', 'd/e/', 'n/', 'n/m/'][random(5)]}${'abcxyz'[random(6)]}`
    for (let run = 0; run < 4; run++) {
      for (let i = 0; i < 25; i++) {
        const path = anyPath()
        const kind = random(5)
        rmSync(path, { recursive: true, force: true })
        if (kind === 0) continue
        mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true })
        if (kind === 1) mkdirSync(path)
        else if (kind === 2) symlinkSync(String(random(3)), path)
        else writeFileSync(path, testBytes(String(random(20)), random(40_000)))
      }
      parent = await archiveInto(repository, folderSource(root), { parent })
      const alone = await archiveInto(repository, folderSource(root))
      assert.equal(toHex(parent.tree), toHex(alone.tree))
      assert.equal(toHex(parent.stamps), toHex(alone.stamps))
      assert.deepEqual(parent.issues, [])
    }
  })
})
