/** How Borg writes sizes, times, durations and command lines. */
import { strftime, UNKNOWN_TIME } from '../../config/strftime.ts'
import { printable } from '../output/text.ts'

const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y']
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi']

export interface SizeOptions {
  /** Of `--iec`: in powers of 1024. */
  readonly iec?: boolean | undefined
  readonly precision?: number
  /** With a + in front when it is more than 0. */
  readonly signed?: boolean
}

/** `1.23 MB`, or `1.18 MiB` with `iec`. */
export function borgSize(bytes: number, { iec = false, precision = 2, signed = false }: SizeOptions = {}): string {
  const power = iec ? 1024 : 1000
  const units = iec ? BINARY : DECIMAL
  let value = bytes
  let unit = 0
  while (unit < units.length - 1 && Math.abs(Number(value.toFixed(precision))) >= power) {
    value /= power
    unit++
  }
  return `${signed && bytes > 0 ? '+' : ''}${value.toFixed(unit === 0 ? 0 : precision)} ${units[unit]}B`
}

/** ISO 8601 in local time with microseconds and no zone: `2026-11-21T13:44:05.000000`. */
export function isoTime(timeMs: number): string {
  return strftime('%Y-%m-%dT%H:%M:%S.%f', timeMs, 'local')
}

/** As `isoTime`, of a time stamp in ns. By way of a floating-point number of seconds, as Borg does it: the last digit is as good as that. */
export function isoTimeOfNs(ns: bigint): string {
  const seconds = Number(ns) / 1e9
  const micros = Math.trunc(seconds) * 1_000_000 + roundHalfEven((seconds % 1) * 1e6)
  const whole = Math.floor(micros / 1_000_000)
  const fraction = String(micros - whole * 1_000_000).padStart(6, '0')
  const time = strftime('%Y-%m-%dT%H:%M:%S', whole * 1000, 'local')
  return time === UNKNOWN_TIME ? time : `${time}.${fraction}`
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value)
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

/** Words as a shell reads them. */
export function borgCommandLine(words: readonly string[]): string {
  return words.map((word) => printable(quoteForShell(word))).join(' ')
}

export function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
