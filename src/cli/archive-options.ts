import { Option, type Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import { splitCommand } from '../config/split-command.ts'
import type { TarFilter } from '../operations/archive-format.ts'

/** Options of commands for archives, as commander gives them. */
export interface ArchiveCommandOptions {
  readonly format?: 'tar' | 'zip'
  readonly tarFilter?: string
}

export function addArchiveOptions(command: Command, auto: string): void {
  command
    .addOption(new Option('--format <FORMAT>', `tar or zip (default: as ${auto} says)`).choices(['tar', 'zip']))
    .option('--tar-filter <FILTER>', `none, gzip, zstd, or a command to pipe a tar through (default: as ${auto} says)`)
}

/**
 * How a tar is compressed, in the words of an option; `'auto'` when that is to be found out.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
export function parseTarFilter(text: string | undefined): TarFilter | 'none' | 'auto' {
  if (text === undefined || text === 'auto') return 'auto'
  if (text === 'none' || text === 'gzip' || text === 'zstd') return text
  const words = splitCommand(text)
  if (words.length === 0) throw new CairnError('INVALID_ARGUMENT', 'Cannot use --tar-filter: the command is empty')
  return { compress: words, decompress: words }
}
