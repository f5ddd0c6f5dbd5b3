import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { CairnError } from '../../base/errors.ts'
import { systemError } from '../system-error.ts'
import { newFile } from '../testing.ts'
import type { FuseFileSystem, FuseFound, FuseListed, FuseNode } from './file-system.ts'
import { mountLibc } from './libc.ts'
import { FuseSession } from './session.ts'
import { OPCODES } from './wire.ts'

const { EBADF, EINTR, EINVAL, EIO, ENODATA, ENOSYS, ENOTTY, ENXIO, ERANGE, EROFS, ESTALE } = constants.errno

interface TestNode extends FuseNode {
  readonly name: string
}

const notNow = (): undefined => undefined

/** A folder with one file, `f`, of ten bytes, and `slow`, which is the same, but found only when it is let. */
class OneFile implements FuseFileSystem<TestNode, TestNode, TestNode> {
  readonly slow = Promise.withResolvers<void>()
  readonly root = { id: 100n, name: '' }
  readonly hasAcls = false
  readonly file = { id: 200n, name: 'f' }

  validS(): number {
    return 1
  }

  async find(_: TestNode, name: string): Promise<FuseFound<TestNode>> {
    if (name === 'damaged') throw new CairnError('DATA_CORRUPT', 'damaged')
    if (name === 'slow') await this.slow.promise
    else if (name !== 'f') throw systemError('ENOENT', 'lookup')
    return this.get(this.file)
  }

  async get(node: TestNode): Promise<FuseFound<TestNode>> {
    const time = { atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n }
    const attributes = {
      inode: node.id,
      mode: 0o100644,
      linkCount: 1,
      uid: 0,
      gid: 0,
      sizeBytes: 10,
      blocks: 1,
      ...time,
      device: undefined,
    }
    return { node, attributes }
  }

  async readLink(): Promise<string> {
    throw systemError('EINVAL', 'readlink')
  }

  async readXattrs(): Promise<{ name: string; value: Uint8Array }[]> {
    return [{ name: 'user.x', value: Buffer.from('value') }]
  }

  async readFlags(): Promise<number> {
    return 0x10
  }

  async open(node: TestNode): Promise<TestNode> {
    return node
  }

  async read(_: TestNode, offset: number, length: number): Promise<Uint8Array[]> {
    await sleep(1)
    // More pieces than writev(2) takes at once.
    return Array.from(Buffer.from('0123456789').subarray(offset, offset + length), (byte) => Buffer.of(byte)).concat(
      Array.from({ length: 2000 }, () => Buffer.alloc(0)),
    )
  }

  seek(_: TestNode, offset: number): number | undefined {
    return offset < 10 ? offset : undefined
  }

  async openFolder(node: TestNode): Promise<TestNode> {
    return node
  }

  async list(_: TestNode, position: number): Promise<FuseListed<TestNode>[]> {
    return position === 0 ? [{ name: 'f', inode: 200n, mode: 0o100000, next: 1, found: notNow }] : []
  }
}

interface Reply {
  readonly unique: bigint
  readonly errno: number
  readonly body: Buffer
}

/** A session at one end of a socket that keeps messages apart, as the device does; the test is the kernel at the other. */
function newSession(t: TestContext): {
  session: FuseSession<TestNode, TestNode, TestNode>
  /** Its number. */
  fd: number
  fileSystem: OneFile
  /** Returns the number of the request. */
  send: (opcode: number, node: bigint, body?: Buffer, thread?: number) => bigint
  sendRaw: (bytes: Buffer) => void
  receive: () => Promise<Reply>
  ask: (opcode: number, node: bigint, body?: Buffer) => Promise<Reply>
} {
  const fds = new Int32Array(2)
  const SOCK_SEQPACKET = 5
  const SOCK_NONBLOCK = 0o4000
  assert.equal(mountLibc().socketpair(1, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0)
  const [ours = -1, theirs = -1] = fds
  const fileSystem = new OneFile()
  const session = new FuseSession(theirs, fileSystem)
  t.after(async () => {
    await session.stop()
    closeSync(ours)
  })
  let unique = 0n
  const sendRaw = (bytes: Buffer): void => void writeSync(ours, bytes)
  const send = (opcode: number, node: bigint, body: Buffer = Buffer.alloc(0), thread = 0): bigint => {
    const header = Buffer.alloc(40)
    header.writeUInt32LE(40 + body.length, 0)
    header.writeUInt32LE(opcode, 4)
    header.writeBigUInt64LE(++unique, 8)
    header.writeBigUInt64LE(node, 16)
    header.writeUInt32LE(thread, 32)
    sendRaw(Buffer.concat([header, body]))
    return unique
  }
  const buffer = Buffer.alloc(1 << 18)
  const receive = async (): Promise<Reply> => {
    for (;;) {
      try {
        const reply = buffer.subarray(0, readSync(ours, buffer))
        assert.equal(reply.readUInt32LE(0), reply.length)
        return {
          unique: reply.readBigUInt64LE(8),
          errno: 0 - reply.readInt32LE(4),
          body: Buffer.from(reply.subarray(16)),
        }
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN')
        await sleep(1)
      }
    }
  }
  const ask = async (...request: Parameters<typeof send>): Promise<Reply> => {
    send(...request)
    return receive()
  }
  return { session, fd: theirs, fileSystem, send, sendRaw, receive, ask }
}

const name = (text: string): Buffer => Buffer.from(`${text}\0`)

/** A body of integers; bigints have 64 bits. */
function body(...values: readonly (number | bigint)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      const bytes = Buffer.alloc(typeof value === 'bigint' ? 8 : 4)
      if (typeof value === 'bigint') bytes.writeBigUInt64LE(value)
      else bytes.writeUInt32LE(value)
      return bytes
    }),
  )
}

describe('FuseSession', { skip: process.platform !== 'linux' && 'needs Linux' }, () => {
  it('answers what there is, and refuses what there is not', async (t) => {
    const { ask } = newSession(t)
    const errno = async (...request: Parameters<typeof ask>): Promise<number> => (await ask(...request)).errno
    assert.equal(await errno(OPCODES.GETATTR, 200n), ESTALE) // not looked up yet
    const found = await ask(OPCODES.LOOKUP, 1n, name('f'))
    assert.deepEqual([found.errno, found.body.readBigUInt64LE(0)], [0, 200n])
    const missing = await ask(OPCODES.LOOKUP, 1n, name('g'))
    assert.deepEqual([missing.errno, missing.body.readBigUInt64LE(0)], [0, 0n])
    assert.equal(await errno(OPCODES.LOOKUP, 1n, name('damaged')), EIO)
    assert.equal(await errno(OPCODES.GETATTR, 200n), 0)
    const handle = (await ask(OPCODES.OPEN, 200n, body(0, 0))).body.readBigUInt64LE(0)
    const read = await ask(OPCODES.READ, 200n, body(handle, 3n, 100, 0, 0n, 0, 0))
    assert.equal(read.body.toString(), '3456789')
    assert.equal(await errno(OPCODES.LSEEK, 200n, body(handle, 5n, 3, 0)), 0)
    assert.equal(await errno(OPCODES.LSEEK, 200n, body(handle, 10n, 3, 0)), ENXIO)
    assert.equal(await errno(OPCODES.LSEEK, 200n, body(handle, 5n, 9, 0)), EINVAL)
    assert.equal(await errno(OPCODES.RELEASE, 200n, body(handle, 0, 0, 0n)), 0)
    assert.equal(await errno(OPCODES.READ, 200n, body(handle, 3n, 100, 0, 0n, 0, 0)), EBADF)
    assert.equal(
      (await ask(OPCODES.GETXATTR, 200n, Buffer.concat([body(100, 0), name('user.x')]))).body.toString(),
      'value',
    )
    assert.equal(await errno(OPCODES.GETXATTR, 200n, Buffer.concat([body(4, 0), name('user.x')])), ERANGE)
    assert.equal(await errno(OPCODES.GETXATTR, 200n, Buffer.concat([body(4, 0), name('user.y')])), ENODATA)
    assert.equal((await ask(OPCODES.LISTXATTR, 200n, body(0, 0))).body.readUInt32LE(0), 7)
    assert.equal((await ask(OPCODES.IOCTL, 200n, body(0n, 0, 0x80086601, 0n, 0, 4))).body.readUInt32LE(16), 0x10)
    assert.equal(await errno(OPCODES.IOCTL, 200n, body(0n, 0, 0x1234, 0n, 0, 4)), ENOTTY)
    assert.equal(await errno(16, 200n, body(0n)), EROFS) // WRITE
    assert.equal(await errno(25, 200n, body(0n)), ENOSYS) // FLUSH
    assert.equal(await errno(9999, 200n, body(0n)), ENOSYS)
    assert.equal(await errno(OPCODES.READLINK, 200n), EINVAL)
  })

  it('lists a folder in pieces of any size', async (t) => {
    const { ask } = newSession(t)
    const handle = (await ask(OPCODES.OPENDIR, 1n, body(0, 0))).body.readBigUInt64LE(0)
    const names: string[] = []
    for (let offset = 0n; ;) {
      const { body: dirents } = await ask(OPCODES.READDIR, 1n, body(handle, offset, 40, 0, 0n, 0, 0))
      if (dirents.length === 0) break
      offset = dirents.readBigUInt64LE(8)
      names.push(dirents.toString('utf8', 24, 24 + dirents.readUInt32LE(16)))
    }
    assert.deepEqual(names, ['.', '..', 'f'])
  })

  it('forgets what the kernel forgets, and no more', async (t) => {
    const { send, ask } = newSession(t)
    for (let i = 0; i < 3; i++) await ask(OPCODES.LOOKUP, 1n, name('f'))
    send(OPCODES.FORGET, 200n, body(2n))
    assert.equal((await ask(OPCODES.GETATTR, 200n)).errno, 0)
    send(OPCODES.BATCH_FORGET, 0n, body(2, 0, 200n, 1n, 1n, 99n))
    assert.equal((await ask(OPCODES.GETATTR, 200n)).errno, ESTALE)
    assert.equal((await ask(OPCODES.GETATTR, 1n)).errno, 0) // the root stays
  })

  it('answers at once whoever is to end, and nobody else that a signal interrupts', async (t) => {
    const { fileSystem, send, receive, ask } = newSession(t)
    // Signals wait until it goes on, which never happens.
    const waiting = spawn('sleep', ['1000'])
    t.after(() => waiting.kill('SIGKILL'))
    waiting.kill('SIGSTOP')
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${waiting.pid}/status`, 'latin1'))) await sleep(1)
    waiting.kill('SIGUSR1')
    const hung = send(OPCODES.LOOKUP, 1n, name('slow'), waiting.pid)
    send(OPCODES.INTERRUPT, 0n, body(hung))
    send(OPCODES.INTERRUPT, 0n, body(999n)) // answered long ago
    assert.equal((await ask(OPCODES.GETATTR, 1n)).errno, 0)
    waiting.kill('SIGINT')
    assert.deepEqual(await receive(), { unique: hung, errno: EINTR, body: Buffer.alloc(0) })
    fileSystem.slow.resolve()
    // The kernel does not know of what was found too late, so nothing is remembered for it, and nothing answered once more.
    assert.equal((await ask(OPCODES.GETATTR, 200n)).errno, ESTALE)
    const unseen = send(OPCODES.LOOKUP, 1n, name('slow'))
    assert.equal((await receive()).unique, unseen)
    assert.equal((await ask(OPCODES.GETATTR, 200n)).errno, 0)
  })

  it('writes nothing more once it has ended, whatever its descriptor is by then', async (t) => {
    const { session, fd, fileSystem, send, ask } = newSession(t)
    send(OPCODES.LOOKUP, 1n, name('slow'))
    assert.equal((await ask(OPCODES.GETATTR, 1n)).errno, 0)
    await session.stop()
    const reused = openSync(newFile(''), 'r+')
    t.after(() => closeSync(reused))
    assert.equal(reused, fd)
    fileSystem.slow.resolve()
    await sleep(10)
    assert.equal(fstatSync(reused).size, 0)
  })

  it('survives any request, and answers each that can be answered', async (t) => {
    const { sendRaw, send, receive, ask } = newSession(t)
    const unanswered = new Set<number>([OPCODES.FORGET, OPCODES.BATCH_FORGET, OPCODES.INTERRUPT])
    await ask(OPCODES.LOOKUP, 1n, name('f'))
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constantFrom(...Object.values(OPCODES)), fc.nat(60)),
        fc.constantFrom(0n, 1n, 200n, 2n ** 64n - 1n),
        fc.uint8Array({ maxLength: 80 }),
        async (opcode, node, bytes) => {
          if (opcode === OPCODES.INIT) return // ends a session that it does not suit
          if (bytes.length > 0) sendRaw(Buffer.from(bytes)) // no request at all
          send(opcode, node, Buffer.from(bytes))
          if (!unanswered.has(opcode)) assert.ok((await receive()).errno < 200)
        },
      ),
      { numRuns: 500 },
    )
    assert.equal((await ask(OPCODES.GETATTR, 1n)).errno, 0)
  })
})
