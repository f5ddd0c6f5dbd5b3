/** The kinds of performance goals, and whether measured figures reach them. */
import type { ToolName } from './tools.ts'

/** What is known of one tool in one scenario: median times, the highest peak, the size after the last run. */
export interface Figures {
  readonly label: string
  readonly seconds: number
  readonly cpuSeconds: number | undefined
  readonly peakBytes: number | undefined
  readonly repositoryBytes: number | undefined
}

export interface Measured {
  /** The tool that the goals are about; `undefined` when it was not measured or has failed. */
  readonly subject: Figures | undefined
  /** The tools that were measured without a failure. */
  readonly figures: ReadonlyMap<ToolName, Figures>
  /** Regular files backed up. */
  readonly files: number
  readonly cores: number
}

export interface Verdict {
  readonly goal: string
  readonly state: 'reached' | 'missed' | 'not measured'
  /** The figure compared, and by how much it misses the goal; empty when it was not measured. */
  readonly found: string
}

/** One goal: compares the figures of a scenario with a bound. A figure that is missing gives no verdict, never a flattering one. */
export type Goal = (measured: Measured) => Verdict

/** The subject's median time is at most the peer's divided by `times`. */
export function faster(than: ToolName, times: number): Goal {
  return ({ subject, figures }) => {
    const peer = figures.get(than)
    const label = peer?.label ?? than
    const ratio = peer && subject && peer.seconds / subject.seconds
    const goal = times === 1 ? `faster than ${label}` : `≥ ${times}× as fast as ${label}`
    return judge(goal, ratio, (ratio) => `${ratio.toFixed(2)}×`, { atLeast: times })
  }
}

/** The median time in seconds. */
export function withinSeconds(atMost: number): Goal {
  return ({ subject }) => judge(`≤ ${milliseconds(atMost)}`, subject?.seconds, milliseconds, { atMost })
}

/** The median time divided by the number of files. */
export function microsecondsPerFile(atMost: number): Goal {
  return ({ subject, files }) => {
    const each = subject && files > 0 ? (subject.seconds * 1e6) / files : undefined
    return judge(`≤ ${atMost} µs a file`, each, (value) => `${value.toFixed(1)} µs`, { atMost })
  }
}

/** The highest memory of all runs. */
export function peakMemory(atMostBytes: number): Goal {
  return ({ subject }) =>
    judge(`peak memory ≤ ${megabytes(atMostBytes)}`, subject?.peakBytes, megabytes, { atMost: atMostBytes })
}

/** The subject's repository is at most this share of the smallest of all the peers'. */
export function repositoryShare(atMost: number, peers: readonly ToolName[]): Goal {
  return ({ subject, figures }) => {
    const sizes = peers.map((peer) => figures.get(peer)?.repositoryBytes ?? Number.NaN)
    const share = (subject?.repositoryBytes ?? Number.NaN) / Math.min(...sizes)
    const goal = `repository ≤ ${atMost}× the smallest of ${peers.join(', ')}`
    return judge(goal, Number.isFinite(share) ? share : undefined, (value) => `${value.toFixed(3)}×`, { atMost })
  }
}

/** CPU time is at least this share of what all cores could give in the time of the run. */
export function busyCores(atLeast: number): Goal {
  return ({ subject, cores }) => {
    const share = subject?.cpuSeconds && subject.cpuSeconds / (subject.seconds * cores)
    return judge(`every core busy (≥ ${percent(atLeast)} of ${cores})`, share, percent, { atLeast })
  }
}

function judge(
  goal: string,
  value: number | undefined,
  format: (value: number) => string,
  bound: { readonly atLeast: number } | { readonly atMost: number },
): Verdict {
  if (value === undefined) return { goal, state: 'not measured', found: '' }
  const shortfall = 'atLeast' in bound ? 1 - value / bound.atLeast : value / bound.atMost - 1
  if (shortfall <= 0) return { goal, state: 'reached', found: format(value) }
  return {
    goal,
    state: 'missed',
    found: `${format(value)}, by ${shortfall < 0.01 ? 'less than 1 %' : percent(shortfall)}`,
  }
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
const milliseconds = (seconds: number): string => `${Math.round(seconds * 1000)} ms`
const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
