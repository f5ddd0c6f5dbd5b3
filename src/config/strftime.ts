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

/**
 * Formats a time as C's `strftime` does in the C locale, for the conversions people put into snapshot names:
 * `%Y %y %m %d %j %H %I %M %S %p %a %A %b %B %U %F %T %s %z %Z %%`.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for any other conversion
 */
export function strftime(format: string, timeMs: number, zone: 'local' | 'utc'): string {
  const offsetMinutes = zone === 'utc' ? 0 : -new Date(timeMs).getTimezoneOffset()
  // The wall clock of the zone, read with the UTC getters.
  const wall = new Date(timeMs + offsetMinutes * 60_000)
  const year = wall.getUTCFullYear()
  const day = DAYS[wall.getUTCDay()] as string
  const month = MONTHS[wall.getUTCMonth()] as string
  const dayOfYear = Math.floor((wall.getTime() - Date.UTC(year, 0, 1)) / 86_400_000) + 1

  const convert = (conversion: string): string => {
    switch (conversion) {
      case 'Y':
        return String(year)
      case 'y':
        return pad(year % 100)
      case 'm':
        return pad(wall.getUTCMonth() + 1)
      case 'd':
        return pad(wall.getUTCDate())
      case 'j':
        return pad(dayOfYear, 3)
      case 'H':
        return pad(wall.getUTCHours())
      case 'I':
        return pad(wall.getUTCHours() % 12 || 12)
      case 'M':
        return pad(wall.getUTCMinutes())
      case 'S':
        return pad(wall.getUTCSeconds())
      case 'p':
        return wall.getUTCHours() < 12 ? 'AM' : 'PM'
      case 'a':
        return day.slice(0, 3)
      case 'A':
        return day
      case 'b':
        return month.slice(0, 3)
      case 'B':
        return month
      case 'U': // weeks begin on Sunday; days before the first one are week 0
        return pad(Math.floor((dayOfYear + 6 - wall.getUTCDay()) / 7))
      case 'F':
        return `${convert('Y')}-${convert('m')}-${convert('d')}`
      case 'T':
        return `${convert('H')}:${convert('M')}:${convert('S')}`
      case 's':
        return String(Math.floor(timeMs / 1000))
      case 'z':
        return `${offsetMinutes < 0 ? '-' : '+'}${pad(Math.trunc(Math.abs(offsetMinutes) / 60))}${pad(Math.abs(offsetMinutes) % 60)}`
      case 'Z':
        return zone === 'utc' ? 'UTC' : zoneName(timeMs)
      case '%':
        return '%'
      default:
        throw new CairnError(
          'INVALID_ARGUMENT',
          `Cannot format a time with '${format}': '%${conversion}' is unknown; known are %Y %m %d %H %M %S, %F, %T, %a, %b, %j, %s, %z and a few more`,
        )
    }
  }

  return format.replaceAll(/%(.?)/gsu, (_, conversion: string) => convert(conversion))
}

function pad(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}

function zoneName(timeMs: number): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(timeMs)
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? ''
}
