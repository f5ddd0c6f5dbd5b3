/** What was written from docs/format.md alone finds what few files have: names, devices, attributes, holes, flags, samples. */
import assert from 'node:assert/strict'
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { blake3 } from '../src/codec/hash.ts'
import { deviceNumbers } from '../src/platform/special-files.ts'
import { newFileSystem } from '../src/platform/testing.ts'
import { readXattrs, setXattr } from '../src/platform/xattrs.ts'
import { type ForeignNode, ForeignReader } from './format-reader.ts'
import { makeRareTree, unlockRareTree } from './rare-tree.ts'
import { IS_ROOT, TestRepository, needs } from './testing.ts'

describe('a snapshot of everything, read with docs/format.md', { skip: needs(IS_ROOT, 'needs root') }, () => {
  it('has all of it', async (t) => {
    const system = newFileSystem(t, 'ext4', { format: ['-b', '4096'] })
    if (!system) return
    const source = `${system.directory}/source`
    mkdirSync(source)
    makeRareTree(source)
    t.after(() => unlockRareTree(source))
    setXattr(`${source}/xattrs/user`, 'user.second', Buffer.alloc(2000, 'more than a node holds by itself'))
    writeFileSync(`${source}/sampled`, Buffer.alloc(300_000, 'sampled'))
    const repository = await TestRepository.create({ encryption: 'none' })
    process.chdir(source)
    try {
      await repository.create(['.'], { listEntries: false, atime: true, detect: 'partial-hash' })
    } finally {
      process.chdir('/')
    }

    const reader = new ForeignReader(repository.location, '')
    const [record] = [...reader.snapshots().values()] as [
      { tree: string; root: string; samples: string; furtherNames: string },
    ]
    const nodes = new Map<string, ForeignNode>()
    const walk = (tree: Buffer, folder: string): void => {
      for (const node of reader.nodes(tree)) {
        const path = folder + node.name.toString()
        nodes.set(path, node)
        const below = node.tags.get(5)
        if (below) walk(below, `${path}/`)
      }
    }
    walk(Buffer.from(record.tree, 'hex'), '')

    const firstNames = new Map<bigint, string>()
    for (const [path, node] of nodes) {
      const at = `${source}/${path}`
      const stat = lstatSync(at, { bigint: true })
      assert.equal(node.mtimeNs, stat.mtimeNs, path)
      assert.deepEqual(
        [...reader.xattrs(node)].map(([key, value]) => [key, value.toString('hex')]),
        readXattrs(at).map(({ name: key, value }) => [key, value.toString('hex')]),
        path,
      )
      const link = stat.isDirectory() ? undefined : firstNames.get(stat.ino)
      assert.equal(node.tags.get(8)?.toString(), link, path)
      if (!link) firstNames.set(stat.ino, path)
      if (stat.isFile()) assert.ok(reader.file(node).equals(readFileSync(at)), path)
      if (stat.isBlockDevice()) {
        const { major, minor } = deviceNumbers(stat.rdev)
        const [field, numbers] = [node.tags.get(9) as Buffer, [] as number[]]
        for (let i = 0, value = 0, scale = 1; i < field.length; i++) {
          value += ((field[i] as number) % 128) * scale
          scale *= 128
          if ((field[i] as number) < 128) numbers.push(value)
          if ((field[i] as number) < 128) [value, scale] = [0, 1]
        }
        assert.deepEqual(numbers, [major, minor])
      }
      assert.equal(node.tags.get(13)?.length, 12, path)
    }
    const flags = ['nodump', 'immutable', 'append'].map((flag) => nodes.get(`flags/${flag}`)?.tags.get(12)?.[0])
    assert.deepEqual(flags, [1, 2, 4])
    assert.equal(nodes.get('xattrs/user')?.tags.get(10)?.[0], 1) // in chunks
    assert.ok((nodes.get('sparse/many')?.sizeBytes ?? 0) > reader.content(nodes.get('sparse/many')?.tags.get(4)).length)

    const linked = [...nodes.values()].flatMap((node) => node.tags.get(8) ?? [])
    assert.deepEqual(
      reader.content(Buffer.from(record.furtherNames, 'base64')),
      Buffer.concat(linked.flatMap((name) => [Buffer.of(name.length), name])),
    )

    const root = ForeignReader.node(Buffer.from(record.root, 'base64'))
    assert.deepEqual([root.mode, ...root.owner], [0o2751, 77, 88])
    assert.equal(reader.xattrs(root).get('user.root')?.toString(), 'of the top')

    const samples = reader.content(Buffer.from(record.samples, 'base64'))
    const leaves = [...nodes].filter(([, node]) => node.type !== 2)
    assert.equal(samples.length, leaves.length * 8)
    const bytes = readFileSync(`${source}/sampled`)
    const last = bytes.length - 65_536
    const blocks = [0, Math.floor(last / 2), last].map((start) => bytes.subarray(start, start + 65_536))
    const at = leaves.findIndex(([path]) => path === 'sampled') * 8
    assert.deepEqual(samples.subarray(at, at + 8), Buffer.from(blake3(Buffer.concat(blocks)).subarray(0, 8)))
  })
})
