import type { ArchiveReader } from '../archives/archive-entry.ts'
import type { ArchiveFormat, TarFilter } from '../archives/archive-format.ts'
import { openArchive } from '../archives/open-archive.ts'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import type { ByteSource } from '../base/byte-stream.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { partsOfPath, toPrintable } from '../base/raw-name.ts'
import { SummedSource, openArchiveFile } from './archive-input.ts'
import { listEntries } from './list.ts'
import type { RepositoryAccess } from './repository-access.ts'
import { type ReadSidecar, loadSidecar, sidecarPath } from './sidecar.ts'
import { Throttle } from './throttle.ts'

export interface VerifyEvent {
  readonly type: 'progress'
  readonly filesDone: number
  readonly bytesDone: number
  readonly filesTotal: number | undefined
  readonly bytesTotal: number | undefined
  readonly issues: number
  readonly currentPath: string
}

export interface VerifyOptions extends AbortOptions {
  readonly file: string
  readonly format?: ArchiveFormat | undefined
  readonly filter?: TarFilter | 'none' | 'auto' | undefined
  /** A snapshot, all of which is to be in the archive. */
  readonly against?: { readonly access: RepositoryAccess; readonly snapshot: string } | undefined
  readonly clock?: Clock | undefined
  readonly onEvent?: ((event: VerifyEvent) => void) | undefined
}

export interface VerifyResult {
  /** Of the sidecar that it was compared with; `undefined` when there is none: then it can be read, and no more is known. */
  readonly createdAt: string | undefined
  readonly fileCount: number
  readonly totalSize: number
  readonly archiveSize: number
  /** SHA-256. */
  readonly checksum: string
}

/** Paths that are named of those that are missing. */
const NAMED_PATHS = 100

/**
 * Reads an archive through, and compares it with its sidecar and, if that is wanted, with a snapshot.
 *
 * @throws {CairnError} `NOT_FOUND` when there is no archive; `SIZE_DIFFERS`, `CHECKSUM_DIFFERS` when it is not the file that its
 *   sidecar is about; `CONTENT_DIFFERS` when it does not hold what sidecar or snapshot say; `ARCHIVE_CORRUPT` when the sidecar, or the
 *   archive in itself, is damaged
 */
export async function verifyArchive(options: VerifyOptions): Promise<VerifyResult> {
  const { file } = options
  const sidecar = loadSidecar(file)
  using opened = openAs(file, sidecar, options)
  const { random } = opened
  const { sizeBytes = 0 } = random ?? {}
  if (sidecar && sizeBytes !== sidecar.archiveSize) {
    throw differs('SIZE_DIFFERS', file, `it has ${sizeBytes} bytes, ${says(file)} ${sidecar.archiveSize}`)
  }
  const summed = new SummedSource(opened.stream)
  const found = new Found(options, summed, sidecar)
  let damage: CairnError | undefined
  try {
    await using archive = await openArchive(summed, random && (() => random), options)
    await found.read(archive.reader)
  } catch (error) {
    // Damage can look like a format that nobody knows.
    if (!isCairnError(error, 'ARCHIVE_CORRUPT') && !isCairnError(error, 'FORMAT_UNSUPPORTED')) throw error
    damage = error
  }
  await summed.drain()
  const { checksum } = summed
  if (sidecar && checksum !== sidecar.checksum) {
    const reason = damage ? `; ${damage.message}` : ''
    throw differs('CHECKSUM_DIFFERS', file, `its SHA-256 is ${checksum}, ${says(file)} ${sidecar.checksum}${reason}`)
  }
  if (damage) throw damage
  const { files: fileCount, bytes: totalSize } = found
  if (sidecar && (fileCount !== sidecar.fileCount || totalSize !== sidecar.totalSize)) {
    const wanted = `${sidecar.fileCount} files with ${sidecar.totalSize} bytes`
    throw differs('CONTENT_DIFFERS', file, `it has ${fileCount} files with ${totalSize} bytes, ${says(file)} ${wanted}`)
  }
  if (options.against) await found.requireAllOf(options.against)
  return { createdAt: sidecar?.createdAt, fileCount, totalSize, archiveSize: summed.bytes, checksum }
}

function openAs(
  file: string,
  sidecar: ReadSidecar | undefined,
  options: AbortOptions,
): ReturnType<typeof openArchiveFile> {
  try {
    return openArchiveFile(file, options)
  } catch (error) {
    if (!sidecar || !isCairnError(error, 'NOT_FOUND')) throw error
    throw new CairnError('NOT_FOUND', `${error.message}; its sidecar ${toPrintable(sidecarPath(file))} is there`, {
      cause: error,
    })
  }
}

function says(file: string): string {
  return `${toPrintable(sidecarPath(file))} says`
}

function differs(
  code: 'SIZE_DIFFERS' | 'CHECKSUM_DIFFERS' | 'CONTENT_DIFFERS',
  file: string,
  found: string,
  details: Readonly<Record<string, unknown>> = {},
): CairnError {
  return new CairnError(code, `Cannot trust ${toPrintable(file)}: ${found}`, { details })
}

/** What was found in an archive. */
class Found {
  readonly #options: VerifyOptions
  readonly #summed: SummedSource
  readonly #sidecar: ReadSidecar | undefined
  readonly #throttle: Throttle
  /** Entries that further names may belong to without being files. */
  readonly #others = new Set<string>()
  /** Size by path, if paths are to be compared. */
  readonly #paths = new Map<string, number>()
  files = 0
  bytes = 0

  constructor(options: VerifyOptions, summed: SummedSource, sidecar: ReadSidecar | undefined) {
    this.#options = options
    this.#summed = summed
    this.#sidecar = sidecar
    this.#throttle = new Throttle(options.clock ?? systemClock)
  }

  async read(reader: ArchiveReader): Promise<void> {
    const memory = new Uint8Array(256 << 10)
    for await (const { entry, content, contentBytes } of reader) {
      throwIfAborted(this.#options.signal)
      const { path, type, sizeBytes, linkTarget = '' } = entry
      if (content) await readThrough(content, contentBytes, memory)
      if (type === 'file' || (type === 'hardlink' && !this.#others.has(normal(linkTarget)))) this.files++
      else if (type !== 'dir') this.#others.add(normal(path))
      if (type === 'file') this.bytes += sizeBytes
      if (this.#options.against) this.#paths.set(normal(path), sizeBytes)
      this.#progress(path)
    }
  }

  /** Every entry of a snapshot has to be there, and files with their sizes. */
  async requireAllOf({ access, snapshot }: NonNullable<VerifyOptions['against']>): Promise<void> {
    const { file } = this.#options
    const missing: string[] = []
    let count = 0
    await listEntries(access, snapshot, [], {
      onEntry: ({ path, type, sizeBytes, hardLink }) => {
        const found = this.#paths.get(normal(path))
        if (found !== undefined && (type !== 'file' || hardLink !== undefined || found === sizeBytes)) return
        count++
        if (missing.length < NAMED_PATHS) missing.push(path)
      },
    })
    if (count === 0) return
    const [first = ''] = missing
    const others = count === 1 ? '' : ` and ${count - 1} more`
    throw differs(
      'CONTENT_DIFFERS',
      file,
      `${toPrintable(first)}${others} of the snapshot ${count === 1 ? 'is' : 'are'} missing, or of another size`,
      { paths: missing, count },
    )
  }

  #progress(currentPath: string): void {
    const { onEvent } = this.#options
    if (!onEvent || !this.#throttle.isDue()) return
    onEvent({
      type: 'progress',
      filesDone: this.files,
      bytesDone: this.#summed.bytes,
      filesTotal: this.#sidecar?.fileCount,
      bytesTotal: this.#sidecar?.archiveSize,
      issues: 0,
      currentPath,
    })
  }
}

async function readThrough(content: ByteSource, bytes: number, memory: Uint8Array): Promise<void> {
  for (let left = bytes; left > 0;) left -= await content.read(memory.subarray(0, Math.min(left, memory.length)))
}

function normal(path: string): string {
  return partsOfPath(path).join('/')
}
