import { CairnError } from '../../base/errors.ts'
import { strftime } from '../../config/strftime.ts'

/** A time that a key stands for; other values are texts and whole numbers. */
export interface Moment {
  readonly timeMs: number
}

export type FormatValue = string | number | Moment

/** A piece of a format: text as it is, or a key and how to write what it stands for. */
export type FormatPart = string | { readonly key: string; readonly spec: string }

/** Keys of every format that stand for one character. */
const AIDS: Readonly<Record<string, string>> = {
  NEWLINE: '\n',
  NL: '\n',
  LF: '\n',
  CR: '\r',
  TAB: '\t',
  SPACE: ' ',
  NUL: '\0',
}

/** Borg's way to write a time. */
export const BORG_TIME = '%a, %Y-%m-%d %H:%M:%S'

/**
 * Reads a `--format` of Borg's, which is a format string of Python: `{key}`, `{key:<36}`, `{time:%Y-%m-%d}`, and `{{` for a brace.
 * Only keys among `known`, and those for blanks and line ends, may be used.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` that names the known keys, or says what is wrong with the format
 */
export function parseFormat(format: string, known: readonly string[]): FormatPart[] {
  const parts: FormatPart[] = []
  let end = 0
  for (const match of format.matchAll(/\{\{|\}\}|\{([^{}!:]*)(![^{}:]*)?(?::([^{}]*))?\}|[{}]/g)) {
    const [all, key, conversion, spec = ''] = match
    parts.push(format.slice(end, match.index))
    end = match.index + all.length
    if (all === '{{' || all === '}}') parts.push(all.slice(1))
    else if (key === undefined || conversion !== undefined)
      throw invalid(
        format,
        key === undefined ? `a brace is open: write {{ or }} for one` : `'${conversion}' is not known`,
      )
    else if (Object.hasOwn(AIDS, key)) parts.push(formatValue(AIDS[key] as string, spec, format))
    else if (known.includes(key)) parts.push({ key, spec })
    else throw invalid(format, `there is no key '${key}'; known are ${[...known, ...Object.keys(AIDS)].join(', ')}`)
  }
  parts.push(format.slice(end))
  return parts.filter((part) => part !== '')
}

/** The keys that a format uses. */
export function keysOf(parts: readonly FormatPart[]): Set<string> {
  return new Set(parts.flatMap((part) => (typeof part === 'string' ? [] : [part.key])))
}

/** What a format gives. @throws {CairnError} `INVALID_ARGUMENT` for a specification that does not fit its value */
export function applyFormat(parts: readonly FormatPart[], valueOf: (key: string) => FormatValue): string {
  let text = ''
  for (const part of parts) {
    text += typeof part === 'string' ? part : formatValue(valueOf(part.key), part.spec, `{${part.key}:${part.spec}}`)
  }
  return text
}

/** Python's format specification for texts and whole numbers; that of a time is one of `strftime`. */
function formatValue(value: FormatValue, spec: string, format: string): string {
  if (typeof value === 'object') return strftime(spec || BORG_TIME, value.timeMs, 'local')
  if (spec === '') return String(value)
  const match = /^(?:(.)?([<>^]))?(0)?(\d{0,4})(,)?(?:\.(\d{1,4}))?([sd])?$/su.exec(spec)
  const isNumber = typeof value === 'number'
  const [, fill, align, zero, width = '', comma, precision, type] = match ?? []
  if (!match || (isNumber ? precision !== undefined || type === 's' : comma !== undefined || type === 'd'))
    throw invalid(
      format,
      `'${spec}' does not fit a ${isNumber ? 'number' : 'text'}; write something like <36, >8 or ^20`,
    )
  const full = comma ? value.toLocaleString('en-US') : String(value)
  const text = precision === undefined ? full : Array.from(full).slice(0, Number(precision)).join('')
  return pad(text, Number(width), align ?? (isNumber ? '>' : '<'), fill ?? (zero ? '0' : ' '))
}

/** By characters, as Python counts them. */
function pad(text: string, width: number, align: string, fill: string): string {
  const missing = Math.max(0, width - Array.from(text).length)
  const before = align === '>' ? missing : align === '^' ? Math.floor(missing / 2) : 0
  return fill.repeat(before) + text + fill.repeat(missing - before)
}

function invalid(format: string, found: string): CairnError {
  return new CairnError('INVALID_ARGUMENT', `Cannot use the format '${format}': ${found}`)
}
