import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { CairnError } from '../../base/errors.ts'
import type { Link } from '../remote/remote-storage.ts'
import { PacketReader, PacketWriter, type Packet, splitPackets } from './packets.ts'

/** Message types of SFTP version 3: draft-ietf-secsh-filexfer-02, with OpenSSH's extensions (its file PROTOCOL, section 4). */
const TYPE = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  realpath: 16,
  stat: 17,
  rename: 18,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const

const OK = 0
const END_OF_FILE = 1
const NO_SUCH_FILE = 2
const PERMISSION_DENIED = 3
const UNSUPPORTED = 8

const OPEN_READ = 1
const OPEN_WRITE_NEW = 2 | 8 | 32 // write, create, and only if it is not there

/** What servers without `limits@openssh.com` must take at least. */
const SAFE_BYTES = 32_768
/** Reads or writes of one file that are on their way at once: enough for 100 MB/s at 40 ms. */
const PIPELINE = 32
const SILENCE_MS = 60_000
const SIGNS_OF_LIFE = 4

export type Extension =
  | 'posix-rename@openssh.com'
  | 'hardlink@openssh.com'
  | 'fsync@openssh.com'
  | 'statvfs@openssh.com'
  | 'limits@openssh.com'

export interface Attributes {
  readonly isFolder: boolean
  readonly isFile: boolean
  readonly sizeBytes: number
  /** Seconds, for the protocol has no more. */
  readonly modifiedAtMs: number
}

/** A failure that the server reports. */
export class SftpError extends Error {
  override readonly name = 'SftpError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }

  get isAbsence(): boolean {
    return this.status === NO_SUCH_FILE
  }

  get isDenied(): boolean {
    return this.status === PERMISSION_DENIED
  }

  get isUnsupported(): boolean {
    return this.status === UNSUPPORTED
  }
}

export interface SftpOptions extends AbortOptions {
  /** As a person writes it, for messages. */
  readonly location: string
  /** Silence after which the server counts as gone. Default: a minute. */
  readonly silenceMs?: number | undefined
}

interface Pending {
  readonly resolve: (packet: Packet) => void
  readonly reject: (error: Error) => void
}

/**
 * A client of SFTP version 3 over two streams, such as those of `ssh -s host sftp`. Requests are answered in any order, so many may be
 * on their way at once. Paths are bytes to the server; here they are plain ASCII, or what the user typed.
 *
 * Everything throws `SftpError` for what the server reports, and `STORAGE_UNAVAILABLE` once the connection is broken.
 */
export class SftpClient {
  readonly #link: Link
  readonly #location: string
  readonly #pending = new Map<number, Pending>()
  readonly #timer: NodeJS.Timeout
  #extensions: ReadonlySet<string> = new Set()
  #maxReadBytes = SAFE_BYTES
  #maxWriteBytes = SAFE_BYTES
  #lastId = 0
  #silentTurns = 0
  #broken: Promise<CairnError> | undefined

  /** @throws {CairnError} `STORAGE_UNAVAILABLE` | `CANCELLED` */
  static async open(link: Link, options: SftpOptions): Promise<SftpClient> {
    const client = new SftpClient(link, options)
    try {
      await client.#greet(options)
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  }

  private constructor(link: Link, { location, silenceMs = SILENCE_MS }: SftpOptions) {
    this.#link = link
    this.#location = location
    const packets = splitPackets((packet) => this.#settle(packet))
    link.input.on('data', (piece: Buffer) => {
      this.#silentTurns = 0
      try {
        packets(piece)
      } catch (error) {
        this.#break((error as Error).message)
      }
    })
    for (const event of ['end', 'close', 'error']) {
      link.input.on(event, () => this.#break('it was cut'))
      link.output.on(event, () => this.#break('it was cut'))
    }
    this.#timer = setInterval(() => this.#showLife(silenceMs), silenceMs / SIGNS_OF_LIFE)
  }

  get isBroken(): boolean {
    return this.#broken !== undefined
  }

  has(extension: Extension): boolean {
    return this.#extensions.has(extension)
  }

  async realpath(path: string): Promise<string> {
    const reply = await this.#request(TYPE.realpath, (packet) => packet.text(path))
    const reader = replyOf(reply, TYPE.name)
    reader.u32()
    return reader.text()
  }

  async stat(path: string): Promise<Attributes> {
    return readAttributes(replyOf(await this.#request(TYPE.stat, (packet) => packet.text(path)), TYPE.attrs))
  }

  async lstat(path: string): Promise<Attributes> {
    return readAttributes(replyOf(await this.#request(TYPE.lstat, (packet) => packet.text(path)), TYPE.attrs))
  }

  /** Makes a folder that this user alone can read. */
  async mkdir(path: string): Promise<void> {
    // The permissions are the one attribute that is given.
    await this.#do(TYPE.mkdir, (packet) => packet.text(path).u32(4).u32(0o700))
  }

  async remove(path: string): Promise<void> {
    await this.#do(TYPE.remove, (packet) => packet.text(path))
  }

  /** Fails where there is a file already: so the draft wants it. */
  async rename(from: string, to: string): Promise<void> {
    await this.#do(TYPE.rename, (packet) => packet.text(from).text(to))
  }

  /** Takes the place of a file that is there, as rename(2). */
  async replace(from: string, to: string): Promise<void> {
    await this.#do(TYPE.extended, (packet) => packet.text('posix-rename@openssh.com').text(from).text(to))
  }

  /** A second name, as link(2): fails where there is a file already. */
  async link(from: string, to: string): Promise<void> {
    await this.#do(TYPE.extended, (packet) => packet.text('hardlink@openssh.com').text(from).text(to))
  }

  /** Bytes that this user may still store. */
  async freeBytes(path: string): Promise<number> {
    const reply = await this.#request(TYPE.extended, (packet) => packet.text('statvfs@openssh.com').text(path))
    const reader = replyOf(reply, TYPE.extendedReply)
    const [, fragmentBytes, , , available] = Array.from({ length: 5 }, () => reader.u64())
    return Number((fragmentBytes ?? 0n) * (available ?? 0n))
  }

  /** What is in a folder, in no order, without `.` and `..`. */
  async *entries(path: string): AsyncGenerator<Attributes & { readonly name: string }> {
    const handle = await this.#open(TYPE.opendir, (packet) => packet.text(path))
    try {
      for (;;) {
        const reply = await this.#request(TYPE.readdir, (packet) => packet.bytes(handle)).catch((error: unknown) => {
          if (error instanceof SftpError && error.status === END_OF_FILE) return undefined
          throw error
        })
        if (!reply) return
        const reader = replyOf(reply, TYPE.name)
        for (let left = reader.u32(); left > 0; left--) {
          const name = reader.text()
          reader.text() // as `ls -l` shows it
          const attributes = readAttributes(reader)
          if (name !== '.' && name !== '..') yield { name, ...attributes }
        }
      }
    } finally {
      await this.#closeHandle(handle)
    }
  }

  /** Bytes of a file: `length` from `offset` on, fewer where it ends, or all. Memory of its own. */
  async read(path: string, range: { offset: number; length: number } | undefined): Promise<Uint8Array> {
    const handle = await this.#open(TYPE.open, (packet) => packet.text(path).u32(OPEN_READ).u32(0))
    try {
      const offset = range?.offset ?? 0
      const length = range?.length ?? (await this.#size(handle))
      const bytes = new Uint8Array(length)
      let end = length
      await this.#inPieces(length, this.#maxReadBytes, async (start, pieceBytes) => {
        // A server may send less than was asked for.
        for (let done = 0; done < pieceBytes && start + done < end;) {
          const piece = await this.#readPiece(handle, offset + start + done, pieceBytes - done)
          if (piece.length === 0) end = Math.min(end, start + done)
          bytes.set(piece, start + done)
          done += piece.length
        }
      })
      return end === length ? bytes : bytes.slice(0, end)
    } finally {
      await this.#closeHandle(handle)
    }
  }

  /**
   * Writes a new file, calls `publish`, and makes file and name durable as far as the server can: a sync before, so that nobody
   * meets half a file, and one after, since a file system that writes a file's changed link count or change time writes the name with it.
   */
  async writeDurably<T>(path: string, data: Uint8Array, publish: () => Promise<T>): Promise<T> {
    const handle = await this.#open(TYPE.open, (packet) => packet.text(path).u32(OPEN_WRITE_NEW).u32(4).u32(0o600))
    try {
      await this.#inPieces(data.length, this.#maxWriteBytes, async (start, pieceBytes) => {
        const piece = data.subarray(start, start + pieceBytes)
        await this.#do(TYPE.write, (packet) => packet.bytes(handle).u64(start), piece)
      })
      await this.#sync(handle)
      const result = await publish()
      await this.#sync(handle)
      return result
    } finally {
      await this.#closeHandle(handle)
    }
  }

  /** Makes a file that is there durable, with its name as far as that is possible. */
  async sync(path: string): Promise<void> {
    const handle = await this.#open(TYPE.open, (packet) => packet.text(path).u32(OPEN_READ).u32(0))
    try {
      await this.#sync(handle)
    } finally {
      await this.#closeHandle(handle)
    }
  }

  async close(): Promise<void> {
    this.#broken ??= Promise.resolve(new CairnError('INTERNAL', `${this.#location} has been closed`))
    clearInterval(this.#timer)
    await this.#link.close()
  }

  async #greet({ signal, location }: SftpOptions): Promise<void> {
    throwIfAborted(signal)
    const { promise, resolve, reject } = Promise.withResolvers<Packet>()
    const onAbort = (): void => reject(new CairnError('CANCELLED', 'Interrupted', { cause: signal?.reason }))
    signal?.addEventListener('abort', onAbort)
    this.#pending.set(0, { resolve, reject })
    this.#link.output.write(new PacketWriter(TYPE.init).u32(3).finish())
    const reply = await promise.finally(() => {
      signal?.removeEventListener('abort', onAbort)
      this.#pending.delete(0)
    })
    const reader = replyOf(reply, TYPE.version)
    const extensions = new Set<string>()
    while (!reader.isAtEnd) {
      extensions.add(reader.text())
      reader.text() // its version
    }
    this.#extensions = extensions
    if (!this.has('posix-rename@openssh.com')) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot open ${location}: this SFTP server cannot replace a file in one step (posix-rename@openssh.com); use ssh:// with cairn on that machine`,
      )
    }
    if (this.has('limits@openssh.com')) await this.#learnLimits()
  }

  async #learnLimits(): Promise<void> {
    const reply = await this.#request(TYPE.extended, (packet) => packet.text('limits@openssh.com'))
    const reader = replyOf(reply, TYPE.extendedReply)
    const [, maxRead = 0n, maxWrite = 0n] = Array.from({ length: 3 }, () => reader.u64())
    if (maxRead > 0n) this.#maxReadBytes = Math.min(Number(maxRead), 1 << 20)
    if (maxWrite > 0n) this.#maxWriteBytes = Math.min(Number(maxWrite), 1 << 20)
  }

  async #open(type: number, fill: (packet: PacketWriter) => PacketWriter): Promise<Buffer> {
    return Buffer.from(replyOf(await this.#request(type, fill), TYPE.handle).bytes())
  }

  async #closeHandle(handle: Buffer): Promise<void> {
    await this.#do(TYPE.close, (packet) => packet.bytes(handle)).catch(() => undefined)
  }

  async #size(handle: Buffer): Promise<number> {
    const attributes = readAttributes(
      replyOf(await this.#request(TYPE.fstat, (packet) => packet.bytes(handle)), TYPE.attrs),
    )
    if (!attributes.isFile) throw new SftpError(NO_SUCH_FILE, 'it is no file')
    return attributes.sizeBytes
  }

  /** Empty at the end of the file. */
  async #readPiece(handle: Buffer, offset: number, length: number): Promise<Uint8Array> {
    try {
      const reply = await this.#request(TYPE.read, (packet) => packet.bytes(handle).u64(offset).u32(length))
      return replyOf(reply, TYPE.data).bytes().subarray(0, length)
    } catch (error) {
      if (error instanceof SftpError && error.status === END_OF_FILE) return new Uint8Array()
      throw error
    }
  }

  async #sync(handle: Buffer): Promise<void> {
    if (this.has('fsync@openssh.com'))
      await this.#do(TYPE.extended, (packet) => packet.text('fsync@openssh.com').bytes(handle))
  }

  /** Calls `act` for all pieces of so many bytes, with several at once. */
  async #inPieces(length: number, size: number, act: (start: number, bytes: number) => Promise<void>): Promise<void> {
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < length) {
        const start = next
        next += size
        await act(start, Math.min(size, length - start))
      }
    }
    await Promise.all(Array.from({ length: PIPELINE }, lane))
  }

  async #do(type: number, fill: (packet: PacketWriter) => PacketWriter, data?: Uint8Array): Promise<void> {
    const reply = await this.#request(type, fill, data)
    replyOf(reply, TYPE.status)
  }

  /** The reply, unless it is a status that says that the request has failed. */
  async #request(type: number, fill: (packet: PacketWriter) => PacketWriter, data?: Uint8Array): Promise<Packet> {
    if (this.#broken) throw await this.#broken
    this.#lastId = (this.#lastId % 0x7fff_ffff) + 1
    const id = this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<Packet>()
    this.#pending.set(id, { resolve, reject })
    try {
      this.#link.output.write(fill(new PacketWriter(type).u32(id)).finish(data))
      if (data) this.#link.output.write(data)
      const reply = await promise
      if (reply.type === TYPE.status) {
        const status = reply.body.u32()
        if (status !== OK) throw new SftpError(status, reply.body.isAtEnd ? `status ${status}` : reply.body.text())
      }
      return reply
    } finally {
      this.#pending.delete(id)
    }
  }

  #settle(packet: Packet): void {
    // The answer to `init` has no id.
    const id = packet.type === TYPE.version ? (packet.body.u32(), 0) : packet.body.u32()
    this.#pending.get(id)?.resolve(packet)
  }

  #showLife(silenceMs: number): void {
    if (this.#extensions.size === 0) return // somebody may be asked for a password
    if (this.#silentTurns++ >= SIGNS_OF_LIFE) this.#break(`nothing has arrived for ${silenceMs / 1000} seconds`)
    else this.realpath('.').catch(() => undefined)
  }

  #break(because: string): void {
    if (this.#broken) return
    clearInterval(this.#timer)
    this.#broken = this.#explain(because)
  }

  async #explain(because: string): Promise<CairnError> {
    const why = (await this.#link.explainEnd()) ?? because
    const error = new CairnError('STORAGE_UNAVAILABLE', `the connection to ${this.#location} broke: ${why}`)
    for (const { reject } of this.#pending.values()) reject(error)
    await this.#link.close({ atOnce: true })
    return error
  }
}

function replyOf({ type, body }: Packet, wanted: number): PacketReader {
  if (type === wanted) return body
  throw new CairnError(
    'STORAGE_UNAVAILABLE',
    `The SFTP server answers with a message of type ${type} in place of ${wanted}`,
  )
}

const HAS_SIZE = 1
const HAS_OWNER = 2
const HAS_PERMISSIONS = 4
const HAS_TIMES = 8
const HAS_EXTENSIONS = 0x8000_0000

function readAttributes(reader: PacketReader): Attributes {
  const flags = reader.u32()
  const sizeBytes = flags & HAS_SIZE ? Number(reader.u64()) : 0
  if (flags & HAS_OWNER) reader.skip(8)
  const format = flags & HAS_PERMISSIONS ? reader.u32() & 0o170_000 : 0
  if (flags & HAS_TIMES) reader.skip(4)
  const modifiedAtMs = flags & HAS_TIMES ? reader.u32() * 1000 : 0
  if (flags & HAS_EXTENSIONS) for (let left = reader.u32() * 2; left > 0; left--) reader.bytes()
  return { isFolder: format === 0o040_000, isFile: format === 0o100_000, sizeBytes, modifiedAtMs }
}
