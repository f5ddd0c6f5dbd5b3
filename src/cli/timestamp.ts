import { InvalidArgumentError } from 'commander'
import { inputFileTimeMs } from '../platform/input-file.ts'

const TIME = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2})?)?$/
const DAY_OF_YEAR = /^(\d{4})-(\d{3})$/

/**
 * The value of `--timestamp`, in ms since 1970: Borg's forms of ISO 8601 (`2026-11-21T13:44:05`, without seconds, without a time, and
 * `2026-325`), in the time of `zone` unless `Z` or an offset follows; or a file, whose mtime is taken.
 */
export function parseTimestamp(zone: 'local' | 'utc'): (value: string) => number {
  return (value) => {
    const ms = parseTime(value, zone) ?? inputFileTimeMs(value)
    if (ms !== undefined) return ms
    const meant = zone === 'utc' ? 'UTC' : 'local'
    throw new InvalidArgumentError(
      `It must be a time like 2026-11-21T13:44:05 (${meant}), 2026-11-21T12:44Z, or a file.`,
    )
  }
}

function parseTime(value: string, zone: 'local' | 'utc'): number | undefined {
  const [ordinal, year, day] = DAY_OF_YEAR.exec(value) ?? []
  if (ordinal !== undefined) {
    const asUtc = new Date(Date.UTC(Number(year), 0, Number(day)))
    if (asUtc.getUTCFullYear() !== Number(year)) return undefined
    return zone === 'utc' ? asUtc.getTime() : new Date(Number(year), 0, Number(day)).getTime()
  }
  const [match, date, minute = '00:00', second = '00', fraction = '', given = ''] = TIME.exec(value) ?? []
  if (match === undefined) return undefined
  const wall = `${date}T${minute}:${second}`
  // Date makes March of 30 February.
  const asUtc = new Date(`${wall}Z`)
  if (Number.isNaN(asUtc.getTime()) || !asUtc.toISOString().startsWith(wall)) return undefined
  const offset = (given || (zone === 'utc' ? 'Z' : '')).replace(/^(.\d{2})(\d{2})$/, '$1:$2')
  const ms = Date.parse(`${wall}.${fraction.padEnd(3, '0').slice(0, 3)}${offset}`)
  return Number.isNaN(ms) ? undefined : ms
}
