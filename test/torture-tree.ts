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
import { testBytes } from '../src/chunker/testing.ts'
import { setTimes } from '../src/platform/native.ts'
import { makeSpecialFile } from '../src/platform/special-files.ts'
import { setXattr } from '../src/platform/xattrs.ts'
import { IS_ROOT, LATIN1_NAME } from './testing.ts'

/** Times that file systems keep and programs get wrong: before 1970, after 2038, with every digit of a nanosecond. */
const TIMES_NS = [
  0n,
  1n,
  -1n,
  -2_147_483_648_000_000_000n,
  1_234_567_890_123_456_789n,
  4_294_967_296_999_999_999n,
  15_000_000_000_000_000_001n,
]

const NAMES = [
  'plain',
  ' ',
  '-rf',
  '...',
  'new\nline',
  'tab\tand\x1b[31m',
  'x'.repeat(255),
  '\u00e4\u{1f600}\uffff',
  'e\u0301', // another spelling of U+00E9; file systems must not make them one
  '\u00e9',
  LATIN1_NAME,
]

/**
 * Fills `root`, an empty folder, with files, directories and symlinks of every kind that is hard to bring back. Owners, and
 * files that their owner cannot read, are part of it for root only.
 */
export function makeTortureTree(root: string): void {
  const at = (path: string): string | Buffer => toSystemPath(`${root}/${path}`)
  const data = testBytes('torture', (9 << 20) + 77)

  mkdirSync(at('names'))
  for (const name of NAMES) writeFileSync(at(`names/${name}`), `content of ${name}`)
  for (const name of NAMES) mkdirSync(at(`names/d${name.slice(0, 100)}`))

  mkdirSync(at('sizes'))
  for (const size of [0, 1, 4095, 4096, 4097, 65_536, 300_000, 1 << 20, data.length])
    writeFileSync(at(`sizes/${size}`), data.subarray(0, size))
  writeFileSync(at('sizes/duplicate'), data)
  writeFileSync(at('sizes/zeros'), Buffer.alloc(500_000))

  mkdirSync(at('modes'))
  for (const mode of [
    0o7777,
    0o4755,
    0o2755,
    0o1777,
    0o6711,
    0o777,
    0o644,
    0o444,
    0o400,
    ...(IS_ROOT ? [0, 0o111] : []),
  ]) {
    const name = `modes/${mode.toString(8)}`
    writeFileSync(at(name), name)
    chmodSync(at(name), mode)
  }
  for (const mode of [0o7777, 0o2775, 0o1777, 0o700, 0o755, ...(IS_ROOT ? [0, 0o555, 0o500] : [])]) {
    const name = `modes/dir-${mode.toString(8)}`
    mkdirSync(at(name))
    writeFileSync(at(`${name}/in`), 'in a directory that is closed afterwards')
    mkdirSync(at(`${name}/sub`))
    chmodSync(at(name), mode)
  }

  mkdirSync(at('links'))
  const targets = [
    '../sizes/1',
    'nowhere',
    'self',
    '/',
    '/etc/passwd',
    '..',
    '.',
    `../names/${LATIN1_NAME}`,
    '//a/../b/',
    'y'.repeat(4000),
  ]
  for (const [i, target] of targets.entries()) symlinkSync(toSystemPath(target), at(`links/${i}`))
  symlinkSync('self', at('links/self'))
  symlinkSync('loop-b', at('links/loop-a'))
  symlinkSync('loop-a', at('links/loop-b'))

  mkdirSync(at(`deep/${'d/'.repeat(60)}`), { recursive: true })
  writeFileSync(at(`deep/${'d/'.repeat(60)}f`), 'deep')
  mkdirSync(at('empty'))
  mkdirSync(at('wide'))
  for (let i = 0; i < 600; i++) writeFileSync(at(`wide/${i}`), String(i % 50))

  mkdirSync(at('owners'))
  if (IS_ROOT) {
    for (const [i, [uid, gid]] of [
      [0, 5],
      [65534, 65534],
      [1000, 1000],
      [4_294_967_294, 77],
    ].entries()) {
      writeFileSync(at(`owners/f${i}`), 'x')
      symlinkSync('f0', at(`owners/l${i}`))
      mkdirSync(at(`owners/d${i}`))
      for (const kind of ['f', 'l', 'd']) lchownSync(at(`owners/${kind}${i}`), uid ?? 0, gid ?? 0)
    }
    lchownSync(at('modes/4755'), 1000, 1000) // clears the setuid bit …
    chmodSync(at('modes/4755'), 0o4755) // … which comes back last
  }

  mkdirSync(at('times'))
  for (const [i, time] of TIMES_NS.entries()) {
    writeFileSync(at(`times/f${i}`), 'x')
    mkdirSync(at(`times/d${i}`))
    writeFileSync(at(`times/d${i}/in`), 'x')
    symlinkSync('x', at(`times/l${i}`))
    for (const kind of ['f', 'd', 'l']) setTimes(`${root}/times/${kind}${i}`, time, time)
  }
  for (const [i, name] of ['links', 'wide', 'times', ''].entries())
    setTimes(`${root}/${name}`, 1n, 1_000_000_000_000_000_000n + BigInt(i))
}

/** user::rw- user:7:r-- group::r-- mask::r-- other::--- */
export const SOME_ACL = Buffer.from(
  '0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff',
  'hex',
)

/**
 * Adds what is rarer, in a folder of its own: files of many names, sparse ones, attributes, ACLs, FIFOs and devices. For root on
 * Linux only.
 */
export function makeRareEntries(root: string): void {
  const at = (path: string): string => `${root}/rare/${path}`
  for (const folder of ['', 'links', 'sparse', 'xattrs', 'special']) mkdirSync(at(folder))

  writeFileSync(at('links/first'), 'one file of many names')
  for (const name of ['links/second', 'third', 'sparse/fourth', `links/${'z'.repeat(200)}`])
    linkSync(at('links/first'), at(name))
  symlinkSync('first', at('links/symlink'))
  linkSync(at('links/symlink'), at('links/symlink-too'))

  const data = testBytes('sparse', 100_000)
  const layouts: readonly [name: string, places: readonly number[], size: number][] = [
    ['all', [], 10 << 20],
    ['start', [5 << 20], (5 << 20) + data.length],
    ['end', [0], 5 << 20],
    ['many', Array.from({ length: 30 }, (_, i) => i << 20), 40 << 20],
  ]
  for (const [name, places, size] of layouts) {
    const fd = openSync(at(`sparse/${name}`), 'w')
    for (const place of places) writeSync(fd, data, 0, data.length, place)
    ftruncateSync(fd, size)
    closeSync(fd)
  }

  for (const name of ['small', 'large', 'acl', 'many']) writeFileSync(at(`xattrs/${name}`), name)
  mkdirSync(at('xattrs/d'))
  setXattr(at('xattrs/small'), 'user.empty', Buffer.alloc(0))
  setXattr(at('xattrs/large'), 'user.large', testBytes('xattr', 3000))
  for (let i = 0; i < 20; i++) setXattr(at('xattrs/many'), `user.\u00e9.${i}`, Buffer.of(i, 0, 255))
  setXattr(at('xattrs/acl'), 'system.posix_acl_access', SOME_ACL)
  setXattr(at('xattrs/d'), 'system.posix_acl_default', SOME_ACL)
  setXattr(at('xattrs/d'), 'trusted.overlay.opaque', Buffer.from('y'))
  // cap_net_bind_service, as setcap(8) writes it
  setXattr(at('xattrs/small'), 'security.capability', Buffer.from('0100000200040000000000000000000000000000', 'hex'))

  makeSpecialFile(at('special/fifo'), 'fifo', 0o640, { major: 0, minor: 0 })
  linkSync(at('special/fifo'), at('special/fifo-too'))
  makeSpecialFile(at('special/null'), 'chardev', 0o666, { major: 1, minor: 3 })
  makeSpecialFile(at('special/disk'), 'blockdev', 0o600, { major: 259, minor: 70_000 })
  lchownSync(at('special/disk'), 0, 6)
  for (const name of ['special/fifo', 'links/symlink', 'links/first', 'special']) setTimes(at(name), 1n, 123_456_789n)
}
