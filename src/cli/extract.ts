import { CairnError } from '../base/errors.ts'
import type { DefineCommand } from './context.ts'
import { runExtract, type ExtractCommandOptions } from './extract-run.ts'
import { parseCount } from './option-values.ts'

const HELP = `
Paths are rebuilt from the root: /home/ann becomes ./home/ann. Files that exist already are
never overwritten. SNAPSHOT is a name, the beginning of an id, or 'latest'.

Examples:
  cairn extract /mnt/disk/backups::monday
  cairn extract /mnt/disk/backups::monday home/ann/documents
  cairn extract -r /mnt/disk/backups latest --list`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .argument('[PATHS...]', 'only these paths of the snapshot, and what is below them')
    .usage('REPO::SNAPSHOT [PATH...] [OPTIONS]')
    .option('--list', 'print every path that is written')
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
    .addHelpText('after', HELP)
    .action(async (first: string | undefined, paths: string[], options: ExtractCommandOptions) => {
      const selection = await context.select(first === undefined ? [] : [first, ...paths], 'snapshot')
      if (selection.snapshot === undefined) {
        throw new CairnError('INVALID_ARGUMENT', 'Cannot extract: no snapshot was named; write REPO::SNAPSHOT')
      }
      await runExtract(context, { ...selection, snapshot: selection.snapshot }, '.', options)
    })
}
