/** Every way to recognize what has not changed, against every way in which a file can change; and parents that are damaged. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { FILE_FLAGS, setFileFlags } from '../platform/file-flags.ts'
import { setTimes } from '../platform/native.ts'
import { hasPrograms, newDirectory, newFileSystem, SKIP_UNLESS_ROOT } from '../platform/testing.ts'
import { SAMPLE_BLOCK_BYTES } from '../snapshot/samples.ts'
import type { Source } from '../sources/source.ts'
import { sourceOf } from '../sources/testing.ts'
import type { Detect } from './archiver.ts'
import { archiveInto, entriesOf, folderSource, newRepository } from './testing.ts'

const DETECT: readonly Detect[] = ['auto', 'ctime', 'mtime', 'partial-hash', 'full-hash']
const LARGE = 10 * SAMPLE_BLOCK_BYTES

function withTimes(file: string, change: () => void): void {
  const { atimeNs, mtimeNs } = statSync(file, { bigint: true })
  change()
  setTimes(file, atimeNs, mtimeNs)
}

function overwrite(file: string, offset: number): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, 'overwritten', offset)
  closeSync(fd)
}

interface Change {
  readonly name: string
  readonly apply: (file: string) => void
  /** Ways that do not notice, by design; then the tree is the old one but for attributes. */
  readonly unnoticed?: readonly Detect[]
  /** `U`: content need not be read again, by these ways. */
  readonly unread: readonly Detect[]
}

const NONE: readonly Detect[] = []
const CHANGES: readonly Change[] = [
  { name: 'nothing', apply: () => undefined, unread: DETECT },
  { name: 'its content and size', apply: (file) => appendFileSync(file, 'more'), unread: NONE },
  { name: 'its mtime alone', apply: (file) => setTimes(file, 5n, 5n), unread: ['full-hash'] },
  {
    name: 'its content, of the same size, with the mtime set back',
    apply: (file) => withTimes(file, () => overwrite(file, 10)),
    unnoticed: ['mtime'],
    unread: ['mtime'],
  },
  {
    name: 'its content outside of the sampled blocks, with the mtime set back',
    apply: (file) => withTimes(file, () => overwrite(file, SAMPLE_BLOCK_BYTES + 5)),
    unnoticed: ['mtime', 'partial-hash'],
    unread: ['mtime', 'partial-hash'],
  },
  {
    name: 'its inode, by a copy that took its place',
    apply: (file) => {
      copyFileSync(file, `${file}-copy`)
      execFileSync('touch', ['-r', file, `${file}-copy`])
      renameSync(`${file}-copy`, file)
    },
    unread: ['mtime', 'partial-hash', 'full-hash'],
  },
  { name: 'its mode', apply: (file) => chmodSync(file, 0o4600), unread: ['mtime', 'partial-hash', 'full-hash'] },
  { name: 'its owner', apply: (file) => chownSync(file, 77, 88), unread: ['mtime', 'partial-hash', 'full-hash'] },
  {
    name: 'an attribute',
    apply: (file) => execFileSync('setfattr', ['-n', 'user.a', '-v', 'b', file]),
    unread: ['mtime', 'partial-hash', 'full-hash'],
  },
  {
    name: 'an ACL',
    apply: (file) => execFileSync('setfacl', ['-m', 'u:77:r', file]),
    unread: ['mtime', 'partial-hash', 'full-hash'],
  },
  {
    name: 'a flag',
    apply: (file) => setFileFlags(file, FILE_FLAGS.NODUMP),
    unread: ['mtime', 'partial-hash', 'full-hash'],
  },
  {
    name: 'another name that it got',
    apply: (file) => linkSync(file, `${file}-same`),
    unread: ['mtime', 'partial-hash', 'full-hash'],
  },
]

describe('change detection', { skip: SKIP_UNLESS_ROOT }, () => {
  for (const detect of DETECT) {
    it(`by ${detect} finds every change that it is meant to find`, async (t) => {
      if (!hasPrograms(t, 'setfattr', 'setfacl')) return
      const system = newFileSystem(t, 'ext4')
      if (!system) return
      const root = system.directory
      rmSync(`${root}/lost+found`, { recursive: true })
      for (const [i] of CHANGES.entries()) writeFileSync(`${root}/${100 + i}`, testBytes(String(i), LARGE))
      const repository = await newRepository()
      const parent = await archiveInto(repository, folderSource(root), { detect })
      const before = await archiveInto(repository, folderSource(root), { parent, detect })
      assert.deepEqual([before.tree, before.stamps, before.samples], [parent.tree, parent.stamps, parent.samples])
      for (const [i, { apply }] of CHANGES.entries()) apply(`${root}/${100 + i}`)
      const run = await archiveInto(repository, folderSource(root), { parent, detect })
      for (const [i, { name, unread }] of CHANGES.entries()) {
        const isUnread = unread.includes(detect)
        assert.ok(run.entries.includes(`${isUnread ? 'U' : 'M'} ${100 + i}`), `${name}: ${run.entries.join()}`)
      }
      assert.deepEqual(run.issues, [])
      // But for what it cannot notice, the tree is that of a run without parent.
      const isBlind = CHANGES.some(({ unnoticed }) => unnoticed?.includes(detect))
      const alone = await archiveInto(repository, folderSource(root), { detect })
      assert.equal(toHex(run.tree) === toHex(alone.tree), !isBlind)
      for (const [i, { unnoticed }] of CHANGES.entries())
        if (unnoticed?.includes(detect)) overwrite(`${root}/${100 + i}`, 10)
      const full = await archiveInto(repository, folderSource(root), { parent: run, detect: 'full-hash' })
      const last = await archiveInto(repository, folderSource(root))
      assert.equal(toHex(full.tree), toHex(last.tree))
    })
  }

  it('auto goes by samples where inode numbers and times mean little', async () => {
    const root = newDirectory()
    for (const size of [0, 1, 3 * SAMPLE_BLOCK_BYTES, LARGE])
      writeFileSync(`${root}/${size}`, testBytes('sampled', size))
    symlinkSync('x', `${root}/link`)
    const repository = await newRepository()
    const entries = (await entriesOf(root)).map((entry) => ({ ...entry, fileSystemKind: 'network' as const }))
    const parent = await archiveInto(repository, sourceOf(entries))
    assert.ok(parent.samples)
    // Another mount: all inode numbers and change times are others.
    const remounted = entries.map((entry) => ({ ...entry, inode: entry.inode + 1000n, ctimeNs: entry.ctimeNs + 5n }))
    const run = await archiveInto(repository, sourceOf(remounted), { parent })
    assert.deepEqual(run.entries.toSorted(), ['U 0', 'U 1', `U ${3 * SAMPLE_BLOCK_BYTES}`, `U ${LARGE}`, 's link'])
    assert.deepEqual([run.tree, run.samples, run.data.chunks], [parent.tree, parent.samples, 0])
    // Only content tells now.
    for (const size of [1, 3 * SAMPLE_BLOCK_BYTES, LARGE]) overwriteAt(`${root}/${size}`, size >> 1)
    const changed = await archiveInto(repository, sourceOf(remounted), { parent })
    assert.deepEqual(
      changed.entries.filter((entry) => entry.startsWith('U')),
      ['U 0'],
    )
  })

  it('by samples reads everything when the parent has none', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/file`, 'x')
    const repository = await newRepository()
    const parent = await archiveInto(repository, folderSource(root), { detect: 'ctime' })
    assert.equal(parent.samples, undefined)
    const run = await archiveInto(repository, folderSource(root), { parent, detect: 'partial-hash' })
    assert.deepEqual(run.entries, ['M file'])
    assert.ok(run.samples)
  })
})

function overwriteAt(file: string, offset: number): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, '\0', offset)
  closeSync(fd)
}

/** A source of directories of different size, some with more nodes than a chunk of a tree has, and files with long content. */
async function newSource(): Promise<{ source: () => Source; files: number }> {
  const root = newDirectory()
  mkdirSync(`${root}/d/e`, { recursive: true })
  mkdirSync(`${root}/many`)
  for (const name of ['a', 'd/b', 'd/e/c', 'z']) writeFileSync(`${root}/${name}`, testBytes(name, 200_000))
  for (let i = 0; i < 1500; i++) writeFileSync(`${root}/many/${i}`, i % 100 === 0 ? testBytes(String(i), 20_000) : '')
  // Content so long that its list of chunks is stored as chunks.
  writeFileSync(`${root}/d/long`, testBytes('long', 8 << 20))
  const entries = await entriesOf(root)
  return { source: () => sourceOf(entries), files: entries.filter(({ type }) => type === 'file').length }
}

describe('a parent that is damaged anywhere', () => {
  for (const detect of ['ctime', 'partial-hash'] as const) {
    it(`is passed over, with one warning, and the tree is right (${detect})`, async () => {
      const { source, files } = await newSource()
      const repository = await newRepository()
      const parent = await archiveInto(repository, source(), { detect })
      const loaded = new Set<string>()
      const whole = await archiveInto(repository, source(), {
        parent,
        detect,
        loadChunk: (id) => {
          loaded.add(toHex(id))
          return repository.readChunk(id)
        },
      })
      assert.equal(whole.entries.filter((entry) => entry.startsWith('U')).length, files)
      assert.ok(loaded.size >= 6, `${loaded.size} chunks of the parent`)
      for (const bad of loaded) {
        for (const how of ['DATA_CORRUPT', 'NOT_FOUND', 'shorter', 'other bytes', 'empty'] as const) {
          const run = await archiveInto(repository, source(), {
            parent,
            detect,
            async loadChunk(id) {
              const bytes = await repository.readChunk(id)
              if (toHex(id) !== bad) return bytes
              if (how === 'shorter') return Buffer.from(bytes.subarray(0, bytes.length - 3))
              if (how === 'other bytes') return Buffer.alloc(bytes.length, 0x5a)
              if (how === 'empty') return Buffer.alloc(0)
              throw new CairnError(how, 'Cannot read a chunk: the test says so')
            },
          })
          const what = `${bad.slice(0, 8)} ${how}`
          assert.equal(toHex(run.tree), toHex(parent.tree), what)
          assert.deepEqual(run.issues, [], what)
          const unchanged = run.entries.filter((entry) => entry.startsWith('U')).length
          // Stamps and samples of other bytes are just those of other files.
          if (how !== 'other bytes' || run.warnings.length > 0) {
            assert.equal(run.warnings.length, 1, what)
            assert.match(run.warnings[0] ?? '', /previous snapshot is damaged/)
            assert.ok(unchanged < files, what)
          }
        }
      }
    })
  }
})
