/** man: the manual, made of the definitions that `--help` is made of. Pages are written for the macros of man(7). */
import type { Command, Help, Option } from 'commander'
import { type Folders, folders } from '../../config/environment.ts'
import { VARIABLES } from '../../config/variables.ts'
import { VERSION } from '../../operations/version.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { commandGroups, optionGroups, textAfterHelp } from '../help.ts'
import { type HelpBlock, splitHelpText } from '../help-text.ts'
import { bold, escapeRoff, italic, prose, synopsis } from './roff.ts'

/** The names of the page of a command: `cairn-create`, and `cairn-backup` for the command's other name. */
export function pageNames(command: Command): [string, ...string[]] {
  const { parent } = command
  if (!parent) return [command.name()]
  return [`${parent.name()}-${command.name()}`, ...command.aliases().map((alias) => `${parent.name()}-${alias}`)]
}

/** The page of the program, or of one of its commands with all that is below it. `date` is like 2026-11-21. */
export function manualPage(command: Command, date: string): string {
  const help = command.createHelp()
  const names = pageNames(command)
  const { notes, examples } = splitHelpText(textAfterHelp(command))
  const isProgram = command.parent === null
  const summary = isProgram ? 'deduplicated, encrypted, verified backups' : command.summary()
  const lines = [
    `.TH ${escapeRoff(names[0].toUpperCase())} 1 ${date} "cairn ${escapeRoff(VERSION)}" "Cairn Manual"`,
    '.nh', // options are not to be torn apart
    '.ad l',
    '.SH NAME',
    escapeRoff(`${names.join(', ')} - ${summary}`),
    '.SH SYNOPSIS',
    ...usage(command),
    '.SH DESCRIPTION',
    prose(command.description()),
    ...notes.flatMap(block),
    ...section('ARGUMENTS', argumentItems(command, help)),
    ...section('COMMANDS', isProgram ? programCommands(command, help) : command.commands.flatMap(subcommand)),
    ...section('OPTIONS', options(command, help)),
    ...section('EXAMPLES', literal(examples)),
    '.SH ENVIRONMENT',
    ...(isProgram
      ? VARIABLES.flatMap((variable) => item(variableTerm(variable), variable.meaning))
      : [`The variables that commands look at are in ${bold('cairn')}(1).`]),
    '.SH EXIT STATUS',
    ...EXIT_CODES.flatMap(({ codes, meaning }) => item(bold(codes), meaning)),
    ...section('FILES', isProgram ? fileItems(folders({ HOME: '~' })) : []),
    '.SH SEE ALSO',
    seeAlso(command, help),
  ]
  return `${lines.join('\n')}\n`
}

/** The commands that have a page. */
export function commandsWithPages(program: Command): Command[] {
  return program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.parent === program)
}

function section(heading: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`.SH ${heading}`, ...lines]
}

function item(term: string, text: string): string[] {
  return ['.TP', term, prose(text)]
}

function block(part: HelpBlock): string[] {
  return part.kind === 'paragraph' ? ['.PP', prose(part.text)] : ['.PP', ...literal(part.lines)]
}

/** Lines that stay as they are, but for the blanks in front of all. */
function literal(lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  return ['.EX', ...lines.map((line) => escapeRoff(line.replace(/^ {2}/, ''))), '.EE']
}

function usage(command: Command): string[] {
  const ways = command.usage().split('\n')
  return ways.flatMap((way, index) => [...(index > 0 ? ['.br'] : []), `${bold(fullName(command))} ${synopsis(way)}`])
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name()
}

function argumentItems(command: Command, help: Help): string[] {
  return help.visibleArguments(command).flatMap((argument) => item(italic(argument.name()), argument.description))
}

function options(command: Command, help: Help): string[] {
  return [...optionGroups(command, help)].flatMap(([heading, group]) => [
    ...(heading === 'Options:' ? [] : [`.SS ${escapeRoff(heading.replace(/:$/, ''))}`]),
    ...group.flatMap((option) => item(optionTerm(option), help.optionDescription(option))),
  ])
}

function optionTerm({ short, long, flags }: Option): string {
  const names = [short, long].filter((flag) => flag !== undefined).map(bold)
  const [value] = /[<[].+$/.exec(flags) ?? []
  return names.join(', ') + (value === undefined ? '' : ` ${valueTerm(value)}`)
}

function valueTerm(value: string): string {
  const name = italic(value.slice(1, -1))
  return value.startsWith('<') ? name : `[${name}]`
}

function programCommands(program: Command, help: Help): string[] {
  return [...commandGroups(program, help)].flatMap(([heading, group]) => [
    `.SS ${escapeRoff(heading.replace(/:$/, ''))}`,
    ...group.flatMap((command) => {
      const names = [command.name(), ...command.aliases()].map(bold).join(', ')
      return item(names, command.summary())
    }),
  ])
}

/** A command below one that has a page. */
function subcommand(command: Command): string[] {
  const help = command.createHelp()
  const { notes, examples } = splitHelpText(textAfterHelp(command))
  const own = [...optionGroups(command, help)].filter(([heading]) => heading !== 'Common options:')
  return [
    `.SS ${escapeRoff(fullName(command))}`,
    ...usage(command),
    '.PP',
    prose(command.description()),
    ...notes.flatMap(block),
    ...argumentItems(command, help),
    ...own.flatMap(([, group]) => group).flatMap((option) => item(optionTerm(option), help.optionDescription(option))),
    ...(examples.length > 0 ? ['.PP', ...literal(examples)] : []),
  ]
}

function variableTerm({ name, borg }: (typeof VARIABLES)[number]): string {
  return [name, ...(borg === undefined ? [] : [borg])].map(bold).join(', ')
}

function fileItems({ defaultRepository, keys, cache }: Folders): string[] {
  return [
    ...item(italic(defaultRepository), 'the repository, where none is named'),
    ...item(italic(keys), 'key files: keep a copy elsewhere, as nobody can restore anything without them'),
    ...item(italic(cache), 'what was read of repositories on other machines; it can be removed at any time'),
  ]
}

function seeAlso(command: Command, help: Help): string {
  const others = command.parent
    ? [command.parent]
    : help.visibleCommands(command).filter(({ parent }) => parent === command)
  return others.map((other) => `${bold(pageNames(other)[0])}(1)`).join(', ')
}
