import type { Command, Option } from 'commander'
import { type Environment, variable } from '../../config/environment.ts'
import type { RepositoryAccess } from '../../operations/repository-access.ts'
import { refusedBorgOptions } from '../borg/options.ts'
import type { CommandContext } from '../context.ts'
import { formatIsoTime } from '../output/format.ts'
import { printable } from '../output/text.ts'
import { splitLocation } from '../positionals.ts'
import { argumentAt, type Place, readCommandLine, visibleParts } from './command-line.ts'
import { type FileKind, kindOfArgument, kindOfOption, type ValueKind } from './values.ts'

/** What a word may become. */
export interface Candidate {
  readonly word: string
  readonly description: string
  /** More of the same word has to follow. */
  readonly isOpen?: boolean
}

export interface Answer {
  /** What of the word is there already, and stays: candidates begin after it. */
  readonly kept: string
  /** What ends the parts that are kept, in order: `=` of an option, `::` of a repository, or the last of some `,`. */
  readonly separators: readonly Separator[]
  /** In the order of help, whatever has been typed of the word. */
  readonly candidates: readonly Candidate[]
  /** What the shell completes where no candidate begins with what has been typed. */
  readonly otherwise: FileKind
}

export type Separator = '=' | '::' | ','

const NOTHING: Answer = { kept: '', separators: [], candidates: [], otherwise: 'nothing' }

/** What the word `current` may become, after `words`, all without quotes and without the program's name. */
export async function completeWord(
  context: CommandContext,
  words: readonly string[],
  current: string,
): Promise<Answer> {
  const place = await readCommandLine(context.definitions, words)
  const { command, awaiting, isLiteral, values } = place
  if (awaiting) return completeValue(context, place, kindOfOption(awaiting), current)
  if (!isLiteral && current.startsWith('-')) {
    const [, kept, name] = /^((--[^=]+)=)/.exec(current) ?? []
    if (kept === undefined) return { ...NOTHING, candidates: optionCandidates(context, command, current) }
    const option = command.options.find(({ long }) => long === name)
    if (!option?.required) return NOTHING
    const answer = await completeValue(context, place, kindOfOption(option), current.slice(kept.length))
    return { ...answer, kept: kept + answer.kept, separators: ['=', ...answer.separators] }
  }
  if (values.length === 0 && command.commands.length > 0) return { ...NOTHING, candidates: commandCandidates(command) }
  const argument = argumentAt(command, values.length)
  return argument ? completeValue(context, place, kindOfArgument(argument), current) : NOTHING
}

/** Under the name `borg`, Borg's options are offered too, but for those that would be refused. */
function optionCandidates({ asBorg }: CommandContext, command: Command, current: string): Candidate[] {
  const { options } = visibleParts(command)
  const refused = refusedBorgOptions(command.name())
  const others = asBorg ? command.options.filter(({ hidden, long }) => hidden && !refused.has(long ?? '')) : []
  return [...options, ...others].flatMap((option: Option) =>
    [option.short, option.long]
      .filter((flag) => flag !== undefined)
      // A single letter is offered only to who has not begun with a long one.
      .filter((flag) => flag.startsWith('--') || !current.startsWith('--'))
      .map((word) => ({ word, description: option.description })),
  )
}

function commandCandidates(command: Command): Candidate[] {
  return visibleParts(command).commands.flatMap((one) =>
    [one.name(), ...one.aliases()].map((word) => ({ word, description: one.summary() })),
  )
}

async function completeValue(context: CommandContext, place: Place, kind: ValueKind, current: string): Promise<Answer> {
  const { otherwise = 'nothing', words = [], isList = false } = kind
  if (kind.isCommand) return { ...NOTHING, candidates: commandCandidates(context.definitions.program) }
  if (kind.isSnapshot) return completeSnapshot(context, place, kind, current)
  const kept = isList ? current.slice(0, current.lastIndexOf(',') + 1) : ''
  const candidates = words.map((word) => ({ word, description: '', isOpen: word.endsWith('=') }))
  return { kept, separators: kept === '' ? [] : [','], candidates, otherwise }
}

/** `REPO::NAME`; or `NAME`, where the repository is known; or a repository, which is a folder. */
async function completeSnapshot(
  context: CommandContext,
  place: Place,
  { orRepository = false }: ValueKind,
  current: string,
): Promise<Answer> {
  const { repository, snapshot } = splitLocation(current)
  const known = repositoryBefore(context, place)
  const names = (location: string | undefined): Promise<Candidate[]> =>
    snapshotCandidates(context, place.command, location)
  if (repository !== current) {
    const kept = current.slice(0, current.length - (snapshot ?? '').length)
    return { ...NOTHING, kept, separators: ['::'], candidates: await names(repository ?? known) }
  }
  // Borg's first argument never is a snapshot by itself; nor is one that may be a repository, unless that is known.
  const isFirst = place.values.length === 0 || !beginsWithSnapshot(place.command)
  const isRepository = current.includes('/') || context.asBorg || (orRepository && known === undefined)
  if (isFirst && isRepository) return { ...NOTHING, otherwise: 'folders' }
  const candidates = (await names(known)).filter(({ word }) => !word.startsWith('-') && !word.includes('::'))
  return { ...NOTHING, candidates, otherwise: isFirst ? 'folders' : 'nothing' }
}

/** Which repository has been named before the word: in front of other arguments, by `-r`, or by the environment. */
function repositoryBefore({ world, asBorg }: CommandContext, { command, options, values }: Place): string | undefined {
  const known = options.get('repo') ?? variable(world.env, 'REPO')
  const [first] = values
  if (first === undefined || !beginsWithSnapshot(command)) return known
  const { repository } = splitLocation(first)
  if (repository !== first) return repository ?? known
  const isRepository = firstKind(command)?.orRepository && (asBorg || known === undefined)
  return isRepository ? first : known
}

/** The first argument of a command is a snapshot, or its repository. */
function beginsWithSnapshot(command: Command): boolean {
  return firstKind(command)?.isSnapshot ?? false
}

function firstKind({ registeredArguments: [argument] }: Command): ValueKind | undefined {
  return argument && kindOfArgument(argument)
}

/** The snapshots of a repository as they can be typed. */
async function snapshotCandidates(
  context: CommandContext,
  command: Command,
  location = context.folders.defaultRepository,
): Promise<Candidate[]> {
  const { world } = context
  const { findSnapshotNames } = await world.operations.snapshotNames()
  const isDeleted = command.name() === 'undelete'
  const snapshots = await findSnapshotNames(
    { ...(await context.access(await context.expand(location))), askPassphrase: givenPassphrase(world.env) },
    { deleted: isDeleted },
  )
  const named = snapshots.map(({ name, startedAt }) => ({ name, description: formatIsoTime(startedAt) }))
  const latest = snapshots.length === 0 || isDeleted ? [] : [{ name: 'latest', description: 'the newest snapshot' }]
  return [...latest, ...named]
    .filter(({ name }) => printable(name) === name && !name.includes('/'))
    .map(({ name, description }) => ({ word: name.replaceAll(/[{}]/g, '$&$&'), description })) // braces are placeholders
}

/** The passphrase that the environment holds. No question is asked, and no program run that may ask one. */
function givenPassphrase(env: Environment): RepositoryAccess['askPassphrase'] {
  return async ({ attempt }) => (attempt === 1 ? (env['CAIRN_PASSPHRASE'] ?? env['BORG_PASSPHRASE']) : undefined)
}
