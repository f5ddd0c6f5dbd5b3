import type { Command, Help } from 'commander'
import type { Output } from './output/output.ts'

/**
 * The help of a command in the order people look for things: usage, what it is for, arguments, commands, options. commander
 * puts commands last, below a screen of options.
 */
export function formatHelp(command: Command, help: Help): string {
  const width = help.padWidth(command, help)
  const item = (term: string, description: string): string => help.formatItem(term, width, description, help)

  const commands = help.groupItems(
    [...command.commands],
    help.visibleCommands(command),
    (subcommand) => subcommand.helpGroup() || 'Commands:',
  )
  const options = help.groupItems(
    [...command.options],
    help.visibleOptions(command),
    (option) => option.helpGroupHeading ?? 'Options:',
  )
  const list = (heading: string, items: readonly string[]): string[] =>
    items.length === 0 ? [] : [help.styleTitle(heading), ...items, '']

  return [
    `${help.styleTitle('Usage:')} ${help.commandUsage(command)}`,
    '',
    help.commandDescription(command),
    '',
    ...list(
      'Arguments:',
      help.visibleArguments(command).map((argument) => item(argument.name(), argument.description)),
    ),
    ...[...commands].flatMap(([heading, group]) =>
      list(
        heading,
        group.map((subcommand) => item(help.subcommandTerm(subcommand), subcommand.summary())),
      ),
    ),
    ...[...options].flatMap(([heading, group]) =>
      list(
        heading,
        group.map((option) => item(option.flags, help.optionDescription(option))),
      ),
    ),
  ].join('\n')
}

/** Sets off the heading of the examples, which commander prints as it is. */
export function styleHelp(text: string, output: Output, stream: 'out' | 'err'): string {
  return text.replace(/^Examples:$/m, output.style('bold', 'Examples:', stream))
}
