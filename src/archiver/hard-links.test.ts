import assert from 'node:assert/strict'
import { appendFileSync, chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { hasPrograms, LATIN1_NAME, newDirectory, SKIP_UNLESS_ROOT } from '../platform/testing.ts'
import { makeSpecialFile } from '../platform/special-files.ts'
import { toSystemPath } from '../base/raw-name.ts'
import { readFurtherNames } from '../snapshot/further-names.ts'
import { anyNode } from '../snapshot/testing.ts'
import { openFolderSource } from '../sources/folder-source.ts'
import { NOTHING_EXCLUDED } from '../sources/folder/selection.ts'
import { sourceOf } from '../sources/testing.ts'
import type { SourceEntry } from '../sources/source.ts'
import type { Archived } from './archiver.ts'
import { type FirstName, HardLinks } from './hard-links.ts'
import { archiveInto, contentOf, entriesOf, folderSource, newRepository, nodesOf, traceRun } from './testing.ts'

const link = (file: number, n: number, isLast = false): NonNullable<SourceEntry['link']> => ({
  file,
  first: `first-${file}`,
  isFirst: n === 0,
  isLast,
})

describe('HardLinks', () => {
  it('gives back the first name as it was, whatever it is', () => {
    fc.assert(
      fc.property(anyNode, fc.boolean(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (node, isStamped, sample) => {
        const links = new HardLinks()
        links.expect(link(1, 0))
        links.settle(link(1, 0), { node, isStamped, sample })
        let found: FirstName | undefined
        assert.equal(
          links.whenSettled(link(1, 1), (first) => (found = first)),
          true,
        )
        assert.deepEqual(found, { node, isStamped, sample })
      }),
    )
  })

  it('calls back all who wait, in order, once, as soon as the first name is known', () => {
    const links = new HardLinks()
    const called: string[] = []
    links.expect(link(1, 0))
    links.expect(link(2, 0))
    for (const n of [1, 2, 3]) {
      links.whenSettled(link(1, n), ({ node }) => {
        called.push(`${n} ${node === 'omit'}`)
        links.passed(link(1, n, n === 3))
      })
    }
    assert.equal(called.length, 0)
    links.settle(link(2, 0), { node: 'omit', isStamped: false, sample: 0n })
    links.settle(link(1, 0), { node: 'omit', isStamped: false, sample: 0n })
    assert.deepEqual(called, ['1 true', '2 true', '3 true'])
    assert.equal(
      links.whenSettled(link(1, 4), () => assert.fail('it was forgotten')),
      false,
    )
    links.whenSettled(link(2, 1), ({ node }) => called.push(`2 ${node === 'omit'}`))
    assert.deepEqual(called.slice(3), ['2 true'])
  })
})

/** Path → hard link, of every node that is not a directory. Those there are must be those that were collected. */
async function linksOf(
  repository: Parameters<typeof nodesOf>[0],
  run: Pick<Archived, 'tree' | 'furtherNames'>,
): Promise<Record<string, string | undefined>> {
  const nodes = [...(await nodesOf(repository, run))].filter(([, { type }]) => type !== 'dir')
  const collected = await Array.fromAsync(readFurtherNames(run.furtherNames, (id) => repository.readChunk(id)))
  assert.deepEqual(
    collected.flat(),
    nodes.flatMap(([, { hardLink }]) => hardLink ?? []),
  )
  return Object.fromEntries(nodes.map(([path, { hardLink }]) => [path, hardLink]))
}

function newTree(): string {
  const root = newDirectory()
  mkdirSync(`${root}/d`)
  writeFileSync(`${root}/a`, testBytes('linked', 200_000))
  for (const name of ['b', 'd/c', toSystemPath(LATIN1_NAME)]) {
    linkSync(`${root}/a`, Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]))
  }
  return root
}

describe('files with several names', () => {
  it('are read once, and every name is whole by itself', async (t) => {
    const root = newTree()
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(root))
    assert.deepEqual(run.entries.toSorted(), ['A a', 'd d', 'h b', `h ${LATIN1_NAME}`, 'h d/c'].toSorted())
    assert.deepEqual(await linksOf(repository, run), { a: undefined, b: 'a', [LATIN1_NAME]: 'a', 'd/c': 'a' })
    const nodes = await nodesOf(repository, run)
    for (const path of ['a', 'b', 'd/c', LATIN1_NAME])
      assert.ok((await contentOf(repository, nodes.get(path))).equals(testBytes('linked', 200_000)))
    assert.equal(run.data.chunks, run.data.newChunks)
    if (!hasPrograms(t, 'strace')) return
    const opened = traceRun(root, 'openat').matchAll(new RegExp(`"${root}/([^"]+)".*= \\d`, 'g'))
    assert.deepEqual(
      Array.from(opened, ([, name]) => name),
      ['a'],
    )
  })

  it('are all unchanged in the next run, and the same tree', async () => {
    const root = newTree()
    const repository = await newRepository()
    const parent = await archiveInto(repository, folderSource(root))
    const run = await archiveInto(repository, folderSource(root), { parent })
    assert.deepEqual(run.entries.toSorted(), ['U a', 'U b', 'U d/c', `U ${LATIN1_NAME}`, 'd d'].toSorted())
    assert.deepEqual([run.tree, run.stamps, run.furtherNames], [parent.tree, parent.stamps, parent.furtherNames])
  })

  it('end, after any name was added, removed or written to, in the tree of a run without a parent', async () => {
    const changes: ((root: string) => void)[] = [
      (root) => rmSync(`${root}/a`),
      (root) => rmSync(`${root}/b`),
      (root) => rmSync(`${root}/d`, { recursive: true }),
      (root) => linkSync(`${root}/a`, `${root}/0`),
      (root) => linkSync(`${root}/a`, `${root}/z`),
      (root) => appendFileSync(`${root}/b`, 'more'),
      (root) => chmodSync(`${root}/b`, 0o600),
      (root) => {
        rmSync(`${root}/b`)
        writeFileSync(`${root}/b`, 'another file')
      },
      (root) => {
        for (const name of ['b', 'd/c']) rmSync(`${root}/${name}`)
        rmSync(toSystemPath(`${root}/${LATIN1_NAME}`))
      },
    ]
    for (const change of changes) {
      const root = newTree()
      const repository = await newRepository()
      const parent = await archiveInto(repository, folderSource(root))
      change(root)
      for (const detect of ['auto', 'full-hash'] as const) {
        const run = await archiveInto(repository, folderSource(root), { parent, detect })
        const alone = await archiveInto(repository, folderSource(root))
        assert.deepEqual(run.issues, [])
        assert.equal(toHex(run.tree), toHex(alone.tree), String(change))
        assert.equal(toHex(run.stamps), toHex(alone.stamps), String(change))
        assert.equal(toHex(run.furtherNames), toHex(alone.furtherNames), String(change))
      }
    }
  })

  it('have the same names when they lie below several roots, and when the first is left out', async () => {
    const root = newTree()
    const repository = await newRepository()
    const roots = await archiveInto(repository, openFolderSource(['d', 'b'], root))
    assert.deepEqual(await linksOf(repository, roots), { b: undefined, 'd/c': 'b' })
    const without = openFolderSource(['.'], root, { ...NOTHING_EXCLUDED, excludeLargerThanBytes: 1 })
    assert.deepEqual(await linksOf(repository, await archiveInto(repository, without)), {})
  })

  it('are read under the next name when the first cannot be read', async () => {
    const root = newTree()
    const entries = await entriesOf(root)
    // Where the first name is looked for, nothing is.
    const gone = entries.map((entry) => (entry.path === 'a' ? { ...entry, systemPath: `${root}/missing` } : entry))
    const repository = await newRepository()
    const run = await archiveInto(repository, sourceOf(gone))
    assert.deepEqual(run.issues, ['ENOENT a'])
    const nodes = await nodesOf(repository, run)
    assert.equal(nodes.has('a'), false)
    for (const path of ['b', 'd/c', LATIN1_NAME])
      assert.ok((await contentOf(repository, nodes.get(path))).equals(testBytes('linked', 200_000)), path)
  })

  it('are not trusted in the next run when the first name is not', async () => {
    const root = newTree()
    const entries = await entriesOf(root)
    const repository = await newRepository()
    appendFileSync(`${root}/a`, 'after it was listed')
    const parent = await archiveInto(repository, sourceOf(entries))
    const run = await archiveInto(repository, sourceOf(entries), { parent })
    assert.deepEqual(
      run.entries.filter((entry) => entry.startsWith('U')),
      [],
    )
  })

  it('may be symlinks, FIFOs and devices', { skip: SKIP_UNLESS_ROOT }, async () => {
    const root = newDirectory()
    symlinkSync('nowhere', `${root}/link`)
    makeSpecialFile(`${root}/fifo`, 'fifo', 0o600, { major: 0, minor: 0 })
    makeSpecialFile(`${root}/device`, 'chardev', 0o600, { major: 1, minor: 3 })
    for (const name of ['link', 'fifo', 'device']) linkSync(`${root}/${name}`, `${root}/z-${name}`)
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(root))
    assert.deepEqual(run.entries.toSorted(), ['c device', 'f fifo', 'h z-device', 'h z-fifo', 'h z-link', 's link'])
    const nodes = await nodesOf(repository, run)
    assert.deepEqual(
      [nodes.get('z-link')?.linkTarget, nodes.get('z-device')?.device],
      ['nowhere', { major: 1, minor: 3 }],
    )
    const next = await archiveInto(repository, folderSource(root), { parent: run })
    assert.deepEqual([next.tree, new Set(next.entries.map((entry) => entry[0]))], [run.tree, new Set('U')])
  })

  it('may be very many: 50,000 names of one file', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/first`, 'x')
    for (let i = 0; i < 50_000; i++) linkSync(`${root}/first`, `${root}/n${i}`)
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(root))
    assert.equal(run.data.chunks, 1)
    assert.equal(run.entries.filter((entry) => entry.startsWith('h')).length, 50_000)
    const next = await archiveInto(repository, folderSource(root), { parent: run })
    assert.deepEqual([next.tree, next.data.chunks], [run.tree, 0])
  })
})
