import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { toSystemPath } from '../src/base/raw-name.ts'
import { setFileFlags } from '../src/platform/file-flags.ts'
import { setTimes } from '../src/platform/native.ts'
import { makeSpecialFile } from '../src/platform/special-files.ts'
import { setXattr } from '../src/platform/xattrs.ts'

/**
 * Adds what few files have to an empty folder on a file system that keeps all of it (ext4): hard links, attributes of every
 * namespace, ACLs, capabilities, flags, holes, devices and FIFOs. For root.
 */
export function makeRareTree(root: string): void {
  mkdirSync(`${root}/hard`)
  mkdirSync(`${root}/hard/sub`)
  writeFileSync(`${root}/hard/b`, 'the file with four names')
  for (const name of ['a', 'c', 'sub/d']) linkSync(`${root}/hard/b`, `${root}/hard/${name}`)
  symlinkSync('b', `${root}/hard/link`)
  linkSync(`${root}/hard/link`, `${root}/hard/sub/link`)
  writeFileSync(`${root}/hard/empty`, '')
  linkSync(`${root}/hard/empty`, `${root}/hard/sub/empty`)

  mkdirSync(`${root}/special`)
  makeSpecialFile(`${root}/special/fifo`, 'fifo', 0o640, { major: 0, minor: 0 })
  makeSpecialFile(`${root}/special/null`, 'chardev', 0o666, { major: 1, minor: 3 })
  makeSpecialFile(`${root}/special/disk`, 'blockdev', 0o660, { major: 259, minor: 1_000_000 })
  linkSync(`${root}/special/fifo`, `${root}/special/fifo-again`)
  lchownSync(`${root}/special/null`, 12, 34)

  mkdirSync(`${root}/xattrs`)
  for (const [name, attributes] of Object.entries({
    user: ['user.one', 'user.two', `user.${'x'.repeat(249)}`],
    empty: ['user.empty'],
    trusted: ['trusted.cairn', 'security.cairn'],
  })) {
    writeFileSync(`${root}/xattrs/${name}`, name)
    for (const attribute of attributes)
      setXattr(`${root}/xattrs/${name}`, attribute, Buffer.from(name === 'empty' ? '' : `${attribute}\0\xff`, 'latin1'))
  }
  writeFileSync(`${root}/xattrs/large`, 'large')
  setXattr(`${root}/xattrs/large`, 'user.large', Buffer.alloc(3000, 'large'))
  mkdirSync(`${root}/xattrs/folder`)
  setXattr(`${root}/xattrs/folder`, 'user.folder', Buffer.from('of a folder'))
  symlinkSync('user', `${root}/xattrs/symlink`)
  setXattr(`${root}/xattrs/symlink`, 'trusted.symlink', Buffer.from('of a symlink'))
  setXattr(`${root}/special/fifo`, 'trusted.fifo', Buffer.from('of a FIFO'))

  mkdirSync(`${root}/acls`)
  writeFileSync(`${root}/acls/file`, 'with an ACL')
  mkdirSync(`${root}/acls/folder`)
  execFileSync('setfacl', ['-m', 'u:1000:rw,g:2000:r,u:4294967294:-,m::rw', `${root}/acls/file`])
  execFileSync('setfacl', ['-m', 'u:1000:rwx,d:u:1001:rx,d:g::-', `${root}/acls/folder`])
  writeFileSync(`${root}/acls/folder/inherits`, 'an ACL')

  mkdirSync(`${root}/capabilities`)
  writeFileSync(`${root}/capabilities/ping`, 'not really')
  execFileSync('setcap', ['cap_net_raw+ep', `${root}/capabilities/ping`])
  writeFileSync(`${root}/capabilities/owned`, 'setuid, with another owner, and a capability')
  lchownSync(`${root}/capabilities/owned`, 1000, 1000)
  chmodSync(`${root}/capabilities/owned`, 0o6755)
  execFileSync('setcap', ['cap_chown+p', `${root}/capabilities/owned`])

  mkdirSync(`${root}/sparse`)
  const holes: Record<string, readonly [size: number, data: readonly (readonly [number, number])[]]> = {
    none: [50_000, [[0, 50_000]]],
    all: [5_000_000, []],
    start: [3_000_000, [[2_990_000, 10_000]]],
    end: [3_000_001, [[0, 4096]]],
    many: [20 << 20, Array.from({ length: 40 }, (_, i) => [i * (512 << 10) + 8192, 4096] as const)],
    large: [2 ** 28, [[2 ** 27 + 4096, 100_000]]],
  }
  for (const [name, [size, data]] of Object.entries(holes)) {
    const fd = openSync(`${root}/sparse/${name}`, 'w')
    ftruncateSync(fd, size)
    for (const [offset, length] of data) writeSync(fd, Buffer.alloc(length, `${name} ${offset}`), 0, length, offset)
    closeSync(fd)
  }

  mkdirSync(`${root}/flags`)
  for (const [i, name] of ['nodump', 'immutable', 'append'].entries()) {
    writeFileSync(`${root}/flags/${name}`, name)
    setTimes(`${root}/flags/${name}`, 5n, 7n)
    setFileFlags(`${root}/flags/${name}`, 2 ** i)
  }
  mkdirSync(`${root}/flags/folder`)
  setFileFlags(`${root}/flags/folder`, 1)
  setTimes(root, 1n, 1_234_567_890_987_654_321n)
  chmodSync(toSystemPath(root), 0o2751)
  lchownSync(root, 77, 88)
  setXattr(root, 'user.root', Buffer.from('of the top'))
}

/** Takes the flags away that keep a tree from being removed. */
export function unlockRareTree(root: string): void {
  spawnSync('chattr', ['-R', '-f', '-ia', root]) // fails on what has no flags, and goes on
}
