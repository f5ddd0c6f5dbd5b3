import type { ArchiveEntry, Losses, ReadEntry } from '../archives/archive-entry.ts'
import { type OpenArchiveOptions, openArchive } from '../archives/open-archive.ts'
import type { AbortOptions } from '../base/abort.ts'
import type { ByteSource, RandomSource } from '../base/byte-stream.ts'
import { compareRawNames, partsOfPath } from '../base/raw-name.ts'
import type { Arrival, Arrivals, StreamedSource } from './arrivals.ts'
import type { SourceEntry, WalkObserver } from './source.ts'

export interface ArchiveSourceOptions extends OpenArchiveOptions {
  /** As kept in the snapshot. */
  readonly name: string
  /** Store access times too. */
  readonly atime?: boolean | undefined
  /** Store owners by number only. */
  readonly numericIds?: boolean | undefined
}

/** The bytes of an archive, to be disposed of. */
export interface ArchiveInput extends AsyncDisposable {
  readonly stream: ByteSource
  /** The same, if they can be read more than once. */
  readonly random?: (() => RandomSource) | undefined
  /** Called when everything was read: the last chance to say that it is not to be trusted. */
  finish(): Promise<void>
}

/** Longer paths are left out: other names of a file, which nodes hold as whole paths, take no more. */
const MAX_PATH = 32_768
/** Deeper trees nobody makes but to harm programs that walk them, each directory within a call of its own. */
const MAX_DEPTH = 1000

/**
 * The entries of an archive. Paths are made relative; what leads out of the archive (`..`) is left out with an issue. Nothing is
 * ever written where a path says, and symlinks are not followed: they are what they are.
 */
export function archiveSource(
  open: (options: AbortOptions) => ArchiveInput,
  options: ArchiveSourceOptions,
): StreamedSource {
  return {
    paths: [options.name],
    isPipe: false,
    arrive(observer, abort = {}): Arrivals {
      const toClose: AsyncDisposable[] = []
      return {
        async *[Symbol.asyncIterator]() {
          const input = open(abort)
          toClose.push(input)
          const archive = await openArchive(input.stream, input.random, { ...options, ...abort })
          toClose.push(archive)
          const arrival = new ArrivalMaker(observer, options)
          for await (const read of archive.reader) {
            const made = arrival.of(read)
            if (made) yield made
          }
          await input.finish()
          arrival.report(archive.reader.losses)
        },
        async [Symbol.asyncDispose]() {
          for (const opened of toClose.toReversed()) await opened[Symbol.asyncDispose]()
        },
      }
    },
  }
}

/** Makes of entries of an archive what they are in a snapshot. */
class ArrivalMaker {
  readonly #observer: WalkObserver
  readonly #options: ArchiveSourceOptions
  #absolute: { readonly first: string; count: number } | undefined

  constructor(observer: WalkObserver, options: ArchiveSourceOptions) {
    this.#observer = observer
    this.#options = options
  }

  of({ entry, content, contentBytes }: ReadEntry): Arrival | undefined {
    if (entry.path.startsWith('/')) {
      this.#absolute ??= { first: entry.path, count: 0 }
      this.#absolute.count++
    }
    const path = relativePath(entry.path)
    const problem = path === undefined ? LEADS_OUT : this.#problemOf(entry, path)
    if (path === undefined || problem !== undefined) {
      this.#issue(entry.path, problem ?? LEADS_OUT, 'LEFT_OUT')
      return undefined
    }
    if (entry.type === 'hardlink') {
      const otherNameOf = relativePath(entry.linkTarget ?? '')
      if (otherNameOf !== undefined && otherNameOf !== '')
        return { entry: this.#toSource(entry, 'file', path), otherNameOf }
      this.#issue(entry.path, 'it is left out: it is another name of something outside of the archive', 'LEFT_OUT')
      return undefined
    }
    return { entry: this.#toSource(entry, entry.type, path), content, contentBytes, holes: entry.holes }
  }

  /** Tells, once for each kind, of what is not as in the archive; that a path was absolute is nothing lost. */
  report(losses: Losses): void {
    if (this.#absolute) this.#tell("its path is absolute: the leading '/' is left away", this.#absolute, 'SKIPPED')
    for (const { kind, count, first } of losses) this.#tell(`its archive has ${kind}`, { first, count }, 'LOST')
  }

  #tell(message: string, { first, count }: { readonly first: string; readonly count: number }, code: string): void {
    const others = count === 1 ? '' : ` (and of ${count - 1} more)`
    this.#issue(first, `${message}${others}`, code)
  }

  #problemOf({ type, linkTarget }: ArchiveEntry, path: string): string | undefined {
    if (path === '' && type !== 'dir') return 'it is left out: it has no name'
    if (path.length > MAX_PATH) return `it is left out: its path has more than ${MAX_PATH} characters`
    if (path.split('/').length > MAX_DEPTH) return `it is left out: it lies more than ${MAX_DEPTH} directories deep`
    return type === 'symlink' && !linkTarget ? 'it is left out: it is a symlink to nothing' : undefined
  }

  #issue(path: string, message: string, code: string): void {
    this.#observer.issue({ path, systemPath: path, message, code })
  }

  #toSource(entry: ArchiveEntry, type: SourceEntry['type'], path: string): SourceEntry {
    const { mode, uid, gid, user, group, sizeBytes, mtimeNs, atimeNs, linkTarget, device, xattrs, flags = 0 } = entry
    const { numericIds, atime } = this.#options
    const parts = path.split('/')
    return {
      path,
      name: path === '' ? 'root' : (parts.at(-1) as string),
      depth: path === '' ? 0 : parts.length,
      type,
      mode,
      uid,
      gid,
      user: numericIds ? '' : user,
      group: numericIds ? '' : group,
      sizeBytes,
      mtimeNs,
      ctimeNs: mtimeNs,
      inode: 0n,
      atimeNs: atime ? atimeNs : undefined,
      linkTarget: type === 'symlink' ? linkTarget : undefined,
      link: undefined,
      device,
      // As they are kept: sorted by raw names.
      xattrs: xattrs && [...xattrs].sort((a, b) => compareRawNames(a.name, b.name)),
      flags,
      sparse: false,
      fileSystemKind: 'local',
      systemPath: path,
      ancestor: false,
    }
  }
}

const LEADS_OUT = "it is left out: its path leads out of the archive ('..')"

/** A path without leading `/`, `./` and the like; `undefined` when it leads out. */
function relativePath(path: string): string | undefined {
  const parts = partsOfPath(path)
  return parts.includes('..') ? undefined : parts.join('/')
}
