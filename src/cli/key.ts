import type { Command } from 'commander'
import { newPassphrase } from '../config/passphrase.ts'
import type { KeyInfo } from '../operations/key.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { defineExport, defineImport } from './key-export.ts'
import { optionsOf, selectKeys, usage, wordsOf } from './key-arguments.ts'
import { formatIsoTime } from './output/format.ts'
import { rawField } from './output/raw-json.ts'
import { padText, printable } from './output/text.ts'

const HELP = `
A key opens the repository with a passphrase of its own. Each command asks for the passphrase
of a key that is there; a new one is asked for twice, or comes from CAIRN_NEW_PASSPHRASE.

Examples:
  cairn key add --label ann /mnt/disk/backups
  cairn key remove /mnt/disk/backups 3f09c2
  cairn key export --paper /mnt/disk/backups        print it and lock it away
  cairn key rotate /mnt/disk/backups                after a passphrase leaked`

const ADD_HELP = `
With --recovery nothing is chosen: a random key is printed, to be written down. It is typed wherever a
passphrase is asked for; case, spaces and dashes do not matter, and most typing errors are told.
With --encryption keyfile the new key is a further file in the key folder.`

const ROTATE_HELP = `
Everything that is stored from now on is sealed under a new master key; what was stored before
stays as it is and can be read as ever. Who has the old master key, or an old key with its
passphrase, cannot read what comes. Who knows the passphrase of the key that is used here could: if
that may be so, change it first, with cairn key change-passphrase.
All other keys, exported ones too, are from before the rotation and do not open it afterwards.
Runs that are open meanwhile end under the old master key.`

interface AddOptions {
  readonly label?: string
  readonly recovery?: true
}

interface RotateOptions {
  readonly removeOtherKeys?: true
}

export const define: DefineCommand = (command, context) => {
  command.usage('COMMAND [REPO] [OPTIONS]').helpCommand(false).addHelpText('after', HELP)

  subcommand(command, 'list', 'list the keys; * is the one that opened').action((...args: unknown[]) =>
    list(context, wordsOf(args)),
  )
  subcommand(command, 'add', 'add a key with a passphrase of its own')
    .option('--label <TEXT>', 'what to call it in lists, such as whose it is')
    .option('--recovery', 'make a random recovery key and print it')
    .addHelpText('after', ADD_HELP)
    .action((...args: unknown[]) => add(context, wordsOf(args), optionsOf(args) as AddOptions))
  subcommand(command, 'remove', 'remove a key', 'ID', 'the beginning of its id in the list').action(
    (...args: unknown[]) => remove(context, wordsOf(args)),
  )
  subcommand(command, 'change-passphrase', 'give the key that opens another passphrase').action((...args: unknown[]) =>
    change(context, wordsOf(args)),
  )
  defineExport(
    subcommand(command, 'export', 'write a copy of the key', '[PATH]', "a new file; '-' or none prints it"),
    context,
  )
  defineImport(
    subcommand(command, 'import', 'put back an exported key', '[PATH]', "the file; '-' reads standard input"),
    context,
  )
  subcommand(command, 'rotate', 'seal everything from now on under a new master key')
    .option('--remove-other-keys', 'remove all other keys, which do not open the repository afterwards')
    .addHelpText('after', ROTATE_HELP)
    .action((...args: unknown[]) => rotate(context, wordsOf(args), optionsOf(args) as RotateOptions))
}

function subcommand(command: Command, name: string, summary: string, own = '', about = ''): Command {
  const added = command
    .command(name)
    .summary(summary)
    .description(`${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`)
    .usage(`[REPO] ${own === '' ? '' : `${own} `}[OPTIONS]`)
    .argument('[REPO]', 'the repository, unless -r or CAIRN_REPO names it')
  return own === '' ? added : added.argument(`[${own.replaceAll(/[[\]]/g, '')}]`, about)
}

async function list(context: CommandContext, values: readonly string[]): Promise<void> {
  const { output, world } = context
  const { access } = await selectKeys(context, values, 'nothing')
  const keys = await (await world.operations.key()).listKeys(access)
  if (output.settings.json) {
    output.json(keys.map(keyJson))
    return
  }
  for (const key of keys) output.line(keyLine(key))
}

async function add(context: CommandContext, values: readonly string[], options: AddOptions): Promise<void> {
  const { output, world } = context
  const { access, location } = await selectKeys(context, values, 'nothing')
  const operations = await world.operations.key()
  const { json, quiet } = output.settings
  if (options.recovery) {
    const { key, recoveryKey } = await operations.addRecoveryKey(access, options.label ?? '')
    if (json) output.json({ ...keyJson(key), recovery_key: recoveryKey })
    else {
      output.line(recoveryKey)
      output.note('Write it down and keep it safe: it is not shown again, and opens the repository like a passphrase.')
    }
    return
  }
  const key = await operations.addKey(access, options.label ?? '', choose(context, location))
  if (json) output.json(keyJson(key))
  else if (!quiet) output.line(`Key ${shortName(key)} added.`)
}

async function change(context: CommandContext, values: readonly string[]): Promise<void> {
  const { output, world } = context
  const { access, location } = await selectKeys(context, values, 'nothing')
  const key = await (await world.operations.key()).changePassphrase(access, choose(context, location))
  if (output.settings.json) output.json(keyJson(key))
  else if (!output.settings.quiet) {
    output.line(`Passphrase changed; the key is ${shortName(key)} now.`)
    output.note(
      'Copies of the old key still open with the old passphrase what they could open: see cairn key rotate --help',
    )
  }
}

async function remove(context: CommandContext, values: readonly string[]): Promise<void> {
  const { output, world } = context
  const { access, own } = await selectKeys(context, values, 'required')
  if (own === undefined) throw usage('no key is named')
  const key = await (await world.operations.key()).removeKey(access, own)
  if (output.settings.json) output.json(keyJson(key))
  else if (!output.settings.quiet) output.line(`Key ${shortName(key)} removed.`)
}

async function rotate(context: CommandContext, values: readonly string[], options: RotateOptions): Promise<void> {
  const { output, world } = context
  const { access } = await selectKeys(context, values, 'nothing')
  const { rotateKey } = await world.operations.key()
  const { key, generation, removed } = await rotateKey(access, { removeOthers: options.removeOtherKeys ?? false })
  if (output.settings.json) {
    output.json({ generation, key: keyJson(key), removed: removed.map(keyJson) })
    return
  }
  if (output.settings.quiet) return
  output.line(`Master key rotated (generation ${generation}); the key is ${shortName(key)} now.`)
  for (const other of removed) output.line(`Key ${shortName(other)} removed.`)
  output.note('Exported copies and recovery keys of before open nothing any more: export the key again.')
}

/** Asks for a new passphrase for a repository that exists. */
function choose(context: CommandContext, location: string): (wanted: { allowEmpty: boolean }) => Promise<string> {
  const { env, secrets, signal } = context.world
  return (wanted) => newPassphrase(env, location, { ...wanted, isExisting: true, secrets, signal })
}

function shortName({ id, label }: KeyInfo): string {
  return label === '' ? id.slice(0, 8) : `${id.slice(0, 8)} (${printable(label)})`
}

/** `*3f09c2d1  passphrase  2026-11-21 12:44:05  ann`. */
function keyLine({ id, kind, createdAt, label, isOpened, state }: KeyInfo): string {
  const created = createdAt === undefined ? '-' : formatIsoTime(createdAt)
  const what = state === 'usable' ? kind : state
  const line = `${isOpened ? '*' : ' '}${id.slice(0, 8)}  ${what.padEnd(10)}  ${padText(created, 25)} ${printable(label)}`
  return line.trimEnd()
}

/** restic's fields `current`, `id` and `created`, and ours. */
function keyJson({ id, where, kind, createdAt, label, isOpened, state }: KeyInfo): object {
  return { current: isOpened, id, label, created: createdAt ?? null, kind, state, ...rawField('location', where) }
}
