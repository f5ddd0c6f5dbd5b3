import type { ErrorCode } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'

/** Files of a snapshot that cannot be restored as they were. */
export interface AffectedSnapshot {
  readonly id: SessionId
  readonly name: string
  readonly files: number
  /** Directories that cannot be read, or not to their end; what lies below them is not counted. */
  readonly directories: number
  /** The first few of them; raw-name text. */
  readonly paths: readonly string[]
}

/** One damaged object, or one snapshot that suffers from damaged objects. */
export interface CheckError {
  readonly code: ErrorCode
  /** Storage key of the object; of a snapshot that suffers, that of its commit. */
  readonly object: string
  readonly message: string
  readonly snapshot?: AffectedSnapshot
}

/** Something worth knowing that does no harm. */
export interface CheckNote {
  readonly object: string
  readonly message: string
}

export interface CheckProgress {
  readonly phase: 'packs' | 'snapshots'
  /** Packs read, or snapshots looked at. */
  readonly done: number
  readonly total: number
  /** Bytes read of packs, and how many there are to be read; the latter only while packs are read. */
  readonly bytesDone: number
  readonly bytesTotal: number | undefined
  readonly errors: number
  /** Inside the snapshot; raw-name text. */
  readonly currentPath: string
}

/** Told of everything as it is found; `progress` is called often, so it must be quick. */
export interface CheckObserver {
  error(error: CheckError): void
  note(note: CheckNote): void
  progress(progress: CheckProgress): void
}

/** Passes findings on, each object's first error only, and counts them. */
export class Findings {
  readonly #observer: CheckObserver
  readonly #errors = new Set<string>()
  readonly #notes = new Set<string>()
  errors = 0
  /** Ids of packs with an error. */
  readonly brokenPacks: string[] = []
  bytesRead = 0

  constructor(observer: CheckObserver) {
    this.#observer = observer
  }

  error(error: CheckError): void {
    if (this.#errors.has(error.object)) return
    this.#errors.add(error.object)
    this.errors++
    this.#observer.error(error)
  }

  /** @param key storage key of the pack */
  packError(key: string, pack: string, code: ErrorCode, message: string): void {
    if (!this.#errors.has(key)) this.brokenPacks.push(pack)
    this.error({ code, object: key, message })
  }

  note(object: string, message: string): void {
    if (this.#notes.has(object)) return
    this.#notes.add(object)
    this.#observer.note({ object, message })
  }

  progress(progress: Omit<CheckProgress, 'bytesDone' | 'errors'>): void {
    this.#observer.progress({ ...progress, bytesDone: this.bytesRead, errors: this.errors })
  }
}
