/** Any tree comes back from an archive as it was; any damage is an error, or seen, and never a crash. */
import assert from 'node:assert/strict'
import { chmodSync, linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../../src/base/errors.ts'
import { toSystemPath } from '../../src/base/raw-name.ts'
import { testBytes } from '../../src/chunker/testing.ts'
import { exportSnapshot } from '../../src/operations/export.ts'
import { importArchive } from '../../src/operations/import.ts'
import { verifyArchive } from '../../src/operations/verify.ts'
import { setTimes } from '../../src/platform/native.ts'
import { setXattr } from '../../src/platform/xattrs.ts'
import { LATIN1_NAME, TestRepository, newFolder } from '../testing.ts'

const name = fc
  .oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom('a', 'b', 'ab', 'a.b', '-', '\u00e9', LATIN1_NAME, 'x'.repeat(200), 'nl\n', '%='),
    },
    fc
      .string({ minLength: 1, maxLength: 12, unit: 'binary' })
      .map((text) => text.replaceAll(/[/\0]/g, '_').toWellFormed()),
  )
  .filter((text) => text !== '.' && text !== '..' && Buffer.byteLength(text) <= 200)

const entry = fc.record({
  path: fc.array(name, { minLength: 1, maxLength: 4 }),
  kind: fc.constantFrom('file', 'file', 'file', 'dir', 'symlink', 'hardlink', 'sparse'),
  size: fc.oneof(fc.constantFrom(0, 1, 511, 512, 513, 4096), fc.nat(200_000)),
  mtimeNs: fc.bigInt(-2_000_000_000_000_000_000n, 8_000_000_000_000_000_000n),
  mode: fc.nat(0o7777),
  xattr: fc.option(fc.uint8Array({ maxLength: 100 })),
})
type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never

/** Makes what can be made of the entries; what cannot is left out. */
function makeTree(root: string, entries: readonly Entry[]): void {
  const files: string[] = []
  for (const { path: parts, kind, size, mtimeNs, mode, xattr } of entries) {
    const at = [root, ...parts].join('/')
    try {
      mkdirSync(toSystemPath(path.dirname(at)), { recursive: true })
      if (kind === 'dir') mkdirSync(toSystemPath(at))
      else if (kind === 'symlink') symlinkSync(toSystemPath(parts.join('/')), toSystemPath(at))
      else if (kind === 'hardlink') linkSync(toSystemPath(files[size % files.length] ?? ''), toSystemPath(at))
      else {
        writeFileSync(toSystemPath(at), testBytes(parts.join('/'), size), { flag: 'wx' })
        if (kind === 'sparse') truncateSync(toSystemPath(at), size + 50_000)
        if (xattr) setXattr(at, 'user.any', Buffer.from(xattr))
        files.push(at)
      }
      if (kind !== 'symlink' && kind !== 'hardlink') chmodSync(toSystemPath(at), mode | 0o600)
      setTimes(at, 0n, mtimeNs)
    } catch {
      // a name that is taken
    }
  }
}

describe('any tree', () => {
  it('is the same after an export and an import, plain and compressed', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 25 }),
        fc.constantFrom(undefined, 'gzip', 'zstd'),
        async (entries, filter) => {
          const root = newFolder()
          makeTree(root, entries)
          const here = process.cwd()
          process.chdir(root)
          const { snapshot } = await repository.create(['.'])
          process.chdir(here)
          const file = path.join(newFolder(), 'a')
          const target = { file, replace: false }
          const result = await exportSnapshot(repository.access, {
            snapshot: snapshot.id,
            paths: [],
            format: 'tar',
            filter,
            target,
          })
          const imported = await importArchive(repository.access, { file, name: `import-${++run}`, workers: 1 })
          assert.deepEqual([imported.issues, imported.snapshot.tree], [0, snapshot.tree])
          const verified = await verifyArchive({ file })
          assert.deepEqual([verified.fileCount, verified.totalSize], [result.fileCount, result.totalSize])
          assert.equal(imported.snapshot.stats.originalBytes, result.totalSize)
        },
      ),
      { numRuns: 15 },
    )
  })
})

describe('a byte of an archive that is another one', () => {
  for (const [format, filter] of [
    ['tar', undefined],
    ['tar', 'gzip'],
    ['tar', 'zstd'],
    ['zip', undefined],
  ] as const) {
    it(`${format} ${filter ?? ''}: is an error, or another tree, or lies where nothing is`, async () => {
      const root = newFolder()
      writeFileSync(`${root}/f`, 'some content, and more of it')
      writeFileSync(`${root}/sparse`, 'x')
      truncateSync(`${root}/sparse`, 300_000)
      linkSync(`${root}/f`, `${root}/g`)
      symlinkSync('f', `${root}/s`)
      mkdirSync(`${root}/d`)
      setXattr(`${root}/f`, 'user.x', Buffer.from('value'))
      const repository = await TestRepository.create({ encryption: 'none' })
      const here = process.cwd()
      process.chdir(root)
      const { snapshot } = await repository.create(['.'])
      process.chdir(here)
      const file = path.join(newFolder(), 'a')
      const target = { file, replace: false }
      await exportSnapshot(repository.access, { snapshot: snapshot.id, paths: [], format, filter, target })
      const good = readFileSync(file)
      const sidecar = readFileSync(`${file}.meta.json`)
      const wholeTree = (await importArchive(repository.access, { file, name: 'whole', workers: 1 })).snapshot.tree
      let unnoticed = 0
      let runs = 0
      await fc.assert(
        fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
          const bad = Buffer.from(good)
          bad[at] = (bad[at] as number) ^ change
          const damaged = path.join(newFolder(), 'b')
          writeFileSync(damaged, bad)
          try {
            const { snapshot: got } = await importArchive(repository.access, {
              file: damaged,
              name: `bad-${++runs}`,
              workers: 1,
            })
            // Padding, and what an archive says twice.
            if (got.tree === wholeTree) unnoticed++
          } catch (error) {
            assert.ok(isCairnError(error) && error.code !== 'INTERNAL', String(error))
          }
          // With a sidecar every one is noticed.
          writeFileSync(`${damaged}.meta.json`, sidecar)
          await assert.rejects(verifyArchive({ file: damaged }), { code: 'CHECKSUM_DIFFERS' })
          await assert.rejects(
            importArchive(repository.access, { file: damaged, name: `bad-${++runs}`, workers: 1 }),
            (error) => isCairnError(error) && error.code !== 'INTERNAL',
          )
        }),
        { numRuns: 25 },
      )
      // A tar of small files is mostly padding; headers of gzip say things that nobody needs.
      assert.ok(filter === undefined || unnoticed <= 15, `${unnoticed} of 25 were not noticed`)
    })
  }
})
