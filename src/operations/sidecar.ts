import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { readTextFile } from '../platform/private-file.ts'

/** What lies beside an exported archive and says what it should be. */
export interface Sidecar {
  /** SHA-256 of the archive file, as hex text. */
  readonly checksum: string
  /** Bytes of the archive file. */
  readonly archiveSize: number
  /** Names of regular files in it, and the bytes that it has for them: in a tar once for a file of several names. */
  readonly fileCount: number
  readonly totalSize: number
  /** All entries. */
  readonly entryCount: number
  /** UTC, RFC 3339. */
  readonly createdAt: string
  /** Where it comes from. */
  readonly snapshot: { readonly id: string; readonly name: string; readonly repository: string }
  readonly program: string
}

/** Where the sidecar of an archive lies. */
export function sidecarPath(archive: string): string {
  return `${archive}.meta.json`
}

export function encodeSidecar(sidecar: Sidecar): string {
  return `${JSON.stringify({ algorithm: 'sha256', ...sidecar, snapshot: { ...sidecar.snapshot, name: sidecar.snapshot.name.toWellFormed() } }, undefined, 2)}\n`
}

/** What verification needs of a sidecar; fields that are not known are passed over. */
export type ReadSidecar = Pick<Sidecar, 'checksum' | 'archiveSize' | 'fileCount' | 'totalSize' | 'createdAt'>

/**
 * The sidecar of an archive; `undefined` when there is none.
 *
 * @throws {CairnError} `ARCHIVE_CORRUPT` when it cannot be read
 */
export function loadSidecar(archive: string): ReadSidecar | undefined {
  const path = sidecarPath(archive)
  const text = readTextFile(path)
  if (text === undefined) return undefined
  const damaged = (found: string, cause?: unknown): CairnError =>
    new CairnError('ARCHIVE_CORRUPT', `Cannot read ${toPrintable(path)}: ${found}`, { cause })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw damaged('it is not JSON', error)
  }
  const { checksum, archiveSize, fileCount, totalSize, createdAt } = (value ?? {}) as Record<string, unknown>
  if (typeof checksum !== 'string' || !/^[0-9a-f]{64}$/.test(checksum)) throw damaged('it has no SHA-256 checksum')
  if (!isCount(archiveSize) || !isCount(fileCount) || !isCount(totalSize) || typeof createdAt !== 'string')
    throw damaged('archiveSize, fileCount, totalSize or createdAt is missing')
  return { checksum, archiveSize, fileCount, totalSize, createdAt }
}

function isCount(field: unknown): field is number {
  return Number.isSafeInteger(field) && (field as number) >= 0
}
