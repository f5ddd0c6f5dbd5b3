/** Turns the results into Markdown. */
import type { DataSet } from './data.ts'
import type { Figures, Verdict } from './goals.ts'
import type { ScenarioResult, ToolResult } from './run.ts'
import type { ToolName } from './tools.ts'

/** What the figures depend on besides the programs; nothing that names a machine. */
export interface Environment {
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly fileSystem: string
  readonly node: string
  /** Label and version of the tools measured. */
  readonly tools: readonly (readonly [string, string])[]
}

/** The middle of the values, or the mean of the two in the middle; `NaN` of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return Number.isInteger(middle)
    ? ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
    : (sorted[Math.floor(middle)] as number)
}

/** The whole report: where and what, then a table and its goals for every scenario. */
export function renderReport(results: readonly ScenarioResult[], environment: Environment): string {
  const data = new Map(results.flatMap(({ data }) => (data ? [[data.name, data] as const] : [])))
  const versions = environment.tools.map(([label, version]) => `${label} (${version})`)
  return [
    `Measured on ${environment.date}: ${environment.cpu}, ${environment.cores} cores, ` +
      `${Math.round(environment.memoryBytes / 1e9)} GB memory, ${environment.fileSystem}, Node ${environment.node}.`,
    `Tools: ${versions.join(', ')}.`,
    ...[...data.values()].map(renderData),
    ...results.flatMap((result) => [`### ${result.scenario.title}`, ...renderScenario(result, environment.cores)]),
  ].join('\n\n')
}

function renderData({ name, label, files, bytes }: DataSet): string {
  const title = name === 'small' ? 'Many small files' : 'One large file'
  const count = name === 'small' ? `${thousands(files)} files, ` : ''
  return `${title}: ${label}: ${count}${thousands(bytes / 1e6)} MB.`
}

function renderScenario({ scenario, data, results }: ScenarioResult, cores: number): string[] {
  const rate = data && scenario.action !== 'list' ? data.name : undefined
  const rateTitle = rate === 'small' ? 'files/s' : 'MB/s'
  const header = rate
    ? ['tool', 'median s (min–max)', rateTitle, 'CPU s', 'peak MB', 'repository MB']
    : ['tool', 'median s (min–max)', 'CPU s', 'peak MB']

  const rows = results.map((result) => {
    if (result.failure !== undefined) return [result.tool.label, `failed: ${result.failure}`]
    const seconds = result.runs.map((run) => run.seconds)
    const figures = figuresOf(result)
    const row = [
      result.tool.label,
      `${formatSeconds(figures.seconds)} (${formatSeconds(Math.min(...seconds))}–${formatSeconds(Math.max(...seconds))})`,
    ]
    if (data && rate) row.push(thousands((rate === 'small' ? data.files : data.bytes / 1e6) / figures.seconds))
    row.push(orDash(figures.cpuSeconds, formatSeconds), orDash(figures.peakBytes, formatMegabytes))
    if (rate) row.push(orDash(figures.repositoryBytes, formatMegabytes))
    return row
  })
  const subject = results.find(({ tool }) => tool.name === scenario.subject)?.tool.label ?? scenario.subject
  const verdicts = evaluateGoals({ scenario, data, results }, cores)
  return [renderTable(header, rows), verdicts.map((verdict) => renderVerdict(verdict, subject)).join('\n')]
}

/** The verdicts on all goals of a scenario. */
function evaluateGoals({ scenario, data, results }: ScenarioResult, cores: number): Verdict[] {
  const sound = results.filter(({ failure }) => failure === undefined)
  const figures = new Map<ToolName, Figures>(sound.map((result) => [result.tool.name, figuresOf(result)]))
  const measured = { subject: figures.get(scenario.subject), figures, files: data?.files ?? 0, cores }
  return scenario.goals.map((goal) => goal(measured))
}

function figuresOf({ tool, runs, repositoryBytes }: ToolResult): Figures {
  const cpuSeconds = runs.map((run) => run.cpuSeconds).filter((value) => value !== undefined)
  const peakBytes = runs.map((run) => run.peakBytes).filter((value) => value !== undefined)
  return {
    label: tool.label,
    seconds: median(runs.map((run) => run.seconds)),
    cpuSeconds: cpuSeconds.length > 0 ? median(cpuSeconds) : undefined,
    peakBytes: peakBytes.length > 0 ? Math.max(...peakBytes) : undefined,
    repositoryBytes,
  }
}

function renderVerdict({ goal, state, found }: Verdict, subject: string): string {
  const word = state === 'missed' ? '**missed**' : state
  return `- goal of ${subject}: ${goal} → ${word}${found && ` (${found})`}`
}

/** A Markdown table; the first column is text, the others are numbers. Short rows are filled up. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${header.map((_, i) => escapeCell(cells[i] ?? '')).join(' | ')} |`
  const rule = `|${header.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`
  return [line(header), rule, ...rows.map(line)].join('\n')
}

/** Replaces what stands between two marker lines. */
export function replaceBetween(text: string, begin: string, end: string, replacement: string): string {
  const from = text.indexOf(begin)
  const to = text.indexOf(end, from + begin.length)
  if (from < 0 || to < 0) throw new Error(`Cannot write the report: the page lacks ${from < 0 ? begin : end}`)
  return `${text.slice(0, from + begin.length)}\n${replacement}\n${text.slice(to)}`
}

/** Three digits that count: `0.084`, `1.25`, `12.3`, `125`. */
export function formatSeconds(seconds: number): string {
  return seconds.toFixed(seconds < 1 ? 3 : seconds < 10 ? 2 : seconds < 100 ? 1 : 0)
}

const formatMegabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)
const thousands = (value: number): string => Math.round(value).toLocaleString('en-US')
const orDash = (value: number | undefined, format: (value: number) => string): string =>
  value === undefined ? '–' : format(value)
const escapeCell = (text: string): string => text.trim().replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').slice(0, 200)
