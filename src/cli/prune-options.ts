import { InvalidArgumentError } from 'commander'
import { CairnError } from '../base/errors.ts'
import type { BorgRule, GroupField, KopiaRule, RetentionPolicy } from '../operations/prune.ts'

/** The options of `prune` that make a policy, as commander gives them. */
export interface PolicyOptions {
  readonly policy: 'borg' | 'kopia'
  readonly keepWithin?: number
  readonly keepTag?: string[][]
  readonly keepLast?: number
  readonly keepLatest?: number
  readonly keepSecondly?: number
  readonly keepMinutely?: number
  readonly keepHourly?: number
  readonly keepDaily?: number
  readonly keepWeekly?: number
  readonly keepMonthly?: number
  readonly keep13weekly?: number
  readonly keep3monthly?: number
  readonly keepYearly?: number
  readonly keepAnnual?: number
}

interface RuleOption {
  readonly flags: string
  readonly help: string
  readonly attribute: keyof PolicyOptions
  /** What it is called in each policy that has it. */
  readonly borg?: BorgRule
  readonly kopia?: KopiaRule
}

/** All options that give a rule a count, from the finest to the coarsest. */
export const RULE_OPTIONS: readonly RuleOption[] = [
  { flags: '--keep-last <N>', help: 'the N newest', attribute: 'keepLast', borg: 'last', kopia: 'latest' },
  { flags: '--keep-secondly <N>', help: 'the last of N seconds', attribute: 'keepSecondly', borg: 'secondly' },
  { flags: '--keep-minutely <N>', help: 'the last of N minutes', attribute: 'keepMinutely', borg: 'minutely' },
  { flags: '-H, --keep-hourly <N>', help: 'of N hours', attribute: 'keepHourly', borg: 'hourly', kopia: 'hourly' },
  { flags: '-d, --keep-daily <N>', help: 'of N days', attribute: 'keepDaily', borg: 'daily', kopia: 'daily' },
  { flags: '-w, --keep-weekly <N>', help: 'of N weeks', attribute: 'keepWeekly', borg: 'weekly', kopia: 'weekly' },
  { flags: '-m, --keep-monthly <N>', help: 'of N months', attribute: 'keepMonthly', borg: 'monthly', kopia: 'monthly' },
  {
    flags: '--keep-13weekly <N>',
    help: 'of N quarters of 13 weeks',
    attribute: 'keep13weekly',
    borg: 'quarterly_13weekly',
  },
  {
    flags: '--keep-3monthly <N>',
    help: 'of N quarters of 3 months',
    attribute: 'keep3monthly',
    borg: 'quarterly_3monthly',
  },
  { flags: '-y, --keep-yearly <N>', help: 'of N years', attribute: 'keepYearly', borg: 'yearly', kopia: 'annual' },
  { flags: '--keep-latest <N>', help: "as --keep-last, in Kopia's words", attribute: 'keepLatest', kopia: 'latest' },
  { flags: '--keep-annual <N>', help: "as --keep-yearly, in Kopia's words", attribute: 'keepAnnual', kopia: 'annual' },
]

/**
 * The policy that the options make.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a rule that the policy does not have
 */
export function toPolicy(options: PolicyOptions): RetentionPolicy {
  const { policy: kind, keepWithin: withinMs, keepTag: keepTags } = options
  const counts: Partial<Record<BorgRule | KopiaRule, number>> = {}
  for (const { flags, attribute, ...names } of RULE_OPTIONS) {
    const count = options[attribute]
    if (typeof count !== 'number') continue
    const rule = names[kind]
    if (rule === undefined) throw foreignRule(/--[\w-]+/.exec(flags)?.[0] ?? flags, kind)
    counts[rule] = count
  }
  if (kind === 'borg') return { kind, counts, withinMs, keepTags }
  if (withinMs !== undefined) throw foreignRule('--keep-within', kind)
  return { kind, counts, keepTags }
}

function foreignRule(option: string, kind: string): CairnError {
  return new CairnError(
    'INVALID_ARGUMENT',
    `Cannot prune: ${option} is no rule of the policy '${kind}'; see 'cairn prune --help'`,
  )
}

/** How many a rule keeps; -1 for all there are. */
export function parseKeepCount(value: string): number {
  if (value === '-1') return Infinity
  const count = Number(value)
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(count)) {
    throw new InvalidArgumentError('It must be a whole number, or -1 for all.')
  }
  return count
}

const HOUR_MS = 3_600_000
const INTERVAL_MS: Readonly<Record<string, number>> = {
  H: HOUR_MS,
  d: 24 * HOUR_MS,
  w: 7 * 24 * HOUR_MS,
  m: 31 * 24 * HOUR_MS,
  y: 365 * 24 * HOUR_MS,
}

/** Borg's intervals, like `2d` or `1y`, in milliseconds; a month has 31 days, a year 365. */
export function parseInterval(value: string): number {
  const [, number, unit = ''] = /^(\d+)([Hdwmy])$/.exec(value) ?? []
  const ms = Number(number) * (INTERVAL_MS[unit] ?? Number.NaN)
  if (Number.isSafeInteger(ms) && ms > 0) return ms
  throw new InvalidArgumentError('It must be a number from 1 on and one of H, d, w, m, y: like 48H, 30d or 1y.')
}

/** `a,b` is a snapshot with both tags; options that are repeated are alternatives. */
export function collectTags(value: string, given: string[][] = []): string[][] {
  const tags = value.split(',').map((tag) => tag.trim())
  if (tags.includes('')) throw new InvalidArgumentError('It must be a tag, or several with commas between them.')
  return [...given, tags]
}

const GROUP_WORDS: Readonly<Record<string, GroupField>> = {
  host: 'host',
  hosts: 'host',
  path: 'paths',
  paths: 'paths',
  tag: 'tags',
  tags: 'tags',
}

/** `host,paths,tags` or some of them; nothing for no groups. */
export function parseGroupBy(value: string): GroupField[] {
  if (value === '') return []
  return value.split(',').map((word) => {
    const field = Object.hasOwn(GROUP_WORDS, word) ? GROUP_WORDS[word] : undefined
    if (field === undefined) throw new InvalidArgumentError('It must be some of host, paths and tags, like host,paths.')
    return field
  })
}
