import { CairnError } from '../base/errors.ts'

/** What an archive is refused with. @param found what is wrong, and where */
export function damagedArchive(found: string, cause?: unknown): CairnError {
  return new CairnError('ARCHIVE_CORRUPT', `Cannot read the archive: ${found}`, { cause })
}
