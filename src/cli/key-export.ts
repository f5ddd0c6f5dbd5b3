import type { Command } from 'commander'
import { CairnError, isCairnError } from '../base/errors.ts'
import { systemSecretInput } from '../platform/secret-input.ts'
import type { ExportedKey } from '../operations/key.ts'
import type { CommandContext } from './context.ts'
import { optionsOf, selectKeys, usage, wordsOf } from './key-arguments.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'

interface ExportOptions {
  readonly paper?: true
  readonly qrHtml?: true
}

const EXPORT_HELP = `
What is written is the key that opens, with its passphrase; when the keys in the repository are
lost, 'cairn key import' puts it back. --paper prints lines that people can type.`

const IMPORT_HELP = `
The passphrase is that of the exported key, which must open the repository. Without PATH, --paper asks for one
line after the other and tells at once which is mistyped.`

/** `key export`. */
export function defineExport(command: Command, context: CommandContext): void {
  command
    .option('--paper', 'in lines to be printed and typed, each with a check')
    .option('--qr-html', 'not made here; --paper is for printing')
    .addHelpText('after', EXPORT_HELP)
    .action((...args: unknown[]) => run(context, wordsOf(args), optionsOf(args) as ExportOptions))
}

/** `key import`. */
export function defineImport(command: Command, context: CommandContext): void {
  command
    .option('--paper', 'from lines that were printed by key export --paper')
    .addHelpText('after', IMPORT_HELP)
    .action((...args: unknown[]) => runImport(context, wordsOf(args), optionsOf(args) as ExportOptions))
}

async function run(context: CommandContext, values: readonly string[], options: ExportOptions): Promise<void> {
  const { output, world } = context
  if (options.qrHtml) {
    throw new CairnError('INVALID_ARGUMENT', 'Cannot export the key: pages with QR codes are not made; use --paper')
  }
  const { access, own: file, location } = await selectKeys(context, values, 'optional')
  const operations = await world.operations.key()
  const exported = await operations.exportKey(access, options.paper ? 'paper' : 'file')
  const text = (options.paper ? paper(exported, location) : exported.lines).map((line) => `${line}\n`).join('')
  if (file === undefined || file === '-') {
    output.text(text)
  } else {
    operations.writeKeyFile(file, text)
    if (output.settings.json) output.json({ repository: exported.repositoryId, ...rawField('file', file) })
    else if (!output.settings.quiet) output.line(`Key ${exported.key.id.slice(0, 8)} exported to ${printable(file)}.`)
  }
  if (!exported.needsPassphrase)
    output.note('This key opens the repository without a passphrase: whoever gets it can read everything in it.')
}

function paper({ repositoryId, lines, key, needsPassphrase }: ExportedKey, location: string): string[] {
  const width = String(lines.length).length
  return [
    'CAIRN KEY',
    `Repository:  ${printable(location)}`,
    `Id:          ${repositoryId}`,
    `Key:         ${key.id}${key.label === '' ? '' : ` (${printable(key.label)})`}`,
    needsPassphrase ? 'It opens with its passphrase:' : 'It opens WITHOUT A PASSPHRASE; keep it locked away:',
    'To use it: cairn key import --paper REPOSITORY',
    '',
    ...lines.map((line, i) => `${String(i + 1).padStart(width)}: ${line}`),
    '',
    'There is no I, L, O and U. Spaces and case do not matter; the end of each line checks it.',
  ]
}

async function runImport(context: CommandContext, values: readonly string[], options: ExportOptions): Promise<void> {
  const { output, world } = context
  const { access, own: file } = await selectKeys(context, values, 'optional')
  const operations = await world.operations.key()
  const secrets = world.secrets ?? systemSecretInput
  let text: string
  if (options.paper && file === undefined && secrets.hasTerminal()) text = await typePaperKey(context)
  else {
    const input = await operations.readKeyFile(file ?? '-')
    text = options.paper ? operations.readPaperKey(input) : input
  }
  const { where, wasThere } = await operations.importKey(access, text)
  if (output.settings.json) output.json({ ...rawField('location', where), imported: !wasThere })
  else if (!output.settings.quiet) {
    const shown = printable(where)
    output.line(wasThere ? `The key is there already: ${shown}.` : `Key imported: ${shown}. It opens the repository.`)
  }
}

/** Asks for one line after the other, again for those that are mistyped; returns the text of the key. */
async function typePaperKey({ world, output }: CommandContext): Promise<string> {
  const { PaperKeyReader } = await world.operations.key()
  const secrets = world.secrets ?? systemSecretInput
  const reader = new PaperKeyReader()
  for (let number = reader.next; number !== undefined; number = reader.next) {
    const all = reader.lineCount === undefined ? '' : ` of ${reader.lineCount}`
    const typed = await secrets.prompt(`Line ${number}${all}: `, { echo: true, signal: world.signal })
    if (typed === undefined) throw usage('the input ended before the last line of the key')
    try {
      reader.add(typed)
    } catch (error) {
      if (!isCairnError(error, 'INVALID_ARGUMENT')) throw error
      output.errorLine(error.message)
    }
  }
  return reader.slot()
}
