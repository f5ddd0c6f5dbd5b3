import { InvalidArgumentError, Option } from 'commander'
import { CairnError } from '../base/errors.ts'
import { newPassphrase } from '../config/passphrase.ts'
import type { EncryptionMode } from '../operations/init.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { initializedJson, keyAdvice } from './new-repository.ts'
import { parseSize } from './option-values.ts'
import { printable } from './output/text.ts'

interface InitCommandOptions {
  readonly encryption: EncryptionMode
  readonly chunkerParams?: string
  readonly storageQuota?: number
  readonly appendOnly?: true
  readonly makeParentDirs?: true
}

/**
 * Borg's further modes, and what they are here: BLAKE is what chunks are named by in any case, and where Borg would only see to it
 * that nobody changes anything, nobody can read it either.
 */
const BORG_MODES: Readonly<Record<string, EncryptionMode>> = {
  'repokey-blake2': 'repokey',
  'keyfile-blake2': 'keyfile',
  authenticated: 'repokey',
  'authenticated-blake2': 'repokey',
}

const MODES = ['repokey', 'keyfile', 'none'] as const satisfies readonly EncryptionMode[]

const HELP = `
The passphrase comes from CAIRN_NEW_PASSPHRASE, CAIRN_PASSPHRASE, CAIRN_PASSCOMMAND or
CAIRN_PASSPHRASE_FD (or their BORG_ names), else it is asked for twice on the terminal.

Examples:
  cairn init /mnt/disk/backups
  cairn init -r /mnt/disk/backups --encryption keyfile
  cairn init --encryption none /srv/public
  CAIRN_PASSCOMMAND='pass show backups' cairn init /mnt/disk/backups`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'where to make it')
    .usage('[REPO] [OPTIONS]')
    .addOption(
      new Option(
        '-e, --encryption <MODE>',
        'repokey: key in the repository, locked by a passphrase; keyfile: key on this machine',
      )
        .argParser(parseMode)
        .default('repokey'),
    )
    .option('--storage-quota <SIZE>', 'no backup makes it larger than SIZE, like 500G', parseSize)
    .option('--append-only', 'nothing in it is ever deleted, until cairn config append_only 0')
    .option('--make-parent-dirs', 'make the folders above it that are missing, on this machine')
    .option('--chunker-params <PARAMS>', 'how files are cut, like fastcdc,256K,1M,4M', notEmpty)
    .addHelpText('after', HELP)
    .action((repository: string | undefined, options: InitCommandOptions) => run(context, repository, options))
}

async function run(
  context: CommandContext,
  repository: string | undefined,
  options: InitCommandOptions,
): Promise<void> {
  const { output, world } = context
  const { location, isDefault, snapshot } = await context.select(
    repository === undefined ? [] : [repository],
    'location',
  )
  if (isDefault) {
    throw new CairnError('INVALID_ARGUMENT', 'Cannot make a repository: none is named; write cairn init REPO')
  }
  if (snapshot !== undefined) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot make a repository: it is named without '::${snapshot}'; that names a snapshot`,
    )
  }

  const { encryption } = options
  const passphrase =
    encryption === 'none'
      ? undefined
      : await newPassphrase(world.env, location, {
          allowEmpty: encryption === 'keyfile',
          secrets: world.secrets,
          signal: world.signal,
        })
  const { initRepository } = await world.operations.init()
  const result = await initRepository({
    location,
    keyFolder: context.folders.keys,
    knownFolder: context.folders.known,
    encryption,
    passphrase: encryption === 'keyfile' && passphrase === '' ? undefined : passphrase,
    chunkerParams: options.chunkerParams,
    makeParents: options.makeParentDirs,
    settings: { storageQuota: options.storageQuota ?? 0, appendOnly: options.appendOnly ?? false },
    ...context.remote(),
    signal: world.signal,
    clock: world.clock,
  })

  if (output.settings.json) {
    output.json(initializedJson(result))
    return
  }
  const made = `Repository ${printable(result.location)} made (id ${result.repositoryId}, encryption ${encryption}).`
  const advice = keyAdvice(encryption, result.keyFile, passphrase !== '')
  // Borg says this whatever it is told: who misses it may lose everything.
  if (context.asBorg) for (const line of advice) output.log('WARNING', line)
  else if (!output.settings.quiet) for (const line of [made, ...advice]) output.line(line)
}

function parseMode(value: string): EncryptionMode {
  const mode = MODES.find((known) => known === value)
  if (mode) return mode
  if (Object.hasOwn(BORG_MODES, value)) return BORG_MODES[value] as EncryptionMode
  throw new InvalidArgumentError(`Allowed choices are ${MODES.join(', ')}.`)
}

function notEmpty(value: string): string {
  if (value === '') throw new InvalidArgumentError('It is empty.')
  return value
}
