/** What common programs make of a mount, and what is large, deep or oddly named in it. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { toSystemPath } from '../src/base/raw-name.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { hasPrograms, run } from '../src/platform/testing.ts'
import { findHoles } from '../src/platform/sparse.ts'
import { setXattr } from '../src/platform/xattrs.ts'
import type { TreeNode } from '../src/snapshot/tree-node.ts'
import { TreeWriter } from '../src/snapshot/tree-writer.ts'
import { commitFolder, commitSnapshot } from './full-snapshot.ts'
import { SKIP_UNLESS_FUSE, mount, unmount } from './mounting.ts'
import { LATIN1_NAME, TestRepository, newFolder } from './testing.ts'
import { SOME_ACL, makeRareEntries, makeTortureTree } from './torture-tree.ts'

const newPlain = (): Promise<TestRepository> => TestRepository.create({ encryption: 'none' })

/** What a program prints, as text of its bytes. */
function printed(program: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'latin1', cwd, maxBuffer: 1 << 28 })
  assert.equal(status, 0, stderr)
  return stdout
}

/** The path of something below a folder. */
function at(folder: string, ...names: readonly Buffer[]): Buffer {
  return names.reduce((path, name) => Buffer.concat([path, Buffer.from('/'), name]), Buffer.from(folder))
}

/** What lies in a folder, in hex. */
function namesOf(folder: string): string[] {
  return readdirSync(folder, { encoding: 'buffer' })
    .map((name) => name.toString('hex'))
    .sort()
}

describe('a program that reads a mount', { skip: SKIP_UNLESS_FUSE }, () => {
  it('finds in it what it finds in the source: rsync, tar, find', async (t) => {
    if (!hasPrograms(t, 'rsync', 'tar', 'getfacl')) return
    const source = newFolder()
    makeTortureTree(source)
    makeRareEntries(source)
    writeFileSync(`${source}/acl`, 'with an ACL')
    setXattr(`${source}/acl`, 'system.posix_acl_access', SOME_ACL)
    setXattr(`${source}/acl`, 'user.color', Buffer.from('blue'))
    writeFileSync(`${source}/reference`, '')
    writeFileSync(`${source}/newer`, '')
    utimesSync(`${source}/reference`, 1_700_000_000, 1_700_000_000)
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory, stderr } = await mount(t, [`${repository.location}::latest`])

    const differences = ['-n', '-i', '-aHAX', '--checksum', '--numeric-ids', '--specials', '--devices']
    assert.equal(printed('rsync', [...differences, `${directory}/`, `${source}/`]), '')
    assert.equal(printed('rsync', [...differences, `${source}/`, `${directory}/`]), '')
    const archive = (folder: string): string =>
      printed('sh', [
        '-c',
        `tar -c --sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include='*' --acls -C '${folder}' . 2>&1 | grep -v 'socket ignored' | sha256sum`,
      ])
    assert.equal(archive(directory), archive(source))
    const found = (...tests: string[]): string[] =>
      [directory, source].map((folder) => printed('sh', ['-c', `find . ${tests.join(' ')} | LC_ALL=C sort`], folder))
    for (const tests of [
      ['-newer', 'reference'],
      ['-links', '+1', '!', '-type', 'd'],
      ['-perm', '-4000'],
      ['-type', 'f', '-size', '+10k'],
    ]) {
      const [there, here = ''] = found(...tests)
      assert.equal(there, here)
    }
    assert.ok(found('-newer', 'reference')[0]?.includes('./newer\n'))
    assert.match(printed('df', ['-P', directory]), /^cairn +0 +0 +0 +(-|0%) /m)
    assert.match(stderr(), /^cairn: mounted on [^\n]*\n$/)
  })

  it('may be many at once: 32 that search through the same files, and what they find is right', async (t) => {
    const source = newFolder()
    for (let i = 0; i < 40; i++) {
      const bytes = testBytes(`parallel ${i}`, 3 << 20)
      bytes.write(`needle ${i}\n`, 1 << 20)
      writeFileSync(`${source}/${i}`, bytes)
    }
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const search = `seq 64 | xargs -P 32 -I{} grep -r -a -o -E 'needle [0-9]+' . | LC_ALL=C sort`
    const want = [...Array(40).keys()].flatMap((i) => Array.from({ length: 64 }, () => `./${i}:needle ${i}`))
    assert.deepEqual(printed('sh', ['-c', search], directory).trim().split('\n'), want.sort())
    unmount(directory)
  })
})

describe('a mount', { skip: SKIP_UNLESS_FUSE }, () => {
  it('lists a folder of 100,000 names, from any place on, also when leading names are left away', async (t) => {
    const repository = await newPlain()
    const names = Array.from({ length: 100_000 }, (_, i) => `a-name-as-long-as-names-are-${String(i).padStart(6, '0')}`)
    const plain = { mode: 0o644, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n } as const
    await commitSnapshot(repository, (save) => {
      const below = new TreeWriter(save)
      for (const name of names) below.add({ ...plain, name, type: 'file' })
      const top = new TreeWriter(save)
      top.add({ ...plain, name: 'folder', type: 'dir', tree: below.finish() } satisfies TreeNode)
      return { tree: top.finish() }
    })
    const { directory } = await mount(t, [`${repository.location}::latest`])
    assert.deepEqual(readdirSync(`${directory}/folder`).sort(), names)
    // Half of it, then all over again, then the rest: positions are good in any order.
    const script = `opendir(D, $ARGV[0]) or die; readdir(D) for 1..50000; $at = telldir(D); $next = readdir(D); rewinddir(D);
      @all = readdir(D); seekdir(D, $at); print scalar(@all), " ", readdir(D) eq $next ? "same" : "other"`
    assert.equal(printed('perl', ['-e', script, `${directory}/folder`]), '100002 same')
    for (const i of [0, 1, 49_999, 77_777, 99_999]) assert.ok(lstatSync(`${directory}/folder/${names[i]}`).isFile())
    assert.equal(lstatSync(`${directory}/folder/${names[5]}x`, { throwIfNoEntry: false }), undefined)
    const stripped = await mount(t, [`${repository.location}::latest`], '--strip-components', '1')
    assert.deepEqual(readdirSync(stripped.directory).sort(), names)
    assert.equal(printed('sh', ['-c', 'ls -l | wc -l'], stripped.directory).trim(), '100001')
  })

  it('has names of 255 bytes and of any bytes', async (t) => {
    const source = newFolder()
    const names = [
      Buffer.alloc(255, 'n'),
      Buffer.alloc(255, 0xff),
      Buffer.from('\u00e9'.repeat(127)),
      Buffer.from('\u{1f600}'.repeat(63)),
      Buffer.from(toSystemPath(LATIN1_NAME)),
      Buffer.from('a\nb\tc\\'),
      Buffer.from([1, 0x7f, 0x80, 0xc3, 0x28]),
    ]
    for (const name of names) {
      mkdirSync(at(source, name))
      writeFileSync(at(source, name, name), name)
      symlinkSync(name, at(source, name, Buffer.from('link')))
    }
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    assert.equal(run('diff', '-r', '--no-dereference', source, directory), '')
    assert.deepEqual(namesOf(directory), namesOf(source))
  })

  it('has files of more than 4 GiB with holes, wherever they are read', async (t) => {
    const source = newFolder()
    const GIB = 2 ** 30
    const pieces = [0, GIB - 7, 4 * GIB - 3000, 4 * GIB + 123_456, 6 * GIB - 5000] as const
    const file = openSync(`${source}/f`, 'w')
    ftruncateSync(file, 6 * GIB)
    for (const offset of pieces) writeSync(file, testBytes(`at ${offset}`, 5000), 0, 5000, offset)
    closeSync(file)
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const { size, blocks } = statSync(`${directory}/f`)
    assert.equal(size, 6 * GIB)
    assert.ok(blocks * 512 < 1 << 20, String(blocks))
    const [here, there] = [openSync(`${source}/f`, 'r'), openSync(`${directory}/f`, 'r')]
    assert.deepEqual(findHoles(there, size), findHoles(here, size))
    for (const offset of pieces) {
      const [want, found] = [Buffer.alloc(20_000), Buffer.alloc(20_000)]
      const start = Math.max(0, offset - 10_000)
      const length = readSync(here, want, 0, 20_000, start)
      assert.equal(readSync(there, found, 0, 20_000, start), length)
      assert.ok(want.equals(found), String(offset))
    }
    for (const fd of [here, there]) closeSync(fd)
    // Copied hole by hole, which would take long otherwise.
    const copy = `${newFolder()}/copy`
    execFileSync('cp', ['--sparse=auto', `${directory}/f`, copy])
    assert.ok(statSync(copy).blocks * 512 < 1 << 20)
  })
})
