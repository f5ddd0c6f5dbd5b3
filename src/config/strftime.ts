import { CairnError } from '../base/errors.ts'

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** A moment, as the clock of a zone shows it. */
interface Wall {
  readonly timeMs: number
  /** Its UTC getters give what the clock shows. */
  readonly clock: Date
  readonly offsetMinutes: number
  readonly zone: 'local' | 'utc'
  /** From 1. */
  readonly dayOfYear: number
}

const CONVERSIONS: Readonly<Record<string, (wall: Wall) => string>> = {
  Y: ({ clock }) => String(clock.getUTCFullYear()),
  y: ({ clock }) => pad(clock.getUTCFullYear() % 100),
  C: ({ clock }) => pad(Math.floor(clock.getUTCFullYear() / 100)),
  m: ({ clock }) => pad(clock.getUTCMonth() + 1),
  d: ({ clock }) => pad(clock.getUTCDate()),
  e: ({ clock }) => padBlank(clock.getUTCDate()),
  j: ({ dayOfYear }) => pad(dayOfYear, 3),
  H: ({ clock }) => pad(clock.getUTCHours()),
  k: ({ clock }) => padBlank(clock.getUTCHours()),
  I: ({ clock }) => pad(clock.getUTCHours() % 12 || 12),
  l: ({ clock }) => padBlank(clock.getUTCHours() % 12 || 12),
  M: ({ clock }) => pad(clock.getUTCMinutes()),
  S: ({ clock }) => pad(clock.getUTCSeconds()),
  f: ({ clock }) => pad(clock.getUTCMilliseconds() * 1000, 6), // Python's
  p: ({ clock }) => (clock.getUTCHours() < 12 ? 'AM' : 'PM'),
  P: ({ clock }) => (clock.getUTCHours() < 12 ? 'am' : 'pm'),
  a: ({ clock }) => dayOf(clock).slice(0, 3),
  A: ({ clock }) => dayOf(clock),
  b: ({ clock }) => monthOf(clock).slice(0, 3),
  h: ({ clock }) => monthOf(clock).slice(0, 3),
  B: ({ clock }) => monthOf(clock),
  w: ({ clock }) => String(clock.getUTCDay()),
  u: ({ clock }) => String(clock.getUTCDay() || 7),
  // Weeks begin on Sunday (%U) or Monday (%W); days before the first one are week 0.
  U: ({ clock, dayOfYear }) => pad(Math.floor((dayOfYear + 6 - clock.getUTCDay()) / 7)),
  W: ({ clock, dayOfYear }) => pad(Math.floor((dayOfYear + 6 - ((clock.getUTCDay() + 6) % 7)) / 7)),
  G: ({ clock }) => String(isoThursday(clock).getUTCFullYear()),
  g: ({ clock }) => pad(isoThursday(clock).getUTCFullYear() % 100),
  V: ({ clock }) => pad(Math.ceil(dayOfYearOf(isoThursday(clock)) / 7)),
  s: ({ timeMs }) => String(Math.floor(timeMs / 1000)),
  z: ({ offsetMinutes: at }) => `${at < 0 ? '-' : '+'}${pad(Math.trunc(Math.abs(at) / 60))}${pad(Math.abs(at) % 60)}`,
  Z: ({ zone, timeMs }) => (zone === 'utc' ? 'UTC' : zoneName(timeMs)),
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
}

export const UNKNOWN_TIME = 'unknown'

/** Conversions that stand for others, in the C locale. */
const SHORTHANDS: Readonly<Record<string, string>> = {
  F: '%Y-%m-%d',
  T: '%H:%M:%S',
  R: '%H:%M',
  D: '%m/%d/%y',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
  r: '%I:%M:%S %p',
  c: '%a %b %e %H:%M:%S %Y',
}

/**
 * Formats a time as C's `strftime` does in the C locale, and with Python's `%f`, which names of snapshots made for Borg may have.
 * `UNKNOWN_TIME` for one that no calendar has, as files from elsewhere may have them.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a conversion that is none
 */
export function strftime(format: string, timeMs: number, zone: 'local' | 'utc'): string {
  const offsetMinutes = zone === 'utc' ? 0 : -new Date(timeMs).getTimezoneOffset()
  const clock = new Date(timeMs + offsetMinutes * 60_000)
  if (Number.isNaN(clock.getTime())) return UNKNOWN_TIME
  const wall = { timeMs, clock, offsetMinutes, zone, dayOfYear: dayOfYearOf(clock) }

  const expand = (text: string): string =>
    text.replaceAll(/%(.?)/gsu, (_, conversion: string) => {
      if (Object.hasOwn(SHORTHANDS, conversion)) return expand(SHORTHANDS[conversion] as string)
      if (Object.hasOwn(CONVERSIONS, conversion)) return CONVERSIONS[conversion]?.(wall) as string
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot format a time with '${format}': '%${conversion}' is unknown; known are %Y %m %d %H %M %S, %F, %T, %a, %b, %j, %V, %s, %z and the rest of strftime(3)`,
      )
    })
  return expand(format)
}

function dayOf(clock: Date): string {
  return DAYS[clock.getUTCDay()] as string
}

function monthOf(clock: Date): string {
  return MONTHS[clock.getUTCMonth()] as string
}

function dayOfYearOf(clock: Date): number {
  return Math.floor((clock.getTime() - Date.UTC(clock.getUTCFullYear(), 0, 1)) / 86_400_000) + 1
}

/** The Thursday of the same ISO 8601 week, whose year is that of the week. */
function isoThursday(clock: Date): Date {
  const thursday = new Date(clock)
  thursday.setUTCDate(clock.getUTCDate() + 4 - (clock.getUTCDay() || 7))
  return thursday
}

function padBlank(value: number): string {
  return String(value).padStart(2)
}

function pad(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}

function zoneName(timeMs: number): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(timeMs)
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? ''
}
