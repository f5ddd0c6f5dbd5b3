/** Runs the scenarios: prepares, measures in turn A B C A B C, verifies, cleans up. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type DataName, type DataSet, folderBytes } from './data.ts'
import { applyEdits, planEdits } from './edits.ts'
import { findGnuTime, measure, type Measurement } from './measure.ts'
import type { Scenario } from './scenarios.ts'
import { commandEnvironment, PROJECT_FOLDER, type Tool, type ToolName } from './tools.ts'
import { findDifference } from './verify.ts'

export interface RunOptions {
  /** An empty folder that belongs to this run; repositories, caches and restored files go there. */
  readonly workFolder: string
  /** The installed tools; scenarios pass over the others. */
  readonly tools: readonly Tool[]
  /** Opens a data set when the first scenario needs it. */
  readonly openData: (name: DataName) => DataSet
  readonly runs: number
  /** Takes one line of progress. */
  readonly log: (line: string) => void
}

/** One tool in one scenario. */
export interface ToolResult {
  readonly tool: Tool
  readonly runs: readonly Measurement[]
  /** Sum of the file sizes of its repository after the last run. */
  readonly repositoryBytes: number | undefined
  /** Why it could not be measured. */
  readonly failure: string | undefined
}

export interface ScenarioResult {
  readonly scenario: Scenario
  readonly data: DataSet | undefined
  readonly results: readonly ToolResult[]
}

const SHORT_RUNS = 5

/** Measures all scenarios one after the other. A tool that fails is reported as such and does not stop the others. */
export async function runScenarios(scenarios: readonly Scenario[], options: RunOptions): Promise<ScenarioResult[]> {
  const bench = new Bench(options)
  const results: ScenarioResult[] = []
  for (const scenario of scenarios) results.push(await bench.run(scenario))
  return results
}

/** A tool's place for one data set: `repository`, and `home` for its caches and settings. */
interface Place {
  readonly folder: string
  readonly repository: string
  readonly home: string
  snapshots: number
  /** How many times the data had been edited when they were last backed up. */
  savedEdits: number | undefined
}

/**
 * Reads everything below these paths before a run that will: whoever goes first in a round would otherwise pay for what the
 * system dropped from its cache since the last one. GNU tar does not read when its output is /dev/null, hence the pipe.
 */
function readIntoCache(paths: readonly string[]): void {
  spawnSync('sh', ['-c', 'tar cf - "$@" 2>/dev/null | cat >/dev/null', 'sh', ...paths])
}

interface Attempt {
  readonly tool: Tool
  readonly runs: Measurement[]
  failure: string | undefined
}

class Bench {
  readonly #options: RunOptions
  readonly #gnuTime = findGnuTime()
  readonly #places = new Map<ToolName, Place>()
  #data: DataSet | undefined
  #edits = 0

  constructor(options: RunOptions) {
    this.#options = options
  }

  async run(scenario: Scenario): Promise<ScenarioResult> {
    this.#useData(scenario.data)
    const { tools, log } = this.#options
    const attempts = scenario.tools
      .flatMap((name) => tools.find((tool) => tool.name === name) ?? [])
      .map((tool): Attempt => ({ tool, runs: [], failure: undefined }))

    for (const attempt of attempts) await this.#guard(scenario, attempt, () => this.#prepare(scenario, attempt.tool))
    const runs = scenario.short ? Math.max(this.#options.runs, SHORT_RUNS) : this.#options.runs
    for (let run = 1; run <= runs; run++) {
      if (scenario.action === 'changed') this.#editData()
      for (const attempt of attempts) {
        await this.#guard(scenario, attempt, async () => {
          const measurement = await this.#runOnce(scenario, attempt.tool)
          attempt.runs.push(measurement)
          log(`${scenario.name} ${run}/${runs} ${attempt.tool.label}: ${measurement.seconds.toFixed(3)} s`)
        })
      }
    }
    const results = attempts.map(({ tool, runs, failure }) => {
      const place = this.#places.get(tool.name)
      return { tool, runs, failure, repositoryBytes: place && folderBytes(place.repository) }
    })
    return { scenario, data: this.#data, results }
  }

  /** Does one step of a tool, unless it has failed before in this scenario. */
  async #guard(scenario: Scenario, attempt: Attempt, step: () => Promise<void>): Promise<void> {
    if (attempt.failure !== undefined) return
    try {
      await step()
    } catch (error) {
      const { message } = error as Error
      // No folder of this machine in the report.
      attempt.failure = message.replaceAll(this.#options.workFolder, '…').replaceAll(PROJECT_FOLDER, '…')
      this.#options.log(`${scenario.name} ${attempt.tool.label} failed: ${attempt.failure}`)
    }
  }

  /** Brings a tool, outside the timing, to where the scenario's first run begins. */
  async #prepare(scenario: Scenario, tool: Tool): Promise<void> {
    if (scenario.action === 'first') return // every run has its own fresh repository
    if (scenario.action !== 'help') await this.#ensureBackup(tool)
    if (scenario.action === 'list' || scenario.action === 'help') await this.#runOnce(scenario, tool) // fills caches of code
  }

  async #runOnce(scenario: Scenario, tool: Tool): Promise<Measurement> {
    const { action } = scenario
    if (action === 'help') return this.#measure(tool, tool.help, this.#options.workFolder)
    if (action === 'first') return this.#backUp(tool, await this.#freshRepository(tool))
    const place = this.#place(tool)
    if (action === 'list') return this.#measure(tool, tool.list?.(place.repository), place.home)
    return action === 'restore' ? this.#restore(tool, place) : this.#backUp(tool, place)
  }

  /** Sees to it that the tool's newest snapshot holds the data as they are. */
  async #ensureBackup(tool: Tool): Promise<void> {
    const place = this.#places.get(tool.name)
    if (place?.savedEdits === this.#edits) return
    this.#options.log(`preparing a backup by ${tool.label}`)
    await this.#backUp(tool, place ?? (await this.#freshRepository(tool)))
  }

  /** An initialised repository with empty caches, in place of the tool's last one. */
  async #freshRepository(tool: Tool): Promise<Place> {
    const folder = path.join(this.#options.workFolder, tool.name)
    rmSync(folder, { recursive: true, force: true })
    this.#places.delete(tool.name)
    const place: Place = {
      folder,
      repository: path.join(folder, 'repository'),
      home: path.join(folder, 'home'),
      snapshots: 0,
      savedEdits: undefined,
    }
    mkdirSync(place.home, { recursive: true })
    if (tool.init) await this.#measure(tool, tool.init(place.repository), place.home)
    this.#places.set(tool.name, place)
    return place
  }

  async #backUp(tool: Tool, place: Place): Promise<Measurement> {
    const paths = this.#data?.paths ?? []
    const argv = tool.backup(place.repository, `s${place.snapshots + 1}`, paths)
    readIntoCache(paths)
    const measurement = await this.#measure(tool, argv, place.home)
    place.snapshots++
    place.savedEdits = this.#edits
    return measurement
  }

  async #restore(tool: Tool, place: Place): Promise<Measurement> {
    const target = path.join(this.#options.workFolder, 'restored')
    rmSync(target, { recursive: true, force: true })
    mkdirSync(target)
    try {
      const argv = tool.restore(place.repository, `s${place.snapshots}`, target)
      readIntoCache([place.repository])
      const measurement = await this.#measure(tool, argv, place.home, target)
      for (const source of this.#data?.paths ?? []) {
        const difference = findDifference(source, target)
        if (difference !== undefined) throw new Error(`restored wrongly: ${difference}`)
      }
      return measurement
    } finally {
      rmSync(target, { recursive: true, force: true })
    }
  }

  async #measure(
    tool: Tool,
    argv: readonly [string, ...string[]] | undefined,
    home: string,
    cwd = this.#options.workFolder,
  ): Promise<Measurement> {
    if (!argv) throw new Error(`${tool.label} cannot do this`)
    spawnSync('sync') // what others have left unwritten would slow this one down
    const command = { argv, cwd, env: commandEnvironment(tool, home) }
    const measurement = await measure(command, { scratchFolder: this.#options.workFolder, gnuTime: this.#gnuTime })
    if (measurement.exitCode !== 0 && measurement.exitCode !== tool.warningExitCode) {
      throw new Error(measurement.errorLine || `exit code ${measurement.exitCode}`)
    }
    if (measurement.exitCode !== 0) this.#options.log(`${tool.label} warns: ${measurement.errorLine}`)
    return measurement
  }

  #place(tool: Tool): Place {
    const place = this.#places.get(tool.name)
    if (!place) throw new Error(`${tool.label} has no repository yet`)
    return place
  }

  /** Opens the data of the next scenario; the repositories of the last data set are deleted with it. */
  #useData(name: DataName | undefined): void {
    if (name === this.#data?.name) return
    for (const { folder } of this.#places.values()) rmSync(folder, { recursive: true, force: true })
    this.#places.clear()
    this.#data = name && this.#options.openData(name)
    this.#edits = 0
  }

  #editData(): void {
    const seed = ++this.#edits
    for (const file of this.#data?.paths ?? []) {
      applyEdits(file, planEdits(this.#data?.bytes ?? 0, seed), seed)
    }
  }
}
