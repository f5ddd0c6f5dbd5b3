import { CairnError } from '../base/errors.ts'

/**
 * Splits a command line into words as Python's `shlex.split` does, which Borg applies to `BORG_PASSCOMMAND`: blanks separate,
 * single quotes keep everything, double quotes and backslashes as in a shell. No shell is involved: `$` and `|` are plain text.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for an open quote or a trailing backslash
 */
export function splitCommand(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let rest = text
  while (rest !== '') {
    const match = /^(\s+)|^'([^']*)'|^"((?:[^"\\]|\\.)*)"|^\\(.)|^([^\s'"\\]+)/s.exec(rest)
    if (!match)
      throw new CairnError('INVALID_ARGUMENT', `Cannot read the command '${text}': a quote or backslash is open`)
    const [all, blank, single, double, escaped, plain] = match
    rest = rest.slice(all.length)
    if (blank !== undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else {
      word = (word ?? '') + (single ?? double?.replaceAll(/\\(["\\])/g, '$1') ?? escaped ?? plain ?? '')
    }
  }
  if (word !== undefined) words.push(word)
  return words
}
