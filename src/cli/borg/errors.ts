import type { ErrorCode } from '../../base/errors.ts'

interface BorgError {
  /** The exit code from Borg 1.4 on. */
  readonly exit: number
  /** What `--log-json` calls it. */
  readonly msgid: string
}

const ANY = { exit: 2, msgid: 'Error' } as const

/** The errors of Borg (its docs/internals/frontends.rst) that ours come closest to. */
export const BORG_ERRORS: Readonly<Record<ErrorCode, BorgError>> = {
  INVALID_ARGUMENT: { exit: 2, msgid: 'CommandError' },
  NOT_FOUND: { exit: 31, msgid: 'Archive.DoesNotExist' },
  REPOSITORY_NOT_FOUND: { exit: 13, msgid: 'Repository.DoesNotExist' },
  REPOSITORY_REPLACED: { exit: 60, msgid: 'Cache.EncryptionMethodMismatch' },
  REPOSITORY_EXISTS: { exit: 10, msgid: 'Repository.AlreadyExists' },
  SNAPSHOT_EXISTS: { exit: 30, msgid: 'Archive.AlreadyExists' },
  SESSION_FENCED: ANY,
  WRONG_PASSWORD: { exit: 52, msgid: 'PassphraseWrong' },
  FORMAT_UNSUPPORTED: { exit: 25, msgid: 'MandatoryFeatureUnsupported' },
  DATA_CORRUPT: { exit: 90, msgid: 'IntegrityError' },
  ARCHIVE_CORRUPT: ANY,
  SIZE_DIFFERS: ANY,
  CHECKSUM_DIFFERS: ANY,
  CONTENT_DIFFERS: ANY,
  STORAGE_UNAVAILABLE: { exit: 80, msgid: 'ConnectionClosed' },
  STORAGE_DENIED: ANY,
  STORAGE_FULL: { exit: 14, msgid: 'Repository.InsufficientFreeSpaceError' },
  SOURCE_FAILED: ANY,
  TARGET_FAILED: ANY,
  CANCELLED: { exit: 3, msgid: 'CancelledByUser' },
  INTERNAL: { exit: 2, msgid: 'Exception' },
}

/** Borg's exit codes for what kept a file from being read, by the code of the issue. */
const WARNINGS: Readonly<Record<string, number>> = {
  CHANGED: 100,
  UNSTABLE: 100,
  EACCES: 105,
  EPERM: 105,
  EIO: 106,
  ENOENT: 107,
}

/** As Borg from 1.4 on: of one kind of warnings its own code, 1 for several kinds, or one that has none. */
export function borgWarningCode(complaints: ReadonlySet<string>): number {
  const codes = new Set(
    [...complaints].filter((code) => code !== 'SKIPPED' && code !== 'UNSUPPORTED').map((code) => WARNINGS[code] ?? 1),
  )
  const [only = 1] = codes
  return codes.size === 1 ? only : 1
}
