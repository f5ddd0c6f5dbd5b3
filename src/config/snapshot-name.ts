import { CairnError } from '../base/errors.ts'

/** Name of a snapshot when the user gives none; Borg's tutorial uses the same. */
export const DEFAULT_SNAPSHOT_NAME = '{hostname}-{now}'

const MAX_CHARACTERS = 200

/**
 * Refuses names that could not be typed, printed or told apart later: names are single words of `REPO::NAME`, lines of
 * `list`, and folder names of a mounted repository.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
export function checkSnapshotName(name: string): void {
  const problem = problemOf(name)
  if (problem) throw new CairnError('INVALID_ARGUMENT', `Cannot name a snapshot '${name.toWellFormed()}': ${problem}`)
}

function problemOf(name: string): string | undefined {
  if (name === '') return 'the name is empty'
  if (name.includes('/')) return "a name has no '/'"
  if (/\p{Cc}|\p{Cs}|[\u2028\u2029]/u.test(name)) return 'a name is one line of text without control characters'
  if (name.trim() !== name) return 'a name does not begin or end with a blank'
  if (name === 'latest') return "'latest' always means the newest snapshot"
  if (name === '.' || name === '..') return 'a name has more than dots'
  if (name.length > MAX_CHARACTERS) return `a name has at most ${MAX_CHARACTERS} characters, not ${name.length}`
  return undefined
}
