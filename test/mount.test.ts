/** What a mount shows, as programs see it: everything that was saved, exactly. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { errnoOf } from '../src/base/errors.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { compactRepository } from '../src/operations/compact.ts'
import { deleteSnapshots } from '../src/operations/delete.ts'
import { renameSnapshot } from '../src/operations/rename.ts'
import { FILE_FLAGS, setFileFlags } from '../src/platform/file-flags.ts'
import { skip } from '../src/platform/testing.ts'
import { setXattr } from '../src/platform/xattrs.ts'
import { commitFolder } from './full-snapshot.ts'
import { SKIP_UNLESS_FUSE, mount, unmount, until } from './mounting.ts'
import { TestRepository, newFolder } from './testing.ts'
import { SOME_ACL, makeRareEntries, makeTortureTree } from './torture-tree.ts'
import { digestTree } from './tree-digest.ts'

const newPlain = (): Promise<TestRepository> => TestRepository.create({ encryption: 'none' })

describe('a mounted snapshot', { skip: SKIP_UNLESS_FUSE }, () => {
  it('is exactly what was saved, whatever is hard to bring back', async (t) => {
    const source = newFolder()
    makeTortureTree(source)
    makeRareEntries(source)
    const repository = await newPlain()
    await commitFolder(repository, source)
    const want = digestTree(source)

    const { directory, stderr } = await mount(t, [`${repository.location}::snapshot-1`])
    assert.deepEqual(digestTree(directory), want)
    assert.deepEqual(digestTree(directory), want) // once more, from what the kernel remembers
    assert.equal(execFileSync('diff', ['-r', '--no-dereference', '-x', 'special', source, directory]).length, 0)
    assert.match(stderr(), /^cairn: mounted on [^\n]*\n$/)
  })

  it('has the blocks, the link counts and the inodes of what was saved', async (t) => {
    const source = newFolder()
    makeTortureTree(source)
    makeRareEntries(source)
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const inodes = new Map<bigint, bigint>()
    const names = execFileSync('find', ['.', '-print0'], { cwd: source, encoding: 'utf8' }).split('\0')
    for (const name of names.slice(1, -1)) {
      const here = lstatSync(path.join(source, name), { bigint: true, throwIfNoEntry: false })
      if (!here) continue // not UTF-8
      const there = lstatSync(path.join(directory, name), { bigint: true })
      if (!here.isDirectory()) assert.equal(there.nlink, here.nlink, name)
      const inode = inodes.get(here.ino) ?? there.ino
      assert.equal(there.ino, inode, name)
      inodes.set(here.ino, inode)
      // The file system of the source stores whole pages.
      if (here.isFile()) assert.ok(there.blocks * 512n <= here.blocks * 512n + 4096n, `${name}: ${there.blocks}`)
    }
    assert.equal(new Set(inodes.values()).size, inodes.size)
    assert.ok(lstatSync(path.join(directory, 'rare/sparse/all')).blocks === 0)
    assert.equal(lstatSync(path.join(directory, 'rare/links/first')).nlink, 5)
  })

  it('shows attributes, ACLs and flags, and lets the kernel apply ACLs', async (t) => {
    const source = newFolder()
    chmodSync(source, 0o755)
    writeFileSync(`${source}/acl`, 'only for user 7')
    setXattr(`${source}/acl`, 'system.posix_acl_access', SOME_ACL)
    writeFileSync(`${source}/immutable`, '')
    try {
      setFileFlags(`${source}/immutable`, FILE_FLAGS.IMMUTABLE)
    } catch {
      return skip(t, 'flags cannot be set here')
    }
    t.after(() => setFileFlags(`${source}/immutable`, 0))
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`], '-o', 'allow_other')
    assert.match(execFileSync('lsattr', ['-d', `${directory}/immutable`], { encoding: 'utf8' }), /^-*i/)
    const readAs = (uid: number): number | null =>
      spawnSync('setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'cat', `${directory}/acl`]).status
    assert.deepEqual([readAs(7), readAs(8)], [0, 1])
  })

  it('is read at any place, by many at once', async (t) => {
    const source = newFolder()
    const content = testBytes('mount', 40 << 20)
    writeFileSync(`${source}/large`, content)
    for (let i = 0; i < 20; i++) writeFileSync(`${source}/f${i}`, content.subarray(i * 1000, i * 50_000))
    // Chunks of 16 KiB, so that the large file has lists of lists.
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const script = `
      import { openSync, readSync, readFileSync } from 'node:fs'
      const [, source, directory, seed] = process.argv
      let state = Number(seed)
      const random = (below) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below
      const [a, b] = [openSync(source + '/large'), openSync(directory + '/large')]
      for (let i = 0; i < 150; i++) {
        const [at, length] = [random(${40 << 20}), 1 + random(i % 10 ? 5000 : 3000000)]
        const [x, y] = [Buffer.alloc(length), Buffer.alloc(length)]
        const count = readSync(a, x, 0, length, at)
        let done = 0
        for (let n; done < count && (n = readSync(b, y, done, length - done, at + done)) > 0; done += n);
        if (done !== count || !x.equals(y)) throw new Error('at ' + at)
        const name = '/f' + random(20)
        if (!readFileSync(source + name).equals(readFileSync(directory + name))) throw new Error(name)
      }`
    const readers = Array.from({ length: 6 }, (_, seed) =>
      spawn(process.execPath, ['-e', script, source, directory, String(seed)], {
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    )
    const codes = await Promise.all(readers.map(async (reader) => ((await once(reader, 'exit')) as number[])[0]))
    assert.deepEqual(codes, [0, 0, 0, 0, 0, 0])
  })

  it('lists a folder of many names completely, also when another one reads it at the same time', async (t) => {
    const source = newFolder()
    for (let i = 0; i < 6000; i++) writeFileSync(`${source}/a-rather-long-name-for-a-file-number-${i}`, '')
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const want = readdirSync(source).sort()
    assert.deepEqual(readdirSync(directory).sort(), want)
    const both = execFileSync('sh', ['-c', `ls -l '${directory}' | wc -l & find '${directory}' -type f | wc -l; wait`])
    assert.deepEqual(both.toString().trim().split(/\s+/).sort(), ['6000', '6001'])
  })

  it('cannot be written to', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'content')
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`])
    for (const action of [
      () => writeFileSync(`${directory}/f`, 'x'),
      () => writeFileSync(`${directory}/new`, 'x'),
      () => mkdirSync(`${directory}/d`),
      () => unlinkSync(`${directory}/f`),
      () => renameSync(`${directory}/f`, `${directory}/g`),
    ])
      assert.throws(action, { code: 'EROFS' })
    assert.equal(readFileSync(`${directory}/f`, 'utf8'), 'content')
  })

  it('shows only what is asked for', async (t) => {
    const source = newFolder()
    for (const name of ['a/x/one', 'a/y/two', 'b/x/three', 'b/z', 'top']) {
      mkdirSync(path.dirname(`${source}/${name}`), { recursive: true })
      writeFileSync(`${source}/${name}`, name)
    }
    const repository = await newPlain()
    await commitFolder(repository, source)
    const shown = async (...args: string[]): Promise<string[]> => {
      const { directory, end } = await mount(t, [`${repository.location}::latest`], ...args)
      const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
      assert.equal(await end(), 0)
      return names
    }
    assert.deepEqual(await shown('a/x', 'top'), ['a', 'a/x', 'a/x/one', 'top'])
    assert.deepEqual(await shown('--exclude', 'a/*', 'a', 'b'), ['a', 'b', 'b/x', 'b/x/three', 'b/z'])
    assert.deepEqual(await shown('--strip-components', '1'), ['x', 'x/one', 'x/three', 'y', 'y/two', 'z'])
    assert.deepEqual(await shown('--strip-components', '2', 'a'), ['one', 'two'])
  })

  it('shows owners and modes as it is told to', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/f`, '', { mode: 0o644 })
    const repository = await newPlain()
    await commitFolder(repository, source)
    const { directory } = await mount(t, [`${repository.location}::latest`], '-o', 'uid=1234,gid=77', '-o', 'umask=027')
    const { uid, gid, mode } = statSync(`${directory}/f`)
    assert.deepEqual([uid, gid, (mode & 0o777).toString(8)], [1234, 77, '640'])
  })
})

describe('a mounted repository', { skip: SKIP_UNLESS_FUSE }, () => {
  it('has a folder for each snapshot, and leads to them by time', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/f`, '1')
    const repository = await newPlain()
    await repository.create([source], { name: 'one' })
    writeFileSync(`${source}/f`, '2')
    await repository.create([source], { name: 'by-time' })
    const { directory } = await mount(t, [repository.location])
    const names = readdirSync(directory).sort()
    assert.equal(names.length, 4)
    assert.match(names.join(' '), /^by-time by-time-[0-9a-f]{8} latest one$/)
    assert.equal(readFileSync(`${directory}/one${source}/f`, 'utf8'), '1')
    assert.equal(readFileSync(`${directory}/latest${source}/f`, 'utf8'), '2')
    const times = readdirSync(`${directory}/by-time`)
    assert.equal(times.length, 2)
    for (const time of times) {
      assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/)
      assert.ok(existsSync(`${directory}/by-time/${time}${source}/f`))
    }
    assert.deepEqual(times.map((time) => readlinkSync(`${directory}/by-time/${time}`)).sort(), [
      `../${names[1]}`,
      '../one',
    ])
  })

  it('shows new snapshots, new names, and forgets deleted ones, while it is mounted', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'first')
    const repository = await newPlain()
    await repository.create([source], { name: 'first' })
    const { directory } = await mount(t, [repository.location])
    assert.deepEqual(readdirSync(directory).sort(), ['by-time', 'first', 'latest'])

    writeFileSync(`${source}/f`, testBytes('second', 100_000))
    await repository.create([source], { name: 'second' })
    await until(() => existsSync(`${directory}/second`))
    assert.deepEqual(readFileSync(`${directory}/second${source}/f`), readFileSync(`${source}/f`))
    assert.equal(readlinkSync(`${directory}/latest`), 'second')

    await renameSnapshot(repository.access, 'second', 'renamed')
    await until(() => !existsSync(`${directory}/second`))
    assert.ok(existsSync(`${directory}/renamed`))

    const open = openSync(`${directory}/first${source}/f`, 'r')
    await deleteSnapshots(repository.access, { selection: { wanted: ['first'] } })
    await until(() => !readdirSync(directory).includes('first'))
    assert.equal(readSync(open, Buffer.alloc(10)), 5)
    closeSync(open)
  })

  it('goes on being read while space is reclaimed below it', async (t) => {
    const source = newFolder()
    const content = testBytes('moves', 30 << 20)
    for (let i = 0; i < 30; i++) writeFileSync(`${source}/${i}`, content.subarray(i << 20, (i + 1) << 20))
    const repository = await newPlain()
    await repository.create([source], { name: 'all' })
    for (let i = 0; i < 30; i += 2) rmSync(`${source}/${i}`)
    await repository.create([source], { name: 'half' })
    const { directory, stderr } = await mount(t, [repository.location])
    const inside = `${directory}/half${source}`
    const open = openSync(`${inside}/1`, 'r')
    await deleteSnapshots(repository.access, { selection: { wanted: ['all'] } })
    const { deletedPacks } = await compactRepository(repository.access, { threshold: 0 })
    assert.ok(deletedPacks > 0)
    const piece = Buffer.alloc(1000)
    readSync(open, piece, 0, 1000, 500_000)
    assert.deepEqual(piece, content.subarray((1 << 20) + 500_000, (1 << 20) + 501_000))
    closeSync(open)
    assert.deepEqual(digestTree(inside), digestTree(source))
    assert.match(stderr(), /^cairn: mounted on [^\n]*\n$/)
  })

  it('fails while the repository is not there, and goes on when it is again', async (t) => {
    const source = newFolder()
    const content = testBytes('away', 1 << 20)
    for (const name of ['read', 'unread']) writeFileSync(`${source}/${name}`, content.subarray(name.length))
    const repository = await newPlain()
    await repository.create([source], { name: 'one' })
    const { directory, stderr } = await mount(t, [repository.location])
    readdirSync(`${directory}/one${source}`)
    const elsewhere = `${newFolder()}/repo`
    renameSync(repository.location, elsewhere)
    assert.throws(() => readFileSync(`${directory}/one${source}/unread`), { code: 'EIO' })
    // What was there last is shown.
    await until(() => readdirSync(directory).includes('one') && stderr().includes('cannot read the repository: '))
    assert.match(stderr(), /cannot read one[^\n]*\/unread: Cannot read packs\//)
    renameSync(elsewhere, repository.location)
    assert.deepEqual(readFileSync(`${directory}/one${source}/unread`), content.subarray('unread'.length))
    await repository.create([source], { name: 'two' })
    await until(() => existsSync(`${directory}/two`))
  })

  it('shows those that options choose', async (t) => {
    const source = newFolder()
    const repository = await newPlain()
    for (const name of ['web-1', 'web-2', 'db-1', 'web-3']) await repository.create([source], { name })
    const shown = async (...args: string[]): Promise<string> => {
      const { directory, end } = await mount(t, [repository.location], ...args)
      const names = readdirSync(directory).filter((name) => /\d$/.test(name))
      await end()
      return names.sort().join(' ')
    }
    assert.equal(await shown('-a', 'web-*'), 'web-1 web-2 web-3')
    assert.equal(await shown('-P', 'web-', '--last', '2'), 'web-2 web-3')
    assert.equal(await shown('--first', '1'), 'web-1')
  })
})

describe('a mount of a damaged repository', { skip: SKIP_UNLESS_FUSE }, () => {
  it('fails where something is damaged, tells why, and shows everything else', async (t) => {
    const source = newFolder()
    const content = testBytes('damage', 24 << 20)
    writeFileSync(`${source}/large`, content)
    writeFileSync(`${source}/small`, 'small')
    const repository = await newPlain()
    await commitFolder(repository, source)
    const pack = repository.objects('packs/').map((key) => path.join(repository.location, key))
    const largest = pack.sort((a, b) => statSync(b).size - statSync(a).size)[0] ?? ''
    const bytes = readFileSync(largest)
    bytes[6 << 20] = (bytes[6 << 20] ?? 0) ^ 1
    writeFileSync(largest, bytes)

    const { directory, stderr } = await mount(t, [`${repository.location}::latest`])
    assert.throws(() => readFileSync(`${directory}/large`), { code: 'EIO' })
    const fd = openSync(`${directory}/large`, 'r')
    const piece = Buffer.alloc(1 << 20)
    let failed = 0
    for (let at = 0; at < content.length; at += piece.length) {
      try {
        // A read that comes to the damaged part gives what lies before it.
        const count = readSync(fd, piece, 0, piece.length, at)
        assert.ok(piece.subarray(0, count).equals(content.subarray(at, at + count)), `at ${at}`)
        if (count < piece.length) failed++
      } catch (error) {
        assert.equal(errnoOf(error), 'EIO')
        failed++
      }
    }
    closeSync(fd)
    assert.ok(failed > 0 && failed <= 6, String(failed))
    assert.equal(readFileSync(`${directory}/small`, 'utf8'), 'small')
    unmount(directory)
    await until(() => stderr().includes('unmounted'))
    const [, ...lines] = stderr().trim().split('\n')
    assert.equal(lines.length, 2) // one for the segment, however often it was asked for
    assert.match(
      lines[0] ?? '',
      /^cairn: warning: cannot read snapshot-1\/large: Cannot read pack [0-9a-f]{64} at byte /,
    )
  })
})
