import type { DefineCommand } from './context.ts'
import { runExtract, type ExtractCommandOptions } from './extract-run.ts'
import { parseCount } from './option-values.ts'

interface RestoreCommandOptions extends ExtractCommandOptions {
  readonly target: string
}

const HELP = `
SNAPSHOT is 'latest' (also when it is left out), a name, or the beginning of an id. Paths are
rebuilt from the root: /home/ann becomes DIR/home/ann. Files that exist already are never
overwritten.

Examples:
  cairn restore --target /tmp/restored             latest snapshot of the default repository
  cairn restore /home/ann/documents --target /tmp/restored
  cairn restore -r /mnt/disk/backups monday home/ann/documents --target /tmp/restored
  cairn restore /mnt/disk/backups::latest --target /tmp/restored`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', "which snapshot; REPO::SNAPSHOT is fine too (default: 'latest')")
    .argument('[PATHS...]', 'only these paths of the snapshot, and what is below them')
    .usage('[SNAPSHOT] [PATH...] --target DIR [OPTIONS]')
    .requiredOption('-t, --target <DIR>', 'folder to restore into; made when missing')
    .option('--list', 'print every path that is written')
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
    .addHelpText('after', HELP)
    .action(async (first: string | undefined, paths: string[], options: RestoreCommandOptions) => {
      const selection = await context.select(first === undefined ? [] : [first, ...paths], 'snapshot')
      const snapshot = selection.snapshot ?? 'latest'
      await runExtract(context, { ...selection, snapshot }, options.target, options)
    })
}
