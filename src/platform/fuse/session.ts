import { closeSync, readSync, writevSync } from 'node:fs'
import { constants } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { debugScope } from '../../base/debug.ts'
import { errnoOf } from '../../base/errors.ts'
import { fromRawName, toRawName } from '../../base/raw-name.ts'
import { isSystemError, systemError } from '../system-error.ts'
import { isEnding } from './ending-thread.ts'
import type { FuseFileSystem, FuseFound, FuseNode } from './file-system.ts'
import { KnownNodes } from './known-nodes.ts'
import { mountLibc } from './libc.ts'
import {
  CACHE_DIR,
  DirentWriter,
  type FuseEntry,
  type FuseRequest,
  GET_FLAGS,
  KEEP_CACHE,
  NO_FLUSH,
  MAX_READ_BYTES,
  OPCODES,
  REQUEST_BUFFER_BYTES,
  WRITING_OPCODES,
  decodeRequest,
  encodeAttributes,
  encodeEntry,
  encodeInit,
  encodeIoctl,
  encodeOpen,
  encodeReplyHeader,
  encodeSeek,
  encodeStatfs,
  encodeXattrSize,
} from './wire.ts'

const debug = debugScope('fuse')

/** How long a session that is to stop may go on waiting for the device at most. */
const POLL_MS = 500
/** After a request, this thread waits for the next one so long, so often, if there is nothing else to do. */
const LINGER_MS = 1
const LINGER_ROUNDS = 10
/** More pieces than writev(2) takes are put together before. */
const MAX_PIECES = 512
/** Of `.` and `..`, whose inodes nobody asks a listing for. */
const UNKNOWN_INODE = 0xffffffffn
const DIRECTORY_MODE = 0o040000

const { ENODATA, ENOSYS, EBADF, EINTR, EINVAL, EIO, EPROTO, ERANGE, EROFS, ESTALE, ENXIO, ENOTTY } = constants.errno

/** While a request is interrupted and not answered: how often to look whether its thread is to end. */
const INTERRUPTED_MS = 100

type Reply = Buffer | readonly Uint8Array[] | undefined

/** An answer, and what is to be noted once the kernel has it. */
interface Answer {
  readonly reply: Reply
  readonly note: () => void
}

/** A request that is not answered yet. */
interface Pending {
  readonly thread: number
  /** Once it was interrupted. */
  timer?: NodeJS.Timeout
}

interface OpenFolder<Node, Folder> {
  readonly folder: Folder
  readonly node: Node
}

/**
 * Answers the kernel's requests on an open FUSE device until the file system is unmounted. Requests are answered as they are done,
 * in any order; what the kernel holds is remembered, and nothing else.
 */
export class FuseSession<Node extends FuseNode, File, Folder> {
  readonly #fd: number
  readonly #fileSystem: FuseFileSystem<Node, File, Folder>
  readonly #nodes: KnownNodes<Node>
  readonly #files = new Map<bigint, File>()
  readonly #folders = new Map<bigint, OpenFolder<Node, Folder>>()
  #lastHandle = 0
  #isStopped = false
  /** By what they say to be unique. */
  readonly #pending = new Map<bigint, Pending>()
  readonly #ready = Promise.withResolvers<void>()
  /** Settles when nobody asks any more; rejects when the device fails. */
  readonly done: Promise<void>

  /** Takes over `fd`, a FUSE device opened with `O_NONBLOCK`, and closes it in the end. */
  constructor(fd: number, fileSystem: FuseFileSystem<Node, File, Folder>) {
    this.#fd = fd
    this.#fileSystem = fileSystem
    this.#nodes = new KnownNodes(fileSystem.root)
    this.#ready.promise.catch(() => undefined)
    this.done = this.#run()
    this.done.catch(() => undefined)
  }

  /** Resolves when the kernel has agreed on the protocol: the mount can be used. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Ends it although it may still be mounted: whoever asks from then on gets `ENOTCONN`. Resolves when the device is closed. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.done.catch(() => undefined)
  }

  async #run(): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(REQUEST_BUFFER_BYTES)
    try {
      while (!this.#isStopped && (await this.#waitForRequest()) && this.#takeNext(buffer));
    } finally {
      // Nobody waits any more for what is still being done, and the number of the descriptor may soon be another file's.
      for (const { timer } of this.#pending.values()) clearInterval(timer)
      this.#pending.clear()
      closeSync(this.#fd)
      this.#ready.reject(systemError('ENOTCONN', 'read'))
    }
  }

  /** Resolves when there may be a request to read, or the device has something else to say; always to `true`. */
  async #waitForRequest(): Promise<true> {
    const device = Buffer.alloc(8) // struct pollfd
    device.writeInt32LE(this.#fd, 0)
    device.writeInt16LE(POLLIN, 4)
    const libc = mountLibc()
    // Answers that wait for nothing are on their way after that, and other threads have been heard.
    if (this.#pending.size > 0) await setImmediate()
    for (let i = 0; i < LINGER_ROUNDS; i++) {
      // Most requests follow an answer at once. Waiting for them right here takes 60 µs, by way of another thread 300.
      if (libc.poll(device, 1, this.#pending.size > 0 ? 0 : LINGER_MS) !== 0) return true
      await setImmediate()
    }
    while (!this.#isStopped && (await libc.pollAsync(device, 1, POLL_MS)) === 0);
    return true
  }

  /** Takes a request; `false` when no more will come. */
  #takeNext(buffer: Buffer): boolean {
    try {
      const bytes = readSync(this.#fd, buffer)
      if (bytes > 0) this.#take(buffer.subarray(0, bytes))
      return bytes > 0
    } catch (error) {
      const code = errnoOf(error)
      // Interrupted, or the request was taken back.
      if (code === 'EAGAIN' || code === 'EINTR' || code === 'ENOENT') return true
      if (code === 'ENODEV') return false // unmounted
      throw error // ECONNABORTED: somebody has cut the connection, and it is still mounted
    }
  }

  #take(bytes: Buffer): void {
    const request = decodeRequest(bytes)
    if (!request) return // nobody could be answered
    const { opcode, unique, body } = request
    debug?.('%d: opcode %d of node %d, %d bytes', unique, opcode, request.node, body.length)
    if (opcode === OPCODES.FORGET) this.#nodes.forget(request.node, body, 0)
    else if (opcode === OPCODES.BATCH_FORGET) this.#nodes.forgetMany(body)
    else if (opcode === OPCODES.INTERRUPT) this.#interrupt(body)
    else void this.#answer(request)
  }

  async #answer(request: FuseRequest): Promise<void> {
    const { unique, thread, opcode } = request
    this.#pending.set(unique, { thread })
    let answer: Reply | Answer
    let errno = 0
    try {
      // Up to its first pause, it reads all that it needs of the request.
      answer = await this.#handle(request)
    } catch (error) {
      errno = error instanceof RangeError ? EINVAL : isSystemError(error) ? -error.errno : EIO
      debug?.('%d: %s', unique, error)
    }
    const { reply, note } = answer && 'note' in answer ? answer : { reply: answer }
    if (this.#reply(unique, errno, reply)) note?.()
    if (opcode !== OPCODES.INIT) return
    if (errno === 0) this.#ready.resolve()
    else this.#isStopped = true
  }

  /** Whether the kernel has it: not when the request was answered already, or nobody waits for it. */
  #reply(unique: bigint, errno: number, reply?: Reply): boolean {
    const pending = this.#pending.get(unique)
    if (!pending) return false
    clearInterval(pending.timer)
    this.#pending.delete(unique)
    let parts = reply === undefined ? [] : Buffer.isBuffer(reply) ? [reply] : reply
    if (parts.length > MAX_PIECES) parts = [Buffer.concat(parts)]
    const bytes = parts.reduce((sum, { length }) => sum + length, 0)
    try {
      writevSync(this.#fd, [encodeReplyHeader(unique, errno, bytes), ...parts])
      return true
    } catch (error) {
      // Who asked is gone, or all are; the next read tells.
      debug?.('%d: reply refused: %s', unique, error)
      return false
    }
  }

  /**
   * The thread that waits for a request got a signal. If that is to end its program, it need not wait any longer; the kernel does
   * not tell of a second one, so this looks again. What is being fetched goes on: the next one may ask for it.
   */
  #interrupt(body: Buffer): void {
    const unique = body.length < 8 ? 0n : body.readBigUInt64LE(0)
    const pending = this.#pending.get(unique)
    if (!pending) return
    const look = (): void => void (isEnding(pending.thread) && this.#reply(unique, EINTR))
    pending.timer ??= setInterval(look, INTERRUPTED_MS).unref()
    look()
  }

  /** @throws a system error for the one who asked; a `RangeError` when the request is too short */
  async #handle(request: FuseRequest): Promise<Reply | Answer> {
    const { opcode, body } = request
    const fileSystem = this.#fileSystem
    switch (opcode) {
      case OPCODES.INIT: {
        const reply = encodeInit(body, fileSystem.hasAcls)
        if (!reply) throw failure(EPROTO)
        return reply
      }
      case OPCODES.LOOKUP:
        return this.#lookUp(this.#nodeOf(request), textIn(body, 0))
      case OPCODES.GETATTR: {
        const { node, attributes } = await fileSystem.get(this.#nodeOf(request))
        return encodeAttributes(attributes, fileSystem.validS(node))
      }
      case OPCODES.READLINK:
        return toRawName(await fileSystem.readLink(this.#nodeOf(request)))
      case OPCODES.OPEN: {
        const file = await fileSystem.open(this.#nodeOf(request))
        const handle = ++this.#lastHandle
        return {
          reply: encodeOpen(handle, KEEP_CACHE | NO_FLUSH),
          note: () => this.#files.set(BigInt(handle), file),
        }
      }
      case OPCODES.READ: {
        const file = handleIn(this.#files, body)
        const offset = Number(body.readBigUInt64LE(8))
        return fileSystem.read(file, offset, Math.min(body.readUInt32LE(16), MAX_READ_BYTES))
      }
      case OPCODES.LSEEK:
        return this.#seek(body)
      case OPCODES.RELEASE:
        this.#files.delete(body.readBigUInt64LE(0))
        return undefined
      case OPCODES.OPENDIR: {
        const node = this.#nodeOf(request)
        const folder = await fileSystem.openFolder(node)
        const handle = ++this.#lastHandle
        return {
          reply: encodeOpen(handle, fileSystem.validS(node) > MINUTE_S ? KEEP_CACHE | CACHE_DIR : 0),
          note: () => this.#folders.set(BigInt(handle), { node, folder }),
        }
      }
      case OPCODES.READDIR:
      case OPCODES.READDIRPLUS:
        return this.#list(body, opcode === OPCODES.READDIRPLUS)
      case OPCODES.RELEASEDIR:
        this.#folders.delete(body.readBigUInt64LE(0))
        return undefined
      case OPCODES.GETXATTR: {
        const name = textIn(body, 8)
        const sizeBytes = body.readUInt32LE(0)
        const xattrs = await fileSystem.readXattrs(this.#nodeOf(request))
        const value = xattrs.find((xattr) => xattr.name === name)?.value
        if (!value) throw NO_DATA
        return fitting(Buffer.from(value), sizeBytes)
      }
      case OPCODES.LISTXATTR: {
        const sizeBytes = body.readUInt32LE(0)
        const xattrs = await fileSystem.readXattrs(this.#nodeOf(request))
        return fitting(Buffer.concat(xattrs.flatMap(({ name }) => [toRawName(name), NUL])), sizeBytes)
      }
      case OPCODES.IOCTL: {
        if (body.readUInt32LE(12) !== GET_FLAGS) throw failure(ENOTTY)
        return encodeIoctl(await fileSystem.readFlags(this.#nodeOf(request)))
      }
      case OPCODES.STATFS:
        return encodeStatfs()
      case OPCODES.DESTROY:
        return undefined
      default: // FLUSH among them, which is then asked no more
        throw failure(WRITING_OPCODES.has(opcode) ? EROFS : ENOSYS)
    }
  }

  async #lookUp(folder: Node, name: string): Promise<Reply | Answer> {
    try {
      const found = await this.#fileSystem.find(folder, name)
      return { reply: encodeEntry(this.#entryOf(folder, found)), note: () => this.#nodes.add(found.node) }
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      // The kernel remembers for as long as the folder stays as it is that there is no such name.
      return encodeEntry({ ...NO_ENTRY, nameValidS: this.#fileSystem.validS(folder) })
    }
  }

  #entryOf(folder: Node, { node, attributes }: FuseFound<Node>): FuseEntry {
    const fileSystem = this.#fileSystem
    return { node: node.id, attributes, validS: fileSystem.validS(node), nameValidS: fileSystem.validS(folder) }
  }

  #seek(body: Buffer): Buffer {
    const offset = Number(body.readBigUInt64LE(8))
    const what = SEEK_WHAT[body.readUInt32LE(16)]
    if (!what) throw failure(EINVAL)
    const found = this.#fileSystem.seek(handleIn(this.#files, body), offset, what)
    if (found === undefined) throw failure(ENXIO)
    return encodeSeek(found)
  }

  async #list(body: Buffer, withEntries: boolean): Promise<Answer> {
    const { node, folder } = handleIn(this.#folders, body)
    const offset = Number(body.readBigUInt64LE(8))
    const writer = new DirentWriter(body.readUInt32LE(16))
    const told: Node[] = []
    const answer = (): Answer => ({ reply: writer.bytes, note: () => told.forEach((one) => this.#nodes.add(one)) })
    for (const [i, name] of ['.', '..'].entries()) {
      if (offset > i) continue
      const dirent = { name, inode: UNKNOWN_INODE, mode: DIRECTORY_MODE, next: i + 1 }
      if (!writer.add(dirent, withEntries ? NO_ENTRY : undefined)) return answer()
    }
    const names = await this.#fileSystem.list(folder, Math.max(0, offset - DOTS))
    for (const listed of names) {
      const dirent = { ...listed, next: listed.next + DOTS }
      const found = withEntries ? listed.found() : undefined
      const entry = found && this.#entryOf(node, found)
      if (!writer.add(dirent, withEntries ? (entry ?? NO_ENTRY) : undefined)) break
      if (found) told.push(found.node)
    }
    return answer()
  }

  #nodeOf({ node }: FuseRequest): Node {
    const known = this.#nodes.get(node)
    if (!known) throw failure(ESTALE)
    return known
  }
}

const NUL = Buffer.of(0)
const POLLIN = 1
const MINUTE_S = 60
/** Positions of a listing that come before those of the file system: `.` and `..`. */
const DOTS = 2
/** Tells nothing but the name. */
const NO_ENTRY: FuseEntry = { node: 0n, attributes: undefined, validS: 0, nameValidS: 0 }
const SEEK_WHAT: Readonly<Record<number, 'data' | 'hole'>> = { 3: 'data', 4: 'hole' }

function failure(errno: number): Error {
  return systemError(errno, 'fuse')
}

/** Made once: ls(1) asks twice for every file. */
const NO_DATA = failure(ENODATA)

function handleIn<T>(handles: ReadonlyMap<bigint, T>, body: Buffer): T {
  const found = handles.get(body.readBigUInt64LE(0))
  if (found === undefined) throw failure(EBADF)
  return found
}

/** Text that ends in NUL, of a request. */
function textIn(body: Buffer, offset: number): string {
  const end = body.indexOf(0, offset)
  if (end < 0) throw failure(EINVAL)
  return fromRawName(body.subarray(offset, end))
}

/** What is asked for with room for `sizeBytes`, or its length when that is 0. */
function fitting(bytes: Buffer, sizeBytes: number): Buffer {
  if (sizeBytes === 0) return encodeXattrSize(bytes.length)
  if (bytes.length > sizeBytes) throw failure(ERANGE)
  return bytes
}
