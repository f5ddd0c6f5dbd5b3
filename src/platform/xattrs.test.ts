import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { compareRawNames, fromRawName, toRawName, toSystemPath } from '../base/raw-name.ts'
import { makeDirectory, makeSymlink, setMode, setOwner } from './files.ts'
import {
  LATIN1_NAME,
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  hasPrograms,
  newDirectory,
  newFile,
  newFileSystem,
  run,
  runScript,
  skip,
  startFuseServer,
} from './testing.ts'
import { type Xattr, readXattrs, removeXattr, setXattr } from './xattrs.ts'

const MODULE = import.meta.resolve('./xattrs.ts')

/** A new file on a file system that keeps attributes. */
function newAttributedFile(t: TestContext, name = 'file'): string | undefined {
  const file = newFile('content', name)
  try {
    setXattr(file, 'user.probe', Buffer.from('x'))
    removeXattr(file, 'user.probe')
    return file
  } catch (error) {
    skip(t, `the temporary directory keeps no attributes: ${String(error)}`)
    return undefined
  }
}

/** The bytes of a name that getfattr(1) printed. */
function unescaped(text: string): Buffer {
  const plain = text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
  return Buffer.from(plain, 'latin1')
}

/** All attributes as getfattr(1) of the system sees them. */
function xattrsBySystem(file: string): Xattr[] {
  const printed = run('getfattr', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', '--', file)
  return printed
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', hex = ''] = /^([^=]*)(?:=0x([0-9a-f]*))?$/.exec(line) ?? assert.fail(line)
      return { name: fromRawName(unescaped(name)), value: Buffer.from(hex, 'hex') }
    })
    .sort((a, b) => compareRawNames(a.name, b.name))
}

/** Names without the label that a security module may give to all files. */
function namesOf(path: string): string[] {
  return readXattrs(path)
    .map(({ name }) => name)
    .filter((name) => name !== 'security.selinux')
}

/** What getcap(8) prints after the name. */
function capabilities(file: string): string | undefined {
  return run('getcap', '-n', file).trim().split(' ').pop()
}

/** Reads by path and by descriptor, and checks that both agree with each other and with the system. */
function readBothWays(file: string): Xattr[] {
  const xattrs = readXattrs(file)
  const fd = openSync(toSystemPath(file), 'r')
  assert.deepEqual(readXattrs(fd), xattrs)
  closeSync(fd)
  assert.deepEqual(xattrs, xattrsBySystem(file))
  return xattrs
}

describe('readXattrs()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('finds nothing on files, directories and symlinks without attributes', () => {
    const file = newFile('', LATIN1_NAME)
    makeSymlink('nowhere', `${file}-link`)
    const before = readXattrs(`${file}-link`) // a security module may label all files
    for (const path of [file, `${file}-link`]) assert.deepEqual(readXattrs(path), before)
    assert.deepEqual(readXattrs('/proc/self/status'), [])
    assert.deepEqual(
      readXattrs('/dev/null').filter(({ name }) => !name.startsWith('security.')),
      [],
    )
  })

  it('gives names and values as getfattr(1) does, sorted by raw name', (t) => {
    if (!hasPrograms(t, 'getfattr')) return
    const file = newAttributedFile(t, LATIN1_NAME)
    if (file === undefined) return
    const longest = `user.${'n'.repeat(250)}`
    const names = [
      'user.z',
      'user.a',
      'user.é',
      'user.😀',
      'user.\ufffd',
      `user.${LATIN1_NAME}`,
      'user.with=\n\\ in it',
      longest,
    ]
    for (const [i, name] of names.entries()) setXattr(file, name, Buffer.alloc(i * 7, i))
    const xattrs = readBothWays(file).filter(({ name }) => name.startsWith('user.'))
    assert.deepEqual(
      xattrs.map(({ name }) => name),
      names.sort(compareRawNames),
    )
    assert.equal(xattrs.find(({ name }) => name === 'user.z')?.value.length, 0)
  })

  it('gives back any value and any name', (t) => {
    const file = newAttributedFile(t)
    if (file === undefined) return
    const anyName = fc
      .uint8Array({ minLength: 1, maxLength: 250 })
      .filter((bytes) => !bytes.includes(0))
      .map((bytes) => `user.${fromRawName(bytes)}`)
    fc.assert(
      fc.property(anyName, fc.uint8Array({ maxLength: 2000 }), (name, value) => {
        setXattr(file, name, value)
        const found = readXattrs(file).find((xattr) => xattr.name === name)
        assert.deepEqual(found?.value, Buffer.from(value))
        removeXattr(file, name)
        assert.ok(readXattrs(file).every((xattr) => xattr.name !== name))
      }),
    )
  })

  it(
    'sees what setfacl(1) and setcap(8) set, and sets what getfacl(1) and getcap(8) see',
    { skip: SKIP_UNLESS_ROOT },
    (t) => {
      if (!hasPrograms(t, 'getfattr', 'getfacl', 'setfacl', 'setcap', 'getcap')) return
      const file = newAttributedFile(t, 'file with é')
      if (file === undefined) return
      const directory = newDirectory()
      run('setfacl', '-m', 'u:1234:rwx,g:99:r,m::rwx', file)
      run('setcap', 'cap_net_raw,cap_chown=ep', file)
      run('setfacl', '-m', 'u:1234:rwx', '-d', '-m', 'g:4321:rx', directory)
      const xattrs = readBothWays(file)
      assert.deepEqual(
        xattrs.map(({ name }) => name).filter((name) => name !== 'security.selinux'),
        ['security.capability', 'system.posix_acl_access'],
      )
      assert.deepEqual(
        readBothWays(directory)
          .map(({ name }) => name)
          .filter((name) => name !== 'security.selinux'),
        ['system.posix_acl_access', 'system.posix_acl_default'],
      )

      const copy = newFile('', 'copy')
      for (const { name, value } of xattrs) setXattr(copy, name, value)
      assert.equal(capabilities(copy), capabilities(file))
      assert.equal(capabilities(copy), 'cap_chown,cap_net_raw=ep')
      assert.equal(run('getfacl', '-cpn', copy), run('getfacl', '-cpn', file))
      assert.match(run('getfacl', '-cpn', copy), /user:1234:rwx\n.*group:99:r--/s)
      const copied = newDirectory()
      const fd = openSync(copied, 'r')
      for (const { name, value } of readXattrs(directory)) setXattr(fd, name, value)
      closeSync(fd)
      assert.equal(run('getfacl', '-cpn', copied), run('getfacl', '-cpn', directory))
    },
  )

  it('reads and changes a symlink itself, not its target', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const file = newAttributedFile(t)
    if (file === undefined) return
    const link = `${file}-${LATIN1_NAME}`
    makeSymlink(file, link)
    setXattr(file, 'user.target', Buffer.from('1'))
    setXattr(link, 'trusted.link', Buffer.from('2'))
    assert.ok(!namesOf(link).includes('user.target') && namesOf(link).includes('trusted.link'))
    assert.ok(!namesOf(file).includes('trusted.link'))
    removeXattr(link, 'trusted.link')
    assert.throws(() => removeXattr(link, 'user.target'), { code: /^(ENODATA|EPERM)$/ })
    assert.throws(() => setXattr(link, 'user.x', Buffer.alloc(0)), { code: 'EPERM' })
  })

  for (const type of ['ext4', 'tmpfs'] as const) {
    it(`reads values of up to 64 KiB on ${type}`, { skip: SKIP_UNLESS_ROOT }, (t) => {
      if (!hasPrograms(t, 'getfattr')) return
      const mounted = newFileSystem(t, type, { format: ['-O', 'ea_inode'] })
      if (!mounted) return
      const directory = `${mounted.directory}/d`
      makeDirectory(directory, 0o700)
      for (const size of [0, 4095, 4096, 4097, 65_535, 65_536]) {
        const value = Buffer.alloc(size, `${size} `)
        setXattr(directory, 'trusted.large', value)
        assert.deepEqual(readBothWays(directory), [{ name: 'trusted.large', value }])
      }
      assert.throws(() => setXattr(directory, 'trusted.large', Buffer.alloc(65_537)), { code: 'E2BIG' })
      assert.equal(readXattrs(directory)[0]?.value.length, 65_536)
    })
  }

  it('reads lists of up to 64 KiB', { skip: SKIP_UNLESS_ROOT }, (t) => {
    if (!hasPrograms(t, 'getfattr')) return
    const mounted = newFileSystem(t, 'tmpfs')
    if (!mounted) return
    const file = `${mounted.directory}/${LATIN1_NAME}`
    makeDirectory(file, 0o700)
    const names = Array.from({ length: 256 }, (_, i) => `trusted.${String(i).padStart(247, 'x')}`)
    for (const name of names) setXattr(file, name, Buffer.from(name))
    const found = readBothWays(file)
    assert.deepEqual(
      found.map(({ name }) => name),
      names.sort(),
    )
    assert.deepEqual(
      found.map(({ value }) => value.toString()),
      names,
    )
    setXattr(file, 'trusted.one-too-many', Buffer.alloc(0))
    assert.throws(() => readXattrs(file), { code: 'E2BIG', syscall: 'llistxattr', path: file }) // nobody can list them
  })

  it('finds nothing where the file system keeps no attributes', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const mounted = newFileSystem(t, 'ramfs')
    if (!mounted) return
    assert.deepEqual(readXattrs(mounted.directory), [])
    assert.throws(() => setXattr(mounted.directory, 'user.x', Buffer.alloc(1)), { code: 'ENOTSUP' })
  })

  it(
    'leaves out attributes that are gone or cannot be read, and reports other failures',
    { skip: SKIP_UNLESS_ROOT },
    async (t) => {
      const mount = await startFuseServer(t)
      if (mount === undefined) return
      assert.deepEqual(readXattrs(`${mount}/vanishing`), [
        { name: 'user.first', value: Buffer.from('value of user.first') },
        { name: 'user.last', value: Buffer.from('value of user.last') },
      ])
      assert.deepEqual(readXattrs(`${mount}/growing`), [{ name: 'user.grown', value: Buffer.alloc(20_000, 'g') }])
      assert.throws(() => readXattrs(`${mount}/failing`), {
        code: 'EIO',
        syscall: 'lgetxattr',
        path: `${mount}/failing`,
      })
      assert.throws(() => readXattrs(`${mount}/unlisted`), { code: 'E2BIG', syscall: 'llistxattr' })
      assert.deepEqual(readXattrs(`${mount}/unsupported`), []) // ENOSYS, which the kernel turns into ENOTSUP for good: last
    },
  )

  it('throws errors like those of Node', () => {
    const missing = `${newDirectory()}/missing`
    assert.throws(() => readXattrs(missing), {
      code: 'ENOENT',
      errno: -2,
      syscall: 'llistxattr',
      path: missing,
      message: `ENOENT: no such file or directory, llistxattr '${missing}'`,
    })
    assert.throws(() => readXattrs(1_000_000), { code: 'EBADF', syscall: 'flistxattr' })
    assert.throws(() => readXattrs(`${newFile()}\0`), { code: 'EINVAL' })
  })

  it('returns values that later calls leave alone', (t) => {
    const file = newAttributedFile(t)
    if (file === undefined) return
    setXattr(file, 'user.x', Buffer.from('first'))
    const [first] = readXattrs(file).slice(-1)
    setXattr(file, 'user.x', Buffer.from('other'))
    readXattrs(file)
    assert.equal(first?.value.toString(), 'first')
  })
})

describe('setXattr() and removeXattr()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('refuse names that are no names', (t) => {
    const file = newAttributedFile(t)
    if (file === undefined) return
    const empty = Buffer.alloc(0)
    assert.throws(() => setXattr(file, `user.${'n'.repeat(251)}`, empty), { code: 'ERANGE', path: file })
    assert.throws(() => setXattr(file, 'user.a\0b', empty), { code: 'EINVAL', syscall: 'lsetxattr' })
    assert.throws(() => removeXattr(file, 'user.a\0b'), { code: 'EINVAL', syscall: 'lremovexattr' })
    assert.throws(() => setXattr(file, '', empty), { code: 'ERANGE' })
    assert.throws(() => setXattr(file, 'nonsense.x', empty), { code: 'ENOTSUP' })
    assert.throws(() => removeXattr(file, 'user.missing'), { code: 'ENODATA', syscall: 'lremovexattr' })
    assert.throws(() => setXattr(`${file}-missing`, 'user.x', empty), { code: 'ENOENT', path: `${file}-missing` })
    assert.deepEqual(
      readXattrs(file).filter(({ name }) => name.startsWith('user.')),
      [],
    )
  })

  it('work by descriptor and set views of a buffer', (t) => {
    const file = newAttributedFile(t)
    if (file === undefined) return
    const fd = openSync(file, 'r')
    setXattr(fd, 'user.view', toRawName('0123456789').subarray(3, 6))
    assert.equal(
      readXattrs(fd)
        .find(({ name }) => name === 'user.view')
        ?.value.toString(),
      '345',
    )
    removeXattr(fd, 'user.view')
    assert.ok(readXattrs(fd).every(({ name }) => name !== 'user.view'))
    closeSync(fd)
    assert.throws(() => setXattr(fd, 'user.x', Buffer.alloc(1)), { code: 'EBADF', syscall: 'fsetxattr' })
  })

  it('let users without rights see and do what the system permits', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const file = newAttributedFile(t)
    if (file === undefined) return
    setXattr(file, 'trusted.secret', Buffer.from('1'))
    setXattr(file, 'security.label', Buffer.from('2'))
    setOwner(file, 65_534, 65_534)
    setMode(file, 0o600)
    const closed = newFile()
    setXattr(closed, 'user.x', Buffer.alloc(1))
    setMode(closed, 0o600)
    run('chmod', '755', file.replace(/\/[^/]*$/, ''), closed.replace(/\/[^/]*$/, ''))
    const output = runScript(`
      import { readXattrs, setXattr } from '${MODULE}'
      process.setegid(65534)
      process.seteuid(65534)
      const [file, closed] = ${JSON.stringify([file, closed])}
      const codeOf = (action) => { try { return action() } catch (error) { return error.code } }
      setXattr(file, 'user.own', Buffer.from('3'))
      console.log(readXattrs(file).map(({ name }) => name).filter((name) => name !== 'security.selinux').join())
      console.log(codeOf(() => setXattr(file, 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'))))
      console.log(codeOf(() => setXattr(file, 'trusted.x', Buffer.alloc(1))))
      console.log(codeOf(() => readXattrs(closed)))`)
    assert.equal(output, 'security.label,user.own\nEPERM\nEPERM\nEACCES\n')
  })
})
