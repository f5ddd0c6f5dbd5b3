/**
 * One row per failure that a caller can act on: exit code of the CLI, HTTP status of the server, worth retrying?
 *
 * Exit codes 3, 10, 11, 12 and 130 are restic's (doc/075_scripting.rst), so existing scripts keep working;
 * 2 is the usual code for a usage error, 65 is sysexits.h's EX_DATAERR.
 */
export const ERROR_CODES = {
  INVALID_ARGUMENT: { exit: 2, http: 400, retry: false }, // flag, location, request body
  NOT_FOUND: { exit: 1, http: 404, retry: false }, // snapshot, path, chunk, storage key
  REPOSITORY_NOT_FOUND: { exit: 10, http: 404, retry: false },
  REPOSITORY_REPLACED: { exit: 12, http: 409, retry: false }, // one without encryption in the place of an encrypted one
  REPOSITORY_EXISTS: { exit: 1, http: 409, retry: false },
  SNAPSHOT_EXISTS: { exit: 1, http: 409, retry: false }, // the name is taken by another snapshot or an open run
  SESSION_FENCED: { exit: 1, http: 409, retry: true }, // another run aborted this one; start again
  WRONG_PASSWORD: { exit: 12, http: 403, retry: false }, // also a missing or foreign key file
  FORMAT_UNSUPPORTED: { exit: 1, http: 422, retry: false }, // written by a newer version, or under a newer key
  DATA_CORRUPT: { exit: 65, http: 500, retry: false }, // bytes read back do not match their id or tag
  STORAGE_UNAVAILABLE: { exit: 1, http: 503, retry: true },
  STORAGE_DENIED: { exit: 1, http: 502, retry: false },
  STORAGE_FULL: { exit: 1, http: 507, retry: false },
  SOURCE_FAILED: { exit: 1, http: 502, retry: false }, // nothing of the source can be read
  TARGET_FAILED: { exit: 1, http: 502, retry: false }, // the place a restore writes to refuses
  ARCHIVE_CORRUPT: { exit: 65, http: 422, retry: false }, // a tar or zip, or what lies beside it
  // An archive file and what lies beside it (sidecar): its length, its bytes, or what is in it is something else.
  SIZE_DIFFERS: { exit: 66, http: 422, retry: false },
  CHECKSUM_DIFFERS: { exit: 67, http: 422, retry: false },
  CONTENT_DIFFERS: { exit: 68, http: 422, retry: false },
  CANCELLED: { exit: 130, http: 499, retry: false },
  INTERNAL: { exit: 1, http: 500, retry: false }, // a bug: printed with stack and "please report"
} as const satisfies Record<string, { exit: number; http: number; retry: boolean }>

export type ErrorCode = keyof typeof ERROR_CODES

export interface CairnErrorOptions extends ErrorOptions {
  /** Structured context for logs and JSON output: ids, paths, sizes in bytes. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** The form in which an error crosses a worker thread or enters JSON output. */
export interface ErrorRecord {
  readonly code: ErrorCode
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** The only error class that crosses a folder boundary. Callers branch on `code`, never on the message. */
export class CairnError extends Error {
  override readonly name = 'CairnError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: CairnErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.details = options.details ?? {}
  }

  /** Plain form for JSON output and for crossing a worker thread (structured clone drops subclass and `code`). */
  toJSON(): ErrorRecord {
    return { code: this.code, message: this.message, details: this.details }
  }

  /** Rebuilds an error that crossed a worker thread. */
  static fromJSON(record: ErrorRecord): CairnError {
    return new CairnError(record.code, record.message, { details: record.details })
  }
}

export function isCairnError(error: unknown, code?: ErrorCode): error is CairnError {
  return error instanceof CairnError && (code === undefined || error.code === code)
}

/** Makes any thrown value a `CairnError`, so that it can be reported or sent to another thread; strangers become `INTERNAL`. */
export function toCairnError(error: unknown): CairnError {
  if (error instanceof CairnError) return error
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new CairnError('INTERNAL', message, { cause: error })
}

/** The `errno` name (`ENOENT`, `ENOSPC` …) of a system error, or `undefined` for any other value. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && error.code.startsWith('E') ? error.code : undefined
}
