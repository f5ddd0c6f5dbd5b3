import type { DefineCommand } from './context.ts'
import { CairnError } from '../base/errors.ts'
import { addExtractOptions, type ExtractCommandOptions } from './extract-options.ts'
import { runExtract } from './extract-run.ts'

interface RestoreCommandOptions extends ExtractCommandOptions {
  readonly target?: string
}

const HELP = `
SNAPSHOT is 'latest' (also when it is left out), a name, or the beginning of an id. Paths are
rebuilt from the root: /home/ann becomes DIR/home/ann. Files that exist already are left alone
unless --conflict says otherwise: 'keep' does so silently, 'overwrite' replaces what differs,
'if-newer' what is older than in the snapshot, and 'mirror' also removes what the snapshot has not.

Examples:
  cairn restore --target /tmp/restored      latest of the default repository
  cairn restore -r /mnt/disk/backups monday home/ann --target /tmp/restored
  cairn restore /mnt/disk/backups::latest --target /tmp/restored
  cairn restore --target / --conflict mirror --dry-run --list /home/ann`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', "which snapshot; REPO::SNAPSHOT is fine too (default: 'latest')")
    .argument('[PATHS...]', 'only these paths of the snapshot, and what is below them')
    .usage('[SNAPSHOT] [PATH...] --target DIR [OPTIONS]')
    .option('-t, --target <DIR>', 'folder to restore into; made when missing')
    .addHelpText('after', HELP)
    .action(async (first: string | undefined, paths: string[], options: RestoreCommandOptions) => {
      const selection = await context.select(first === undefined ? [] : [first, ...paths], 'snapshot')
      const snapshot = selection.snapshot ?? 'latest'
      const { target } = options
      if (target === undefined && !options.stdout) {
        throw new CairnError('INVALID_ARGUMENT', 'Cannot restore: no folder was named; write --target DIR')
      }
      await runExtract(context, { ...selection, snapshot }, target ?? '.', { ...options, patterns })
    })
  const patterns = addExtractOptions(command)
}
