import type { Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import { OTHER_NAMES } from './commands.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { printable } from './output/text.ts'
import { commandsWithPages, manualPage, pageNames } from './man/page.ts'

interface ManCommandOptions {
  readonly output?: string
}

const HELP = `
On a terminal the page is shown by 'man'; elsewhere it is printed in the language of roff. What it says is what --help says, with
exit codes and variables.

Examples:
  cairn man create
  cairn man --output /usr/local/share/man/man1
  cairn man prune | mandoc -T html > prune.html`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[COMMAND]', "whose page; without it, the program's own")
    .usage('[COMMAND] [OPTIONS]\n--output DIR [OPTIONS]')
    .option('--output <DIR>', 'write all pages into this folder')
    .addHelpText('after', HELP)
    .action((name: string | undefined, { output }: ManCommandOptions) => {
      if (output === undefined) return show(context, name)
      if (name === undefined) return writeAll(context, output)
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot write the page of '${name}' alone: --output writes all; leave one out`,
      )
    })
}

async function show(context: CommandContext, name: string | undefined): Promise<void> {
  const { program, load } = context.definitions
  const wanted = name === undefined ? program : findCommand(context, name)
  await load(wanted)
  const page = manualPage(wanted, dateOf(context))
  if (!context.world.stdout.isTTY) return context.output.text(page)
  const { showManual } = await import('../platform/manual.ts')
  await showManual(page)
}

async function writeAll(context: CommandContext, folder: string): Promise<void> {
  const { program, load } = context.definitions
  const pages = new Map<string, string>()
  for (const command of [program, ...commandsWithPages(program)]) {
    await load(command)
    const page = manualPage(command, dateOf(context))
    for (const name of pageNames(command)) pages.set(`${name}.1`, page)
  }
  const { writeTextFiles } = await import('../platform/text-files.ts')
  writeTextFiles(folder, pages)
  context.output.note(`cairn: wrote ${pages.size} pages to ${printable(folder)}`)
}

function findCommand(context: CommandContext, name: string): Command {
  const { program } = context.definitions
  const known = Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : name
  const found = commandsWithPages(program).find((one) => one.name() === known || one.aliases().includes(name))
  if (found) return found
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot show the manual of '${name}': there is no such command; see 'cairn --help'`,
  )
}

/** Of today; a build that is to give the same bytes again sets another day: reproducible-builds.org, "SOURCE_DATE_EPOCH". */
function dateOf({ world }: CommandContext): string {
  const seconds = Number(world.env['SOURCE_DATE_EPOCH'] || world.clock.now() / 1000)
  const date = new Date(seconds * 1000)
  if (!Number.isNaN(date.getTime())) return date.toISOString().slice(0, 10)
  throw new CairnError(
    'INVALID_ARGUMENT',
    'Cannot date the manual: SOURCE_DATE_EPOCH must be a number of seconds since 1970',
  )
}
