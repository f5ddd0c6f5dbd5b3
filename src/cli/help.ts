import type { EventEmitter } from 'node:events'
import type { Command, Help, Option } from 'commander'
import { EXAMPLES_HEADING, fillParagraphs } from './help-text.ts'
import type { Output } from './output/output.ts'

/** Where help does not go to a terminal; examples and tables in it are made for this width too. */
export const HELP_WIDTH = 80

/** Longer lines are tiring to read. */
const MAX_HELP_WIDTH = 100

/** How wide help may be on a stream. */
export function helpWidth(output: Output, stream: 'out' | 'err'): number {
  return Math.min(output.columns(stream) ?? HELP_WIDTH, MAX_HELP_WIDTH)
}

/**
 * The help of a command in the order people look for things: usage, what it is for, arguments, commands, options. commander
 * puts commands last, below a screen of options.
 */
export function formatHelp(command: Command, help: Help): string {
  const width = help.padWidth(command, help)
  const item = (term: string, description: string): string => help.formatItem(term, width, description, help)
  const list = (heading: string, items: readonly string[]): string[] =>
    items.length === 0 ? [] : ['', help.styleTitle(heading), ...items]

  const [usage, ...otherUsages] = usageLines(command, help)
  return [
    `${help.styleTitle('Usage:')} ${usage}`,
    ...otherUsages.map((line) => `       ${line}`),
    '',
    help.boxWrap(help.commandDescription(command), help.helpWidth ?? HELP_WIDTH),
    ...list(
      'Arguments:',
      help.visibleArguments(command).map((argument) => item(argument.name(), argument.description)),
    ),
    ...[...commandGroups(command, help)].flatMap(([heading, group]) =>
      list(
        heading,
        group.map((subcommand) => item(help.subcommandTerm(subcommand), subcommand.summary())),
      ),
    ),
    ...[...optionGroups(command, help)].flatMap(([heading, group]) =>
      list(
        heading,
        group.map((option) => item(option.flags, help.optionDescription(option))),
      ),
    ),
    '',
  ].join('\n')
}

/** The ways to call a command, which its usage has one a line, each with its name in front. */
export function usageLines(command: Command, help: Help): string[] {
  const usage = command.usage()
  const name = help.commandUsage(command).slice(0, -usage.length)
  return usage.split('\n').map((way) => name + way)
}

/** The commands of a command that its help shows, by heading. */
export function commandGroups(command: Command, help: Help): ReadonlyMap<string, readonly Command[]> {
  return help.groupItems(
    [...command.commands],
    help.visibleCommands(command),
    (subcommand) => subcommand.helpGroup() || 'Commands:',
  )
}

/** The options of a command that its help shows, by heading. */
export function optionGroups(command: Command, help: Help): ReadonlyMap<string, readonly Option[]> {
  const visible = help.visibleOptions(command)
  return help.groupItems(visible, visible, (option) => option.helpGroupHeading ?? 'Options:')
}

/** What the help of a command says below its options. */
export function textAfterHelp(command: Command): string {
  const texts: string[] = []
  const emitter = command as unknown as EventEmitter // which commands are, and which the types leave out
  emitter.emit('afterHelp', { command, error: false, write: (text: string) => texts.push(text) })
  return texts.join('')
}

/** Fills the paragraphs of such a text, and sets off the heading of the examples; what else commander prints stays as it is. */
export function styleHelp(text: string, output: Output, stream: 'out' | 'err'): string {
  if (!text.startsWith('\n')) return text
  const heading = new RegExp(`^${EXAMPLES_HEADING}$`, 'm')
  return fillParagraphs(text, helpWidth(output, stream)).replace(
    heading,
    output.style('bold', EXAMPLES_HEADING, stream),
  )
}
