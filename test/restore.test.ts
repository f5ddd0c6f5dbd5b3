import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { toSystemPath } from '../src/base/raw-name.ts'
import { setTimes } from '../src/platform/native.ts'
import { anyName } from '../src/snapshot/testing.ts'
import { IS_ROOT, TestRepository, newFolder } from './testing.ts'
import { makeTortureTree } from './torture-tree.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
let repository: TestRepository

before(async () => {
  makeTortureTree(source)
  repository = await TestRepository.create()
  const { issues } = await repository.create([source], { workers: 2 })
  assert.equal(issues, 0)
})

describe('restoring a snapshot', () => {
  it('brings back names, types, modes, owners, times, links and contents exactly', async () => {
    await repository.expectRestored(source)
  })

  it('counts what it restored', async () => {
    const result = await repository.extract()
    const lines = digestTree(source)
    const ofType = (pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length
    assert.equal(result.files, ofType(/^".*" 10\d{4} /))
    assert.equal(result.otherEntries, ofType(/^".*" 12\d{4} /))
    assert.equal(result.directories, ofType(/^".*" 4\d{4} /))
    const content = result.events
      .filter((event) => event.type === 'entry')
      .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    assert.equal(result.bytes, content)
    assert.equal(result.events.filter((event) => event.type === 'entry').length, lines.length)
  })

  it('brings back only what lies at or below the paths asked for, and the directories on the way', async () => {
    const inside = source.slice(1)
    const paths = [`${source}/sizes`, `${inside}/deep/`, `${inside}/links/self`, `./${inside}/names//plain`]
    const { target, issues } = await repository.extract({ paths })
    assert.equal(issues, 0)
    const restored = path.join(target, source)
    assert.deepEqual(readdirSync(restored), ['deep', 'links', 'names', 'sizes'])
    assert.deepEqual(readdirSync(`${restored}/links`), ['self'])
    assert.deepEqual(readdirSync(`${restored}/names`), ['plain'])
    for (const name of ['sizes', 'deep'])
      assert.deepEqual(digestTree(`${restored}/${name}`), digestTree(`${source}/${name}`))
    // Directories on the way are themselves too, but for their content.
    assert.deepEqual(digestTree(restored)[0], digestTree(source)[0])
  })

  it('throws NOT_FOUND for a path that is not in the snapshot, and makes nothing', async () => {
    const target = path.join(newFolder(), 'target')
    await assert.rejects(repository.extract({ paths: [`${source}/sizes`, 'no/such/path'], target }), {
      code: 'NOT_FOUND',
    })
    await assert.rejects(repository.extract({ snapshot: 'unknown', target }), { code: 'NOT_FOUND' })
    assert.equal(existsSync(target), false)
  })

  it('makes the target and what is missing above it', async () => {
    const target = path.join(newFolder(), 'a/b/c')
    await repository.extract({ paths: [`${source}/empty`], target })
    assert.ok(statSync(path.join(target, source, 'empty')).isDirectory())
  })

  it('writes large files whole with any number of workers', async () => {
    for (const workers of [1, 5]) {
      const { target } = await repository.extract({ paths: [`${source}/sizes`], workers })
      assert.deepEqual(digestTree(path.join(target, source, 'sizes')), digestTree(`${source}/sizes`))
    }
  })
})

describe('backing up and restoring any tree', () => {
  const anyEntry = fc.record({
    parts: fc.array(anyName, { minLength: 1, maxLength: 4 }),
    kind: fc.constantFrom('file', 'dir', 'link'),
    content: fc.uint8Array({ maxLength: 300 }),
    repeat: fc.constantFrom(1, 1, 1, 50, 3000),
    mode: fc.integer({ min: 0o600, max: 0o7777 }).map((mode) => mode | 0o700),
    mtimeNs: fc.bigInt({ min: -(2n ** 31n) * 1_000_000_000n, max: 2n ** 33n * 1_000_000_000n }),
    owner: fc.nat(3),
  })

  it('gives it back', async () => {
    const trees = await TestRepository.create()
    await fc.assert(
      fc.asyncProperty(fc.array(anyEntry, { maxLength: 25 }), async (entries) => {
        const root = newFolder()
        for (const entry of entries) makeEntry(root, entry)
        const { issues } = await trees.create([root])
        assert.equal(issues, 0)
        await trees.expectRestored(root)
      }),
      { numRuns: 10 },
    )
  })

  function makeEntry(root: string, entry: typeof anyEntry extends fc.Arbitrary<infer T> ? T : never): void {
    const { parts, kind, content, repeat, mode, mtimeNs, owner } = entry
    const where = [root, ...parts].join('/')
    const systemPath = toSystemPath(where)
    try {
      mkdirSync(toSystemPath([root, ...parts.slice(0, -1)].join('/')), { recursive: true })
      if (kind === 'dir') mkdirSync(systemPath)
      else if (kind === 'link') symlinkSync(toSystemPath(parts.join('/')), systemPath)
      else writeFileSync(systemPath, Buffer.concat(Array.from({ length: repeat }, () => content)), { flag: 'wx' })
    } catch (error) {
      // The name is taken, or something on the way is no directory.
      assert.match(String(error), /EEXIST|ENOTDIR|ENOENT|ELOOP/)
      return
    }
    if (IS_ROOT) lchownSync(systemPath, owner, owner)
    if (kind !== 'link') chmodSync(systemPath, mode)
    setTimes(where, mtimeNs, mtimeNs)
  }
})
