/**
 * Measures Cairn side by side with restic, Borg and `tar | zstd` on real data of this machine; docs/benchmarks.md explains how.
 *
 *     npm run bench -- [--quick] [--runs N] [--only SCENARIO,…] [--tools TOOL,…] [--large-size SIZE] [--work DIR] [--write]
 *
 * Progress goes to standard error, the report to standard output. Exit code 1 when a tool failed or the
 * space is short, 2 for wrong arguments; a missed goal is not a failure.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { CairnError, ERROR_CODES } from '../src/base/errors.ts'
import { formatBytes, parseBytes } from '../src/base/sizes.ts'
import { createLargeData, type DataName, type DataSet, openSmallData, QUICK_FOLDERS, SMALL_FOLDERS } from './data.ts'
import { killRunning } from './measure.ts'
import { type Environment, renderReport, replaceBetween } from './report.ts'
import { runScenarios } from './run.ts'
import { selectScenarios, type Scenario } from './scenarios.ts'
import { allTools, type Tool } from './tools.ts'

const PAGE = path.resolve(import.meta.dirname, '../docs/benchmarks.md')
const BEGIN = '<!-- bench:begin -->'
const END = '<!-- bench:end -->'

interface Options {
  readonly quick: boolean
  readonly runs: number
  readonly scenarios: readonly Scenario[]
  readonly tools: readonly Tool[]
  readonly largeBytes: number
  readonly workParent: string
  readonly write: boolean
}

const argumentOptions = {
  quick: { type: 'boolean', default: false },
  runs: { type: 'string', default: '3' },
  only: { type: 'string', default: '' },
  tools: { type: 'string', default: '' },
  'large-size': { type: 'string' },
  work: { type: 'string', default: tmpdir() },
  write: { type: 'boolean', default: false },
} as const

function readOptions(): Options {
  const values = readArguments()
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) throw invalid(`Cannot run '${values.runs}' times: want 1 or more`)
  if (values.write && (values.quick || values.only || values.tools)) {
    throw invalid('Cannot use --write with --quick, --only or --tools: the page shows one whole run')
  }
  const workParent = path.resolve(values.work)
  if (!existsSync(workParent)) throw invalid(`Cannot work in ${workParent}: there is no such folder`)
  return {
    quick: values.quick,
    runs,
    scenarios: selectScenarios(splitList(values.only)),
    tools: selectTools(splitList(values.tools)),
    largeBytes: parseBytes(values['large-size'] ?? (values.quick ? '200M' : '4G')),
    workParent,
    write: values.write,
  }
}

function readArguments() {
  try {
    return parseArgs({ options: argumentOptions }).values
  } catch (error) {
    throw invalid((error as Error).message, { cause: error })
  }
}

const invalid = (message: string, options?: ErrorOptions): CairnError =>
  new CairnError('INVALID_ARGUMENT', message, options)
const splitList = (text: string): string[] => text.split(',').filter((part) => part !== '')

/** The installed ones of the tools named, or of all; says on standard error which are missing. */
function selectTools(names: readonly string[]): Tool[] {
  const all = allTools()
  const unknown = names.find((name) => !all.some((tool) => tool.name === name))
  if (unknown !== undefined)
    throw invalid(`No tool is called '${unknown}': want ${all.map(({ name }) => name).join(', ')}`)
  const wanted = all.filter(({ name }) => names.length === 0 || names.includes(name))
  for (const { label } of wanted.filter(({ version }) => version === undefined))
    log(`skipping ${label}: it is not installed`)
  return wanted.filter(({ version }) => version !== undefined)
}

/** The repositories of all tools, a restored copy and the large file itself; four times the data has some room to spare. */
function checkFreeSpace({ scenarios, largeBytes, workParent }: Options, small: DataSet | undefined): void {
  const largest = Math.max(scenarios.some(({ data }) => data === 'large') ? largeBytes : 0, small?.bytes ?? 0)
  const { bavail, bsize } = statfsSync(workParent)
  if (bavail * bsize >= largest * 4) return
  throw new CairnError(
    'STORAGE_FULL',
    `Cannot measure in ${workParent}: about ${formatBytes(largest * 4)} are needed and ${formatBytes(bavail * bsize)} are free; ` +
      'give another folder with --work or a smaller file with --large-size',
  )
}

function describeEnvironment(tools: readonly Tool[], workFolder: string): Environment {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    fileSystem: fileSystemName(statfsSync(workFolder).type),
    node: process.version,
    tools: tools
      .filter(({ name }) => name !== 'cairn-plain')
      .map(({ label, version = '' }) => [label, version] as const),
  }
}

/** Magic numbers from Linux' magic.h. */
function fileSystemName(type: number): string {
  const names = new Map([
    [0xef53, 'ext4'],
    [0x58465342, 'XFS'],
    [0x9123683e, 'Btrfs'],
    [0x2fc12fc1, 'ZFS'],
    [0x794c7630, 'overlayfs'],
    [0x01021994, 'tmpfs (memory, not a disk)'],
  ])
  return names.get(type) ?? `file system 0x${type.toString(16)}`
}

function log(line: string): void {
  process.stderr.write(`bench: ${line}\n`)
}

async function main(options: Options): Promise<void> {
  const { quick, scenarios, tools, workParent } = options
  const smallFolders = quick ? QUICK_FOLDERS.filter((folder) => existsSync(folder)).slice(0, 1) : SMALL_FOLDERS
  const small = scenarios.some(({ data }) => data === 'small') ? openSmallData(smallFolders) : undefined
  checkFreeSpace(options, small)
  const load = loadavg()[0] ?? 0
  if (load > 0.5) log(`this machine is busy (load ${load.toFixed(1)}): the figures will suffer`)

  const workFolder = mkdtempSync(path.join(workParent, 'cairn-bench-'))
  const cleanUp = (): void => rmSync(workFolder, { recursive: true, force: true, maxRetries: 3 })
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      killRunning()
      cleanUp()
      process.exit(exitCode)
    })
  }
  const openData = (name: DataName): DataSet => {
    if (name === 'small' && small) return small
    log('making the large file')
    return createLargeData(path.join(workFolder, 'large.tar'), options.largeBytes)
  }

  try {
    const environment = describeEnvironment(tools, workFolder)
    const results = await runScenarios(scenarios, { workFolder, tools, openData, runs: options.runs, log })
    const report = renderReport(results, environment)
    process.stdout.write(`${quick ? 'A quick trial: the figures say nothing about the goals.\n\n' : ''}${report}\n`)
    if (options.write) writeFileSync(PAGE, replaceBetween(readFileSync(PAGE, 'utf8'), BEGIN, END, report))
    if (results.some(({ results }) => results.some(({ failure }) => failure !== undefined))) process.exitCode = 1
  } finally {
    cleanUp()
  }
}

try {
  await main(readOptions())
} catch (error) {
  if (!(error instanceof CairnError)) throw error
  log(error.message)
  process.exitCode = ERROR_CODES[error.code].exit
}
