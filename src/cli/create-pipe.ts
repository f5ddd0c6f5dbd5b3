import { InvalidArgumentError, type Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import type { PipeOptions } from '../operations/create-from-pipe.ts'
import { printable } from './output/text.ts'

/** Options of `create` for what comes out of a pipe, as commander gives them. */
export interface PipeCommandOptions {
  readonly contentFromCommand?: true
  readonly stdinName: string
  readonly stdinUser?: string
  readonly stdinGroup?: string
  readonly stdinMode: number
}

/** Adds the options, in Borg's words. */
export function addPipeOptions(command: Command): void {
  command
    .optionsGroup('What a pipe gives:')
    .option('--content-from-command', 'save what a command prints; PATHS are the command and its arguments')
    .option('--stdin-name <NAME>', 'path of the content in the snapshot', 'stdin')
    .option('--stdin-user <USER>', 'its owner (default: who runs this)')
    .option('--stdin-group <GROUP>', 'its group (default: that of who runs this)')
    .option('--stdin-mode <MODE>', 'its mode, octal (default: 0660)', parseMode, 0o660)
}

/** What is to be saved out of a pipe, when that is what the arguments say. @throws {CairnError} `INVALID_ARGUMENT` */
export function pipeOf(
  words: readonly string[],
  options: PipeCommandOptions,
): Pick<PipeOptions, 'command' | 'file'> | undefined {
  const { contentFromCommand, stdinName: path, stdinUser: user, stdinGroup: group, stdinMode: mode } = options
  const file = { path, user, group, mode }
  if (contentFromCommand) {
    if (words.length > 0) return { command: words, file }
    throw new CairnError(
      'INVALID_ARGUMENT',
      'Cannot save what a command prints: no command was given; write it after --',
    )
  }
  if (!words.includes('-')) return undefined
  if (words.length === 1) return { file }
  throw new CairnError(
    'INVALID_ARGUMENT',
    "Cannot save standard input together with files: '-' must be the only path; a file of that name is './-'",
  )
}

export function describePipe({ command }: Pick<PipeOptions, 'command'>): string {
  return command ? `the output of ${printable(command.join(' '))}` : 'standard input'
}

function parseMode(value: string): number {
  if (!/^[0-7]{1,4}$/.test(value)) throw new InvalidArgumentError('It must be an octal number like 0640.')
  return Number.parseInt(value, 8)
}
