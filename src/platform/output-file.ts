import {
  close,
  closeSync,
  constants,
  fsync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  statfsSync,
  write,
} from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import type { ByteSink } from '../base/byte-stream.ts'
import { CairnError, errnoOf } from '../base/errors.ts'
import { fromRawName, toPrintable, toSystemPath } from '../base/raw-name.ts'
import { isAlive, processScope } from './process-scope.ts'
import { systemError } from './system-error.ts'

export interface OutputFileOptions {
  /** What is there may be replaced; otherwise opening fails with `EEXIST`. */
  readonly replace: boolean
  readonly nowMs: number
}

/** A small text that belongs to a file and lies beside it. */
export interface Companion {
  readonly path: string
  readonly text: string
}

const BUFFER_BYTES = 1 << 20
const DAY_MS = 24 * 60 * 60 * 1000

const writeSome = promisify(write)
const sync = promisify(fsync)
const closeFd = promisify(close)

let serial = 0

/**
 * A file that is written under a temporary name beside its own, `NAME.….tmp`, and gets its own when it is complete and on the disk:
 * whoever looks sees the old one or the new one. To be disposed of, which removes what was not committed. What killed processes left
 * is removed when the file is next written.
 *
 * Throws system errors as they are: `EEXIST`, `EBUSY` when another process is writing the same file, `ENOSPC` …
 *
 * @throws {CairnError} `TARGET_FAILED` when a device, a FIFO or the like is there, which is not to be replaced by a file
 */
export class OutputFile implements ByteSink, Disposable {
  readonly #path: string
  readonly #options: OutputFileOptions
  readonly #mark: Mark
  readonly #temporary: string
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #fd: number | undefined
  #used = 0
  /** The write that was begun last. */
  #writing: Promise<unknown> = Promise.resolve()

  constructor(file: string, options: OutputFileOptions) {
    this.#path = path.resolve(file)
    this.#options = options
    this.#refuseExisting()
    this.#mark = { scope: scope(), startedMs: options.nowMs, pid: process.pid, serial: ++serial }
    this.#temporary = `${this.#path}.${toSuffix(this.#mark)}`
    this.#fd = createFile(this.#temporary)
    try {
      this.#lookAround()
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Bytes that the file system has left for us. */
  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(toSystemPath(path.dirname(this.#path)))
    return bavail * bsize
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length >= BUFFER_BYTES) {
      await this.#flush()
      await this.#writeAll(bytes, bytes.length)
      return
    }
    if (this.#used + bytes.length > BUFFER_BYTES) await this.#flush()
    this.#buffer.set(bytes, this.#used)
    this.#used += bytes.length
  }

  /** Everything is with the system. */
  end(): Promise<void> {
    return this.#flush()
  }

  /** Has everything on the disk, then gives the file, and its companion after it, their names. */
  async commit(companion: Companion): Promise<void> {
    await this.#flush()
    const fd = this.#fd as number
    await sync(fd)
    this.#fd = undefined
    await closeFd(fd)
    const temporary = `${this.#temporary.slice(0, -TMP.length)}.1${TMP}`
    try {
      await writeText(temporary, companion.text)
      this.#refuseExisting()
      // One that came before may have made its file after we had looked.
      this.#lookAround()
      // One that belongs to another file must not lie beside this one, be it for a moment.
      rmSync(toSystemPath(companion.path), { force: true })
      renameSync(toSystemPath(this.#temporary), toSystemPath(this.#path))
      renameSync(toSystemPath(temporary), toSystemPath(companion.path))
      await syncFolder(path.dirname(this.#path))
    } finally {
      rmSync(toSystemPath(temporary), { force: true })
    }
  }

  [Symbol.dispose](): void {
    const fd = this.#fd
    this.#fd = undefined
    // A write that is still under way would go to whatever is opened next under this number.
    if (fd !== undefined) this.#writing.finally(() => closeSync(fd)).catch(() => undefined)
    rmSync(toSystemPath(this.#temporary), { force: true })
  }

  async #flush(): Promise<void> {
    await this.#writeAll(this.#buffer, this.#used)
    this.#used = 0
  }

  async #writeAll(bytes: Uint8Array, length: number): Promise<void> {
    for (let done = 0; done < length;) {
      const writing = writeSome(this.#fd as number, bytes, done, length - done)
      this.#writing = writing
      done += (await writing).bytesWritten
    }
  }

  #refuseExisting(): void {
    const found = lstatSync(toSystemPath(this.#path), { throwIfNoEntry: false })
    if (found?.isDirectory()) throw systemError('EISDIR', 'open', this.#path)
    const meant = found?.isSymbolicLink() ? statSync(toSystemPath(this.#path), { throwIfNoEntry: false }) : found
    if (meant && !meant.isFile() && !meant.isDirectory()) {
      const problem = 'it is no regular file; write to - and lead that there'
      throw new CairnError('TARGET_FAILED', `Cannot write ${toPrintable(this.#path)}: ${problem}`)
    }
    if (found && !this.#options.replace) throw systemError('EEXIST', 'open', this.#path)
  }

  /** Removes what dead processes left, and gives way to a living one that came before. */
  #lookAround(): void {
    const mine = this.#mark
    const folder = path.dirname(this.#path)
    const prefix = `${path.basename(this.#path)}.`
    for (const raw of readdirSync(toSystemPath(folder), 'buffer')) {
      const name = fromRawName(raw)
      const mark = name.startsWith(prefix) ? parseSuffix(name.slice(prefix.length)) : undefined
      if (!mark || sameMark(mark, mine)) continue
      const isHere = mark.scope === mine.scope
      if (isHere ? !isAlive(mark.pid) : this.#options.nowMs - mark.startedMs > DAY_MS) {
        rmSync(toSystemPath(`${folder}/${name}`), { force: true })
      } else if (isHere && comesBefore(mark, mine)) throw systemError('EBUSY', 'open', `${folder}/${name}`)
    }
  }
}

/** Who writes a temporary file, and since when. */
interface Mark {
  readonly scope: string
  readonly startedMs: number
  readonly pid: number
  readonly serial: number
}

const TMP = '.tmp'

function toSuffix({ scope: where, startedMs, pid, serial: number }: Mark): string {
  return `${where}-${startedMs}-${pid}-${number}${TMP}`
}

function parseSuffix(suffix: string): Mark | undefined {
  const [, where, startedMs, pid, number] =
    /^([0-9a-f]*\.\d*)-(\d{1,15})-([1-9]\d{0,9})-(\d{1,9})(?:\.1)?\.tmp$/.exec(suffix) ?? []
  if (where === undefined) return undefined
  return { scope: where, startedMs: Number(startedMs), pid: Number(pid), serial: Number(number) }
}

function sameMark(a: Mark, b: Mark): boolean {
  return toSuffix(a) === toSuffix(b)
}

function comesBefore(a: Mark, b: Mark): boolean {
  return (a.startedMs - b.startedMs || a.pid - b.pid || a.serial - b.serial) < 0
}

/** Where our process ids mean something. */
function scope(): string {
  const { boot, pids } = processScope()
  return `${boot.slice(0, 8)}.${pids.replaceAll(/\D/g, '')}`
}

/** A new file; the umask decides who may read it. */
function createFile(file: string): number {
  return openSync(
    toSystemPath(file),
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o666,
  )
}

async function writeText(file: string, text: string): Promise<void> {
  const fd = createFile(file)
  try {
    const bytes = Buffer.from(text)
    for (let done = 0; done < bytes.length;) done += (await writeSome(fd, bytes, done)).bytesWritten
    await sync(fd)
  } finally {
    closeSync(fd)
  }
}

async function syncFolder(folder: string): Promise<void> {
  const fd = openSync(toSystemPath(folder), constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await sync(fd)
  } catch (error) {
    // Some network and FUSE file systems cannot, and say so.
    if (!['EINVAL', 'ENOTSUP', 'ENOSYS'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    closeSync(fd)
  }
}
