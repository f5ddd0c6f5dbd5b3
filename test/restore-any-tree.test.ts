/** A restore of any tree over any other one gives exactly the first, whatever is in the way. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { setFileFlags } from '../src/platform/file-flags.ts'
import { setTimes } from '../src/platform/native.ts'
import { makeSpecialFile } from '../src/platform/special-files.ts'
import { setXattr } from '../src/platform/xattrs.ts'
import { commitFolder } from './full-snapshot.ts'
import { IS_ROOT, TestRepository, issuesOf, needs, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const NAMES = ['a', 'b', 'c']
const KINDS = [
  'file',
  'file',
  'sparse',
  'dir',
  'dir',
  'symlink',
  'fifo',
  'chardev',
  'blockdev',
  'link',
  'link',
  'link',
] as const

const anyEntry = fc.record({
  path: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
  kind: fc.constantFrom(...KINDS),
  linkTo: fc.nat(20),
  content: fc.constantFrom('', 'x', 'y', 'z'.repeat(30_000)),
  mode: fc.constantFrom(0o644, 0o600, 0o4755, 0o2711, 0o1777, 0o000),
  owner: fc.constantFrom(0, 0, 1000),
  mtimeNs: fc.constantFrom(1n, -5n, 1_600_000_000_123_456_789n),
  xattrs: fc.constantFrom([], [], ['user.one'], ['user.one', 'user.two'], ['trusted.three']),
  acl: fc.constantFrom(false, false, true),
  noDump: fc.constantFrom(false, false, true),
})
const anyTree = fc.array(anyEntry, { maxLength: 12 })

type Entry = typeof anyEntry extends fc.Arbitrary<infer T> ? T : never

/** Entries whose place is taken, or is in something that is no directory, are left out. */
function build(root: string, entries: readonly Entry[]): void {
  const made: { path: string; entry: Entry }[] = []
  for (const entry of entries) {
    const path = `${root}/${entry.path.join('/')}`
    try {
      const linkable = made.filter(({ entry: { kind } }) => kind !== 'dir')
      make(path, entry, linkable[entry.linkTo % linkable.length]?.path)
      made.push({ path, entry })
    } catch (error) {
      assert.match(String(error), /EEXIST|ENOTDIR|ENOENT|EPERM|ELOOP/)
    }
  }
  for (const { path, entry } of made.reverse()) dress(path, entry)
}

function make(path: string, { kind, content, linkTo }: Entry, existing: string | undefined): void {
  if (kind === 'dir') mkdirSync(path)
  else if (kind === 'symlink') symlinkSync(`to/${linkTo}`, path)
  else if (kind === 'link') linkSync(existing ?? `${path}/none`, path)
  else if (kind === 'file') writeFileSync(path, content, { flag: 'wx' })
  else if (kind === 'sparse') {
    const fd = openSync(path, 'wx')
    writeSync(fd, content, 200_000)
    ftruncateSync(fd, content.length % 2 === 0 ? 400_000 : 1_000_000)
    closeSync(fd)
  } else makeSpecialFile(path, kind, 0o600, { major: 1, minor: content.length % 300 })
}

function dress(path: string, { kind, mode, owner, mtimeNs, xattrs, acl, noDump }: Entry): void {
  if (kind === 'link') return
  lchownSync(path, owner, owner)
  if (kind !== 'symlink') chmodSync(path, mode)
  const takesUser = kind === 'file' || kind === 'sparse' || kind === 'dir'
  for (const name of xattrs)
    if (takesUser || name.startsWith('trusted')) setXattr(path, name, Buffer.from(`${name} of it`))
  // user::rw- user:7:r-- group::r-- mask::r-- other::---
  const access = Buffer.from(
    '0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff',
    'hex',
  )
  if (acl && takesUser) setXattr(path, 'system.posix_acl_access', access)
  if (acl && kind === 'dir') setXattr(path, 'system.posix_acl_default', access)
  setTimes(path, 5n, mtimeNs)
  if (noDump && takesUser) setFileFlags(path, 1)
}

describe('restoring any tree over any other one with mirror', () => {
  const skip = needs(IS_ROOT && process.platform === 'linux', 'needs root on Linux')
  let repository: TestRepository

  before(async () => {
    repository = await TestRepository.create({ encryption: 'none' })
  })

  it('gives exactly the tree, with any number of workers, and the second time changes nothing', { skip }, async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, anyTree, fc.constantFrom(1, 3), async (wanted, other, workers) => {
        const source = newFolder()
        const target = newFolder()
        build(source, wanted)
        build(target, other)
        setTimes(source, 1n, 77n)
        await commitFolder(repository, source)
        const want = digestTree(source)
        const { events } = await repository.extract({ target, workers, conflict: 'mirror', verify: true })
        assert.deepEqual(issuesOf(events), [])
        assert.deepEqual(digestTree(target), want)

        const dry = await repository.extract({ target, workers, conflict: 'mirror', dryRun: true })
        assert.deepEqual(issuesOf(dry.events), [])
        assert.equal(dry.entriesDeleted, 0)
        await repository.extract({ target, workers, conflict: 'mirror' })
        assert.deepEqual(digestTree(target), want)
        execFileSync('rm', ['-rf', source, target])
      }),
      { numRuns: 20 },
    )
  })

  it('gives exactly the tree in an empty folder too', { skip }, async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, fc.constantFrom(1, 3), async (wanted, workers) => {
        const source = newFolder()
        build(source, wanted)
        await commitFolder(repository, source)
        const { target, events } = await repository.extract({ workers, verify: true })
        assert.deepEqual(issuesOf(events), [])
        assert.deepEqual(digestTree(target), digestTree(source))
        rmSync(source, { recursive: true })
      }),
      { numRuns: 20 },
    )
  })
})
