import { formatBytes } from '../../base/sizes.ts'
import { formatClock, formatCount, plural } from './format.ts'
import type { Output } from './output.ts'
import { displayWidth, printable, shortenPath } from './text.ts'

/** Counters of a run so far, as `create`, `extract` and `check` report them. */
export interface ProgressCounters {
  readonly filesDone: number
  readonly bytesDone: number
  readonly filesTotal: number | undefined
  readonly bytesTotal: number | undefined
  readonly issues: number
  readonly currentPath: string
  /** What is counted, when it is not files. */
  readonly unit?: 'packs' | 'snapshots' | 'bytes' | 'runs'
}

/** The rate is that of the last seconds, so that it follows a change and does not jump. */
const RATE_WINDOW_MS = 10_000

/** Samples closer than this replace each other. */
const SAMPLE_MS = 250

/** In a pipe: a line after 10 s, then ever rarer until one a minute, so that a log of hours stays readable. */
const FIRST_LINE_MS = 10_000
const MAX_LINE_INTERVAL_MS = 60_000

/** `--json` status lines a second at most, as restic. */
const JSON_INTERVAL_MS = 100

/** A column narrower than this says nothing about a path. */
const MIN_PATH_COLUMNS = 12

/** Turns counters into rate and remaining time. `now` gives milliseconds of a clock that never jumps. */
export class ProgressMeter {
  readonly #now: () => number
  #startedMs: number | undefined
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = []
  counters: ProgressCounters | undefined

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Time since the first counters; what comes before them is waiting for a passphrase. */
  get elapsedMs(): number {
    return this.#startedMs === undefined ? 0 : this.#now() - this.#startedMs
  }

  update(counters: ProgressCounters): void {
    this.counters = counters
    const atMs = this.#now()
    this.#startedMs ??= atMs
    const last = this.#samples.at(-1)
    if (this.#samples.length > 1 && last && atMs - last.atMs < SAMPLE_MS) this.#samples.pop()
    this.#samples.push({ atMs, bytes: counters.bytesDone })
    while (this.#samples.length > 2 && atMs - (this.#samples[1]?.atMs ?? atMs) >= RATE_WINDOW_MS) this.#samples.shift()
  }

  /** Bytes a second lately; `undefined` as long as that would be noise. */
  get rate(): number | undefined {
    const first = this.#samples[0]
    if (!first || !this.counters) return undefined
    const spanMs = this.#now() - first.atMs
    if (spanMs < 2 * SAMPLE_MS) return undefined
    return ((this.counters.bytesDone - first.bytes) / spanMs) * 1000
  }

  /** Part done, 0 to 1, by bytes, or by files when there are none; `undefined` while the totals are unknown. */
  get fraction(): number | undefined {
    const counters = this.counters
    if (!counters) return undefined
    const { bytesDone, bytesTotal, filesDone, filesTotal } = counters
    if (bytesTotal !== undefined && bytesTotal > 0) return Math.min(1, bytesDone / bytesTotal)
    if (filesTotal !== undefined && filesTotal > 0) return Math.min(1, filesDone / filesTotal)
    return undefined
  }

  get remainingMs(): number | undefined {
    const counters = this.counters
    if (counters?.bytesTotal === undefined || !this.rate) return undefined
    return (Math.max(0, counters.bytesTotal - counters.bytesDone) / this.rate) * 1000
  }
}

/**
 * One line for a terminal of `columns`: `0:12  21%  1,234/53,120 files  123/584 MiB  45.2 MiB/s  0:08 left  …/share/file`.
 * On narrow terminals the least telling parts go first.
 */
export function renderProgress(meter: ProgressMeter, columns: number): string {
  const counters = meter.counters
  if (!counters) return ''
  const { filesDone, filesTotal, bytesDone, bytesTotal, issues, unit = 'files' } = counters
  const { fraction, rate, remainingMs } = meter

  // Each with its rank: the highest goes first when there is no room.
  const parts: (readonly [rank: number, text: string])[] = [[0, formatClock(meter.elapsedMs)]]
  if (fraction !== undefined) parts.push([1, `${Math.floor(fraction * 100)}%`])
  parts.push([4, `${outOf(formatCount(filesDone), filesTotal, formatCount)} ${unit}`])
  parts.push([3, outOf(formatBytes(bytesDone), bytesTotal, formatBytes)])
  if (rate !== undefined) parts.push([5, `${formatBytes(Math.round(rate))}/s`])
  if (remainingMs !== undefined) parts.push([2, `${formatClock(Math.ceil(remainingMs / 1000) * 1000)} left`])
  if (issues > 0) parts.push([1.5, plural(issues, 'problem')])

  let line = join(parts)
  while (displayWidth(line) > columns && parts.length > 1) {
    const worst = parts.reduce((at, [rank], i) => (rank > (parts[at]?.[0] ?? 0) ? i : at), 0)
    parts.splice(worst, 1)
    line = join(parts)
  }
  if (displayWidth(line) > columns) return ''
  const room = columns - displayWidth(line) - 2
  if (room < MIN_PATH_COLUMNS || counters.currentPath === '') return line
  return `${line}  ${shortenPath(printable(counters.currentPath), room)}`
}

function join(parts: readonly (readonly [number, string])[]): string {
  return parts.map(([, text]) => text).join('  ')
}

function outOf(done: string, total: number | undefined, format: (total: number) => string): string {
  return total === undefined ? done : `${done}/${format(total)}`
}

/** Shows the progress of one run in the way that fits: a status line, rare plain lines, JSON objects, or nothing. */
export class Progress {
  readonly #meter: ProgressMeter
  readonly #output: Output
  readonly #mode: 'line' | 'plain' | 'json' | 'log' | 'none'
  readonly #toJson: (meter: ProgressMeter) => object
  #nextMs: number

  /** @param toJson the `status` object of this kind of run */
  constructor(output: Output, toJson: (meter: ProgressMeter) => object, meter = new ProgressMeter()) {
    const { json, quiet, progress, logJson } = output.settings
    this.#meter = meter
    this.#output = output
    this.#toJson = toJson
    if (!(progress ?? (!quiet && !logJson))) this.#mode = 'none'
    else this.#mode = logJson ? 'log' : json ? 'json' : output.interactive ? 'line' : 'plain'
    this.#nextMs = this.#mode === 'plain' ? FIRST_LINE_MS : 0
    if (this.#mode === 'line') output.beginStatus((columns) => renderProgress(meter, columns))
  }

  update(counters: ProgressCounters): void {
    this.#meter.update(counters)
    this.#output.flush() // so that whoever reads a listing or JSON from a pipe sees it soon
    if (this.#mode === 'line' || this.#mode === 'none') return
    const elapsedMs = this.#meter.elapsedMs
    if (elapsedMs < this.#nextMs) return
    if (this.#mode === 'json') {
      this.#nextMs = elapsedMs + JSON_INTERVAL_MS
      this.#output.json(this.#toJson(this.#meter))
      this.#output.flush()
    } else if (this.#mode === 'log') {
      this.#nextMs = elapsedMs + JSON_INTERVAL_MS
      this.#output.logJson({ ...this.#borgJson(), finished: false })
    } else {
      this.#nextMs = elapsedMs + Math.min(MAX_LINE_INTERVAL_MS, Math.max(FIRST_LINE_MS, elapsedMs))
      this.#output.errorLine(`cairn: ${renderProgress(this.#meter, 200)}`)
    }
  }

  end(): void {
    this.#output.endStatus()
    if (this.#mode !== 'log') return
    const { path: _, ...last } = this.#borgJson()
    this.#output.logJson({ ...last, finished: true })
  }

  #borgJson(): Record<string, unknown> {
    const own: Record<string, unknown> = { ...this.#toJson(this.#meter) }
    return 'type' in own ? own : progressPercent(this.#meter)
  }
}

/** Borg's `progress_percent`, of whatever is counted; `progress_message` as long as nobody knows how much there is. */
function progressPercent(meter: ProgressMeter): Record<string, unknown> {
  const { filesDone = 0, filesTotal, bytesDone = 0, bytesTotal, unit = 'files' } = meter.counters ?? {}
  const [current, total] = bytesTotal === undefined ? [filesDone, filesTotal] : [bytesDone, bytesTotal]
  return {
    type: total === undefined ? 'progress_message' : 'progress_percent',
    operation: 1,
    msgid: unit,
    message: renderProgress(meter, 200),
    ...(total !== undefined && { current, total }),
  }
}

/** Fields that restic's `status` lines of backup and restore share. */
export function statusFields(meter: ProgressMeter): Record<string, unknown> {
  const { fraction, remainingMs, counters } = meter
  return {
    message_type: 'status',
    seconds_elapsed: Math.round(meter.elapsedMs / 1000),
    ...(remainingMs === undefined ? {} : { seconds_remaining: Math.round(remainingMs / 1000) }),
    percent_done: fraction ?? 0,
    ...(counters?.filesTotal === undefined ? {} : { total_files: counters.filesTotal }),
    ...(counters?.bytesTotal === undefined ? {} : { total_bytes: counters.bytesTotal }),
  }
}

/** `statusFields` of what goes over files and their bytes, with how much of that is done. */
export function fileStatusFields(meter: ProgressMeter): Record<string, unknown> {
  const { filesDone = 0, bytesDone = 0 } = meter.counters ?? {}
  return { ...statusFields(meter), files_done: filesDone, bytes_done: bytesDone }
}
