import { CairnError } from '../base/errors.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { parseSize } from './option-values.ts'

interface ServeCommandOptions {
  readonly restrictToPath?: string[]
  readonly restrictToRepository?: string[]
  readonly appendOnly?: true
  readonly storageQuota?: number
}

const HELP = `
Nobody calls this by hand: with a repository at user@host:path or ssh://, SSH starts it on that
host. There it can be limited for each key, by command="…" in ~/.ssh/authorized_keys.

With --append-only, such a client can add snapshots and hide them (delete), which 'cairn undelete'
takes back; it can neither overwrite anything nor free its space. Look at 'cairn list --deleted'
before you run 'cairn compact' there without that limit.

Examples:
  cairn serve --restrict-to-path /srv/backups --storage-quota 500G
  cairn serve --restrict-to-repository /srv/backups/ann --append-only`

export const define: DefineCommand = (command, context) => {
  command
    .usage('[OPTIONS]')
    .option('--restrict-to-path <PATH>', 'open only repositories in or below this folder (repeatable)', collect)
    .option('--restrict-to-repository <PATH>', 'open only this repository (repeatable)', collect)
    .option('--append-only', 'let nothing be deleted or overwritten')
    .option('--storage-quota <SIZE>', 'let a repository become no larger than this', parseSize)
    .addHelpText('after', HELP)
    .action((options: ServeCommandOptions) => run(context, options))
}

function collect(value: string, given: string[] = []): string[] {
  return [...given, value]
}

async function run({ world }: CommandContext, options: ServeCommandOptions): Promise<void> {
  const { restrictToPath, restrictToRepository, appendOnly, storageQuota } = options
  const { input, output } = world.connection()
  if ('isTTY' in input && input.isTTY) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      "Cannot serve a terminal: SSH starts 'cairn serve' for a client; write user@host:path as the repository there",
    )
  }
  const { serveRepositories } = await world.operations.serve()
  await serveRepositories({
    input,
    output,
    restrictToPaths: restrictToPath,
    restrictToRepositories: restrictToRepository,
    appendOnly,
    quotaBytes: storageQuota,
  })
}
