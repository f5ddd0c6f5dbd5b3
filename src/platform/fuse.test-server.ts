/**
 * Mounts a file system on the directory given, and answers for it, until it is unmounted: empty files whose extended attributes
 * behave as no other file system's do. Speaks the protocol of linux/fuse.h (fuse(4)), of which it knows what the tests need.
 */
import { spawn } from 'node:child_process'
import { openSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { errnoOf } from '../base/errors.ts'

const { ENODATA, ENOENT, ENOSYS, ENOTSUP, ERANGE, EIO, E2BIG } = constants.errno

interface File {
  /** Names listed, or the error of listing. */
  readonly names: readonly string[] | number
  /** The value, or the error of reading it. */
  read(name: string): Buffer | number
}

const FILES: ReadonlyMap<string, File> = new Map<string, File>([
  [
    'vanishing',
    {
      names: ['user.last', 'user.gone', 'user.first', 'user.unreadable'],
      read: (name) =>
        name === 'user.gone' ? ENODATA : name === 'user.unreadable' ? ENOTSUP : Buffer.from(`value of ${name}`),
    },
  ],
  ['growing', { names: ['user.grown'], read: () => Buffer.alloc(20_000, 'g') }],
  ['failing', { names: ['user.x'], read: () => EIO }],
  ['unlisted', { names: E2BIG, read: () => ENODATA }],
  ['unsupported', { names: ENOSYS, read: () => ENODATA }],
])
const files = [...FILES.values()]

const BODY = 40
const OP = { LOOKUP: 1, FORGET: 2, GETATTR: 3, STATFS: 17, GETXATTR: 22, LISTXATTR: 23, INIT: 26, BATCH_FORGET: 42 }

/** The reply to a request: a body, an error number, or `undefined` for none. */
function answer(request: Buffer): Buffer | number | undefined {
  const node = Number(request.readBigUInt64LE(16)) // 1 is the root, files[n] is n + 2
  const file = files[node - 2]
  switch (request.readUInt32LE(4)) {
    case OP.INIT: {
      const reply = Buffer.alloc(64)
      reply.writeUInt32LE(7, 0)
      reply.writeUInt32LE(Math.min(request.readUInt32LE(BODY + 4), 31), 4)
      reply.writeUInt32LE(65_536, 20)
      return reply
    }
    case OP.LOOKUP: {
      const index = [...FILES.keys()].indexOf(request.toString('utf8', BODY, request.length - 1))
      if (index < 0) return ENOENT
      const entry = Buffer.alloc(40)
      entry.writeBigUInt64LE(BigInt(index + 2))
      return Buffer.concat([entry, attributes(index + 2)])
    }
    case OP.GETATTR:
      return Buffer.concat([Buffer.alloc(16), attributes(node)])
    case OP.STATFS:
      return Buffer.alloc(80)
    case OP.LISTXATTR: {
      if (!file || typeof file.names === 'number') return file ? (file.names as number) : ENODATA
      return fitting(request, Buffer.from(file.names.map((name) => `${name}\0`).join('')))
    }
    case OP.GETXATTR: {
      const value = file?.read(request.toString('utf8', BODY + 8, request.length - 1)) ?? ENODATA
      return typeof value === 'number' ? value : fitting(request, value)
    }
    case OP.FORGET:
    case OP.BATCH_FORGET:
      return undefined
    default:
      return ENOSYS
  }
}

function attributes(node: number): Buffer {
  const attr = Buffer.alloc(88)
  attr.writeBigUInt64LE(BigInt(node), 0)
  attr.writeUInt32LE(node === 1 ? 0o040755 : 0o100644, 60)
  attr.writeUInt32LE(1, 64)
  return attr
}

function fitting(request: Buffer, bytes: Buffer): Buffer | number {
  const size = request.readUInt32LE(BODY)
  return size < bytes.length ? ERANGE : bytes
}

const fd = openSync('/dev/fuse', 'r+')
const options = `fd=3,rootmode=40000,user_id=0,group_id=0,allow_other`
spawn('mount', ['-i', '-t', 'fuse', '-o', options, 'cairn-test', process.argv[2] ?? ''], {
  stdio: ['ignore', 'inherit', 'inherit', fd],
})
const buffer = Buffer.alloc(1 << 18)
for (;;) {
  try {
    const request = buffer.subarray(0, readSync(fd, buffer))
    const reply = answer(request)
    if (reply === undefined) continue
    const body = typeof reply === 'number' ? Buffer.alloc(0) : reply
    const header = Buffer.alloc(16)
    header.writeUInt32LE(16 + body.length, 0)
    header.writeInt32LE(typeof reply === 'number' ? -reply : 0, 4)
    request.copy(header, 8, 8, 16)
    writeSync(fd, Buffer.concat([header, body]))
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENODEV') break // unmounted
    // Before mounting, and when a caller gave up.
    if (code === 'EPERM') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    else if (code !== 'EINTR' && code !== 'ENOENT' && code !== 'EAGAIN') throw error
  }
}
