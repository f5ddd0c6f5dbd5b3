import { CairnError } from '../base/errors.ts'
import type { DefineCommand } from './context.ts'
import { addExtractOptions, type ExtractCommandOptions } from './extract-options.ts'
import { runExtract } from './extract-run.ts'

const HELP = `
Paths are rebuilt from the root: /home/ann becomes ./home/ann. Files that exist already are left
alone unless --conflict says otherwise. SNAPSHOT is a name, the beginning of an id, or 'latest'.
A path may be a pattern with its style in front, as in Borg: sh:**/*.txt.

Examples:
  cairn extract /mnt/disk/backups::monday
  cairn extract /mnt/disk/backups::monday home/ann/documents
  cairn extract /mnt/disk/backups::monday --stdout home/ann/notes.txt | less
  cairn extract /mnt/disk/backups::monday --strip-components 2 -e '*.o' home/ann`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .argument('[PATHS...]', 'only these paths of the snapshot, and what is below them')
    .usage('REPO::SNAPSHOT [PATH...] [OPTIONS]')
    .addHelpText('after', HELP)
    .action(async (first: string | undefined, paths: string[], options: ExtractCommandOptions) => {
      const selection = await context.select(first === undefined ? [] : [first, ...paths], 'snapshot')
      if (selection.snapshot === undefined) {
        throw new CairnError('INVALID_ARGUMENT', 'Cannot extract: no snapshot was named; write REPO::SNAPSHOT')
      }
      await runExtract(context, { ...selection, snapshot: selection.snapshot }, '.', { ...options, patterns })
    })
  const patterns = addExtractOptions(command, context.asBorg ? 'overwrite' : 'fail') // Borg overwrites
}
