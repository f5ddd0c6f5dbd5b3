/** What is measured: the table of scenarios with their goals. */
import { CairnError } from '../src/base/errors.ts'
import type { DataName } from './data.ts'
import {
  busyCores,
  faster,
  type Goal,
  microsecondsPerFile,
  peakMemory,
  repositoryShare,
  withinSeconds,
} from './goals.ts'
import type { ToolName } from './tools.ts'

/**
 * - `first`: a backup into a fresh repository
 * - `unchanged`: another backup of the same data into the same repository
 * - `changed`: another backup after new edits, the same for all tools of a run
 * - `restore`: the newest snapshot into an empty folder, compared with the source afterwards
 * - `list`: the snapshots of the repository
 * - `help`: start-up and nothing else
 */
export type Action = 'first' | 'unchanged' | 'changed' | 'restore' | 'list' | 'help'

export interface Scenario {
  /** Name for `--only`. */
  readonly name: string
  readonly title: string
  readonly action: Action
  readonly data: DataName | undefined
  /** In the order in which their runs alternate. */
  readonly tools: readonly ToolName[]
  /** Whom the goals are about. */
  readonly subject: ToolName
  readonly goals: readonly Goal[]
  /** Short runs scatter more: at least 5 of them. */
  readonly short?: boolean
}

const everyTool: readonly ToolName[] = ['cairn', 'restic', 'borg', 'tar']
const backupTools: readonly ToolName[] = ['cairn', 'restic', 'borg']
const subject = 'cairn'

const smallRepository = repositoryShare(0.95, ['restic', 'borg'])
const littleMemory = peakMemory(350e6)

/** In the order in which they run: those that share a data set, and with it the repositories, follow each other. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'help',
    title: 'Start-up: `--help`',
    action: 'help',
    data: undefined,
    tools: backupTools,
    subject,
    short: true,
    goals: [withinSeconds(0.15)],
  },
  {
    name: 'small-first',
    title: 'Many small files: first backup',
    action: 'first',
    data: 'small',
    tools: everyTool,
    subject,
    goals: [faster('restic', 4), faster('borg', 6), faster('tar', 1), smallRepository, littleMemory],
  },
  {
    name: 'small-unchanged',
    title: 'Many small files: nothing changed',
    action: 'unchanged',
    data: 'small',
    tools: backupTools,
    subject,
    short: true,
    goals: [faster('restic', 5), microsecondsPerFile(10), littleMemory],
  },
  {
    name: 'small-restore',
    title: 'Many small files: restore',
    action: 'restore',
    data: 'small',
    tools: everyTool,
    subject,
    goals: [faster('restic', 2), littleMemory],
  },
  {
    name: 'list',
    title: 'List the snapshots',
    action: 'list',
    data: 'small',
    tools: ['cairn', 'cairn-plain', 'restic', 'borg'],
    subject: 'cairn-plain', // the goal leaves key derivation out, which is slow on purpose
    short: true,
    goals: [withinSeconds(0.3)],
  },
  {
    name: 'large-first',
    title: 'One large file: first backup',
    action: 'first',
    data: 'large',
    tools: everyTool,
    subject,
    goals: [faster('restic', 2), faster('borg', 2), busyCores(0.8), smallRepository, littleMemory],
  },
  {
    name: 'large-changed',
    title: 'One large file: 1 % changed',
    action: 'changed',
    data: 'large',
    tools: backupTools,
    subject,
    goals: [faster('restic', 3), faster('borg', 3), littleMemory],
  },
  {
    // After the changes, so that the comparison with the source proves that they were saved.
    name: 'large-restore',
    title: 'One large file: restore',
    action: 'restore',
    data: 'large',
    tools: everyTool,
    subject,
    goals: [faster('restic', 2), littleMemory],
  },
]

/** The scenarios named, in their own order, or all when none is. */
export function selectScenarios(names: readonly string[]): readonly Scenario[] {
  const unknown = names.find((name) => !SCENARIOS.some((scenario) => scenario.name === name))
  if (unknown !== undefined) {
    const known = SCENARIOS.map(({ name }) => name).join(', ')
    throw new CairnError('INVALID_ARGUMENT', `No scenario is called '${unknown}': want ${known}`)
  }
  return names.length === 0 ? SCENARIOS : SCENARIOS.filter(({ name }) => names.includes(name))
}
