export type Period =
  | 'secondly'
  | 'minutely'
  | 'hourly'
  | 'daily'
  | 'weekly'
  | 'monthly'
  | 'quarterly_13weekly'
  | 'quarterly_3monthly'
  | 'yearly'

/**
 * Which period a time lies in, by the clock and calendar of the local zone: a text that two times of one period share. Where clocks are
 * put back, an hour comes twice and is one period.
 */
export function periodOf(period: Period, timeMs: number): string {
  return PERIODS[period](new Date(timeMs))
}

const PERIODS: Record<Period, (time: Date) => string> = {
  secondly: (time) => `${PERIODS.minutely(time)}:${time.getSeconds()}`,
  minutely: (time) => `${PERIODS.hourly(time)}:${time.getMinutes()}`,
  hourly: (time) => `${PERIODS.daily(time)} ${time.getHours()}`,
  daily: (time) => `${PERIODS.monthly(time)}-${time.getDate()}`,
  weekly(time) {
    const { year, week } = isoWeekOf(time)
    return `${year}-${week}`
  },
  monthly: (time) => `${PERIODS.yearly(time)}-${time.getMonth()}`,
  quarterly_13weekly(time) {
    const { year, week } = isoWeekOf(time)
    // The 53rd week of a long year belongs to its last quarter.
    return `${year}-${Math.min(4, Math.ceil(week / 13))}`
  },
  quarterly_3monthly: (time) => `${PERIODS.yearly(time)}-${Math.floor(time.getMonth() / 3)}`,
  yearly: (time) => String(time.getFullYear()),
}

/** ISO 8601: weeks begin on Monday, and belong to the year that has their Thursday. */
function isoWeekOf(time: Date): { readonly year: number; readonly week: number } {
  const weekday = (time.getDay() + 6) % 7
  // Days are counted in UTC, where all have 24 hours.
  const thursday = new Date(Date.UTC(time.getFullYear(), time.getMonth(), time.getDate() - weekday + 3))
  const year = thursday.getUTCFullYear()
  const day = (thursday.getTime() - Date.UTC(year, 0, 1)) / 86_400_000
  return { year, week: Math.floor(day / 7) + 1 }
}
