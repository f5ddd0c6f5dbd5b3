import type { Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import { folders, variable, type Folders } from '../config/environment.ts'
import { splitCommand } from '../config/split-command.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { Output } from './output/output.ts'
import { interpretPositionals, splitLocation, type PositionalOptions } from './positionals.ts'
import type { World } from './world.ts'

/** Options that every command has, as commander gives them. */
export interface CommonOptions {
  readonly repo?: string
  readonly json?: true
  readonly quiet?: true
  readonly verbose?: true
  readonly progress?: boolean
  readonly showRc?: true
  readonly showVersion?: true
  readonly exitCodes?: 'cairn' | 'borg'
  readonly logJson?: true
  /** Of Borg's `--error`. */
  readonly silent?: true
  /** Borg's: sizes in binary units, which they are here without it. */
  readonly iec?: true
  readonly rsh?: string
  readonly remotePath?: string
}

/** All commands, for those that are about commands. */
export interface Definitions {
  readonly program: Command
  /** Gives a command of the program its arguments, options and help, unless it has them. */
  readonly load: (command: Command) => Promise<void>
}

/** What a command works on, after its arguments, `-r` and the environment have been read. */
export interface Selection {
  readonly location: string
  /** No repository was named anywhere, so it is the local default one. */
  readonly isDefault: boolean
  readonly snapshot: string | undefined
  readonly rest: readonly string[]
}

/** What a command gets to do its work: the world, the output, and the options that all commands share. */
export class CommandContext {
  readonly world: World
  readonly output: Output
  readonly argv: readonly string[]
  readonly folders: Folders
  /** A script for Borg is run: the program was called by that name. */
  readonly asBorg: boolean
  common: CommonOptions = {}
  /** Of all commands; there when one of them runs. */
  definitions!: Definitions
  /** What the process exits with when the command ends without an error. */
  exitCode = 0
  /** Of a program that was run; passed on as it is. */
  foreignExitCode: number | undefined
  /** The command works on the default repository, because none was named. */
  usesDefault = false
  readonly #literals: number

  constructor(world: World, output: Output, argv: readonly string[]) {
    this.world = world
    this.output = output
    this.argv = argv
    this.folders = folders(world.env)
    this.asBorg = world.calledAs === 'borg'
    const end = argv.indexOf('--')
    this.#literals = end < 0 ? 0 : argv.length - end - 1
  }

  /** What is done is told in Borg's words: for scripts made for it, and for programs that read `--log-json`. */
  get speaksBorg(): boolean {
    return this.asBorg || this.common.logJson === true
  }

  /** `--json` means Borg's document. */
  get borgJson(): boolean {
    return this.asBorg && this.common.json === true
  }

  /** Sorts out the arguments of a command; see `interpretPositionals`. */
  async select(values: readonly string[], wants: PositionalOptions['wants']): Promise<Selection> {
    const option = this.common.repo
    const environment = variable(this.world.env, 'REPO')
    const { repository, snapshot, rest } = interpretPositionals(values, {
      wants,
      literals: this.#literals,
      // Borg's first argument never is a snapshot without '::'.
      repositoryKnown: !this.asBorg && (option !== undefined || environment !== undefined),
    })
    if (option !== undefined && repository !== undefined && repository !== option) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot use two repositories: -r names ${option}, and ${repository} came first`,
      )
    }
    if (snapshot?.includes('/')) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot use '${snapshot}' as a snapshot: names of snapshots have no '/'; write REPO::SNAPSHOT, and paths after it`,
      )
    }
    const named = repository ?? option ?? environment
    if (this.asBorg) requireBorgArguments(values, wants, named)
    this.usesDefault = named === undefined
    if (named === '' || (named !== undefined && splitLocation(named).repository !== named)) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot use '${named}' as a repository: -r and CAIRN_REPO take a location without ::NAME`,
      )
    }
    return {
      location: named === undefined ? this.folders.defaultRepository : await this.expand(named),
      isDefault: this.usesDefault,
      snapshot: snapshot === undefined ? undefined : await this.expand(snapshot),
      rest,
    }
  }

  /** How to open a repository; asks for its passphrase when it needs one. */
  async access(location: string): Promise<RepositoryAccess> {
    const { passphraseAsker } = await import('../config/passphrase.ts')
    const { env, secrets, signal, clock } = this.world
    return {
      location,
      keyFolder: this.folders.keys,
      knownFolder: this.folders.known,
      cacheFolder: this.folders.cache,
      askPassphrase: passphraseAsker(env, { secrets, signal }),
      signal,
      clock,
      ...this.remote(),
    }
  }

  /** How repositories on other machines are reached. */
  remote(): Pick<RepositoryAccess, 'rsh' | 'remotePath'> {
    const { env } = this.world
    const rsh = this.common.rsh ?? variable(env, 'RSH')
    return {
      rsh: rsh === undefined ? undefined : splitCommand(rsh),
      remotePath: this.common.remotePath ?? variable(env, 'REMOTE_PATH'),
    }
  }

  /** Replaces placeholders like `{hostname}` in a name, comment or location. */
  async expand(text: string): Promise<string> {
    if (!/[{}]/.test(text)) return text
    const [{ expandPlaceholders }, { hostFacts }] = await Promise.all([
      import('../config/placeholders.ts'),
      import('../config/host-facts.ts'),
    ])
    return expandPlaceholders(text, this.world.placeholders ?? hostFacts(this.world.clock))
  }
}

/**
 * Borg has no default repository, and would not take a path for one: a script whose variables are empty must not do something
 * else than it says.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
function requireBorgArguments(
  [first]: readonly string[],
  wants: PositionalOptions['wants'],
  repository: string | undefined,
): void {
  if (repository === undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot find the repository: none is named; write REPO or set BORG_REPO')
  if (wants === 'paths' && first !== undefined && splitLocation(first).snapshot === undefined)
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot use '${first}' as an archive: want REPO::NAME, or ::NAME with BORG_REPO; paths come after it`,
    )
}

/** One file per verb exports this: it adds arguments, options, help and the action to a command that has its name already. */
export type DefineCommand = (command: Command, context: CommandContext) => void
