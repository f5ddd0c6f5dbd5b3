/** Files with holes: what is stored is what lies between them, and where they are. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { hasPrograms, newDirectory, newFileSystem, SKIP_UNLESS_ROOT } from '../platform/testing.ts'
import type { Repository } from '../repository/repository.ts'
import { decodeHoles, readAttachment } from '../snapshot/attachment.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { sourceOf } from '../sources/testing.ts'
import { RANGE_BYTES } from './protocol.ts'
import { archiveInto, contentOf, entriesOf, folderSource, newRepository, nodesOf, traceRun } from './testing.ts'

const BLOCK = 4096
const DATA = testBytes('between holes', 4 << 20)

type Layout = readonly (readonly ['data' | 'hole', blocks: number])[]

/** Writes a file of data and holes; the last `extra` bytes are of a part of a block. */
function writeSparse(file: string, layout: Layout, extra = 0): void {
  const fd = openSync(file, 'w')
  let at = 0
  for (const [kind, blocks] of layout) {
    const bytes = blocks * BLOCK
    const dataBytes = kind === 'data' ? bytes : 0
    for (let done = 0; done < dataBytes; done += DATA.length)
      writeSync(fd, DATA, 0, Math.min(DATA.length, dataBytes - done), at + done)
    at += bytes
  }
  ftruncateSync(fd, at + extra)
  closeSync(fd)
}

async function holesOf(
  repository: Repository,
  node: TreeNode | undefined,
): Promise<{ offset: number; length: number }[]> {
  if (!node?.holes) return []
  const bytes = await readAttachment(node.holes, (id) => repository.readChunk(id), node.name)
  return decodeHoles(bytes, node.sizeBytes, node.name)
}

/** A file put together from its content and its holes; throws when they do not fit. */
async function wholeOf(repository: Repository, node: TreeNode | undefined): Promise<Buffer> {
  assert.ok(node)
  const whole = Buffer.alloc(node.sizeBytes)
  const content = await contentOf(repository, node)
  let used = 0
  let at = 0
  const copyTo = (end: number): void => {
    assert.ok(end >= at && used + end - at <= content.length)
    content.copy(whole, at, used, used + end - at)
    used += end - at
  }
  for (const { offset, length } of await holesOf(repository, node)) {
    copyTo(offset)
    at = offset + length
  }
  copyTo(node.sizeBytes)
  assert.equal(used, content.length)
  return whole
}

async function expectKept(root: string, names: readonly string[], workers = 1): Promise<void> {
  const repository = await newRepository()
  const run = await archiveInto(repository, folderSource(root), { workers })
  assert.deepEqual(run.issues, [])
  const nodes = await nodesOf(repository, run)
  for (const name of names) {
    const node = nodes.get(name)
    const file = readFileSync(`${root}/${name}`)
    assert.ok((await wholeOf(repository, node)).equals(file), name)
    const { blocks } = statSync(`${root}/${name}`)
    // Nothing of the holes is stored.
    assert.ok(
      (await contentOf(repository, node)).length <= Math.max(blocks * 512, 0) || blocks * 512 >= file.length,
      name,
    )
  }
  const again = await archiveInto(repository, folderSource(root), { parent: run })
  assert.equal(toHex(again.tree), toHex(run.tree))
  assert.ok(again.entries.every((entry) => entry.startsWith('U')))
}

const anyLayout: fc.Arbitrary<Layout> = fc.array(
  fc.tuple(fc.constantFrom('data' as const, 'hole' as const), fc.integer({ min: 1, max: 40 })),
  { maxLength: 30 },
)

describe('a sparse file', () => {
  it('is its content and its holes, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(anyLayout, fc.nat(BLOCK - 1)), { minLength: 1, maxLength: 8 }),
        async (layouts) => {
          const root = newDirectory()
          for (const [i, [layout, extra]] of layouts.entries()) writeSparse(`${root}/${i}`, layout, extra)
          await expectKept(root, Object.keys(layouts))
        },
      ),
      { numRuns: 12 },
    )
  })

  it('may be larger than a range, with holes anywhere and as large as that', async () => {
    const range = RANGE_BYTES / BLOCK
    const layouts: Layout[] = [
      [['hole', 3 * range]],
      [
        ['hole', 2 * range],
        ['data', 1],
      ],
      [
        ['data', 1],
        ['hole', 2 * range],
      ],
      [
        ['data', range + 5],
        ['hole', range],
        ['data', range + 3],
        ['hole', 7],
        ['data', 2],
      ],
      [
        ['hole', 1],
        ['data', 2 * range],
        ['hole', 1],
        ['data', range],
      ],
      Array.from({ length: 1000 }, (_, i): Layout[number] => [i % 2 === 0 ? 'data' : 'hole', 12]),
    ]
    const root = newDirectory()
    for (const [i, layout] of layouts.entries()) writeSparse(`${root}/${i}`, layout, 77)
    await expectKept(root, Object.keys(layouts), 2)
  })

  it('is cut between its holes as if these were not there', async () => {
    const root = newDirectory()
    writeSparse(`${root}/dense`, [['data', 9000]])
    writeSparse(`${root}/sparse`, [
      ['data', 400],
      ['hole', 5000],
      ['data', 8600],
    ])
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(root), { workers: 2 })
    const nodes = await nodesOf(repository, run)
    const content = await contentOf(repository, nodes.get('sparse'))
    assert.equal(content.length, 9000 * BLOCK)
    assert.deepEqual(await holesOf(repository, nodes.get('sparse')), [{ offset: 400 * BLOCK, length: 5000 * BLOCK }])
  })

  it('is never read where its holes are', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const root = newDirectory()
    writeSparse(`${root}/small`, [
      ['data', 2],
      ['hole', 200],
      ['data', 3],
    ])
    writeSparse(`${root}/large`, [
      ['data', 10],
      ['hole', 100_000],
      ['data', 20],
      ['hole', 300_000],
    ])
    const read = { small: 0, large: 0 }
    for (const [, name = '', count] of traceRun(root, 'pread64,read').matchAll(/\/(small|large)>, .*= (\d+)$/gm))
      read[name as keyof typeof read] += Number(count)
    assert.deepEqual(read, { small: 5 * BLOCK, large: 30 * BLOCK })
  })

  it('keeps the largest of more holes than a tree should hold', { skip: SKIP_UNLESS_ROOT }, async (t) => {
    const system = newFileSystem(t, 'tmpfs')
    if (!system) return
    const file = `${system.directory}/file`
    const fd = openSync(file, 'w')
    const count = 70_000
    for (let i = 0; i < count; i++) writeSync(fd, 'x', i * 2 * BLOCK)
    ftruncateSync(fd, count * 2 * BLOCK + (1 << 20))
    closeSync(fd)
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(system.directory))
    const node = (await nodesOf(repository, run)).get('file')
    const holes = await holesOf(repository, node)
    assert.equal(holes.length, 65_536)
    assert.equal(holes.at(-1)?.length, (1 << 20) + BLOCK)
    const content = await contentOf(repository, node)
    assert.equal(content.length + holes.reduce((sum, { length }) => sum + length, 0), node?.sizeBytes)
    assert.equal(
      content.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0),
      count,
    )
  })

  it('that grows, shrinks or loses holes between scan and read is what it is by then', async () => {
    const range = RANGE_BYTES / BLOCK
    for (const layout of [
      [
        ['data', 5],
        ['hole', 50],
        ['data', 5],
      ],
      [
        ['data', 5],
        ['hole', 2 * range],
        ['data', range + 5],
        ['hole', 9],
      ],
    ] satisfies Layout[]) {
      const changes: ((file: string) => void)[] = [
        (file) => appendFileSync(file, DATA.subarray(0, 100_000)),
        (file) => truncateSync(file, 3 * BLOCK),
        (file) => truncateSync(file, 20 * BLOCK),
        (file) => truncateSync(file, 0),
        (file) =>
          writeSparse(file, [
            ['hole', 8],
            ['data', 3 * range],
            ['hole', 100],
          ]),
      ]
      for (const change of changes) {
        const root = newDirectory()
        writeSparse(`${root}/file`, layout)
        const entries = await entriesOf(root)
        change(`${root}/file`)
        const repository = await newRepository()
        const run = await archiveInto(repository, sourceOf(entries))
        assert.deepEqual(run.issues, [])
        const node = (await nodesOf(repository, run)).get('file')
        assert.ok((await wholeOf(repository, node)).equals(readFileSync(`${root}/file`)), String(change))
      }
    }
  })

  it('that never keeps still is still content and holes that fit', async () => {
    const root = newDirectory()
    writeSparse(`${root}/file`, [
      ['data', 500],
      ['hole', 3000],
      ['data', 9000],
      ['hole', 90],
    ])
    const writing = setInterval(() => {
      truncateSync(`${root}/file`, 100 * BLOCK)
      truncateSync(`${root}/file`, 12_590 * BLOCK)
    }, 1)
    const repository = await newRepository()
    const run = await archiveInto(repository, folderSource(root)).finally(() => clearInterval(writing))
    const node = (await nodesOf(repository, run)).get('file')
    await wholeOf(repository, node)
  })
})
