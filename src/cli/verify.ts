import { CairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import type { VerifyResult } from '../operations/verify.ts'
import { addArchiveOptions, type ArchiveCommandOptions, parseTarFilter } from './archive-options.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { plural } from './output/format.ts'
import { fileStatusFields, Progress } from './output/progress.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'

const HELP = `
FILE is read once, and compared with FILE.meta.json: its size, its SHA-256, and how many files with
how many bytes are in it. Without that file it is only known whether FILE can be read. With
REPO::SNAPSHOT, every entry of the snapshot has to be there.

The checksum protects from accidents: who can replace both files can make them fit.

Exit codes: 0 FILE is what it was; 3 it can be read, and FILE.meta.json is missing; 1 FILE is
missing; 66 it has another size, 67 another checksum, 68 other files in it; 65 one is damaged.

Examples:
  cairn verify monday.tar.zst
  cairn verify monday.tar.zst /mnt/disk/backups::monday`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[FILE]', 'the archive to verify')
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT that all is to be there of')
    .usage('FILE [REPO::SNAPSHOT] [OPTIONS]')
  addArchiveOptions(command, 'its content')
  command
    .addHelpText('after', HELP)
    .action((file: string | undefined, snapshot: string | undefined, options: ArchiveCommandOptions) =>
      run(context, file, snapshot, options),
    )
}

async function run(
  context: CommandContext,
  file: string | undefined,
  wanted: string | undefined,
  options: ArchiveCommandOptions,
): Promise<void> {
  const { output, world } = context
  if (file === undefined || file === '-')
    throw new CairnError('INVALID_ARGUMENT', 'Cannot verify: no archive file was named')
  const selection = wanted === undefined ? undefined : await context.select([wanted], 'snapshot')
  const snapshot = selection?.snapshot
  if (selection && snapshot === undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot verify: no snapshot was named; write FILE REPO::SNAPSHOT')
  const { verifyArchive } = await world.operations.verify()
  const progress = new Progress(output, fileStatusFields)
  let result: VerifyResult
  try {
    result = await verifyArchive({
      file,
      format: options.format,
      filter: parseTarFilter(options.tarFilter),
      against:
        selection && snapshot !== undefined
          ? { access: await context.access(selection.location), snapshot }
          : undefined,
      clock: world.clock,
      signal: world.signal,
      onEvent: (event) => progress.update(event),
    })
  } finally {
    progress.end()
  }
  report(context, file, result)
}

function report(context: CommandContext, file: string, result: VerifyResult): void {
  const { output } = context
  const isVerified = result.createdAt !== undefined
  if (output.settings.json) output.json(summaryJson(file, result))
  else if (!output.settings.quiet) {
    const verdict = isVerified ? `is what it was when it was made (${result.createdAt})` : 'can be read'
    output.line(
      `${printable(file)} ${verdict}: ${plural(result.fileCount, 'file')}, ${formatBytes(result.totalSize)} in them, SHA-256 ${result.checksum}`,
    )
  }
  if (isVerified) return
  if (!output.settings.json)
    output.warning(
      `${printable(file)} is unverified: without ${printable(file)}.meta.json nothing says what it should be`,
    )
  context.exitCode = EXIT_WARNINGS
}

function summaryJson(file: string, result: VerifyResult): object {
  return {
    message_type: 'summary',
    ...rawField('file', file),
    verified: result.createdAt !== undefined,
    ...(result.createdAt === undefined ? {} : { created_at: result.createdAt }),
    checksum: result.checksum,
    file_count: result.fileCount,
    total_size: result.totalSize,
    archive_size: result.archiveSize,
  }
}
