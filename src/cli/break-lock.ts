import type { DefineCommand } from './context.ts'
import { printable } from './output/text.ts'

const HELP = `
Borg needs this after a crash. Nothing here is ever locked, so there is nothing to break: the
command does nothing and succeeds. What a killed run leaves behind, later ones use or clean up.

Examples:
  cairn break-lock /mnt/disk/backups
  cairn break-lock -r /mnt/disk/backups`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'the repository, unless -r or CAIRN_REPO names it')
    .usage('[REPO] [OPTIONS]')
    .addHelpText('after', HELP)
    .action(async (repository: string | undefined) => {
      const { location } = await context.select(repository === undefined ? [] : [repository], 'location')
      const { requireRepository } = await context.world.operations.locks()
      await requireRepository({ location, signal: context.world.signal, ...context.remote() })
      context.output.note(`cairn: there are no locks on ${printable(location)}, so there is none to break`)
    })
}
