import type { Argument, Command, Option } from 'commander'
import type { Definitions } from '../context.ts'

/** Where the cursor is: what has been said before it, and what may come. */
export interface Place {
  /** The innermost command that was named. */
  readonly command: Command
  /** Values of options so far, by their long names without dashes. */
  readonly options: ReadonlyMap<string, string>
  /** Arguments of the command so far. */
  readonly values: readonly string[]
  /** The option whose value comes now. */
  readonly awaiting: Option | undefined
  /** Whether nothing can be an option any more. */
  readonly isLiteral: boolean
}

/** Reads the words of a command line before the cursor, without the program's name, as commander would read them. */
export async function readCommandLine({ program, load }: Definitions, words: readonly string[]): Promise<Place> {
  let command = program
  let awaiting: Option | undefined
  let isLiteral = false
  let values: string[] = []
  const options = new Map<string, string>()

  for (const word of words) {
    if (awaiting) {
      options.set(awaiting.name(), word)
      awaiting = undefined
    } else if (!isLiteral && word === '--') isLiteral = true
    else if (!isLiteral && word.length > 1 && word.startsWith('-')) awaiting = readOption(command, word, options)
    else {
      const next: Command | undefined = values.length === 0 ? findCommand(command, word) : undefined
      if (next) {
        await load(next)
        command = next
      } else values = [...values, word]
      // What follows belongs to another program.
      if (!next && command.name() === 'with-lock' && values.length > 1) isLiteral = true
    }
  }
  return { command, options, values, awaiting, isLiteral }
}

/** The options and commands below it that the help of a command shows. */
export function visibleParts(command: Command): { readonly options: Option[]; readonly commands: Command[] } {
  const help = command.createHelp()
  return { options: help.visibleOptions(command), commands: help.visibleCommands(command) }
}

/** The argument that comes after so many. */
export function argumentAt({ registeredArguments }: Command, index: number): Argument | undefined {
  const last = registeredArguments.at(-1)
  return registeredArguments[index] ?? (last?.variadic ? last : undefined)
}

/** Takes note of the option, or the short ones together, that a word is; returns the one whose value is the next word. */
function readOption(command: Command, word: string, options: Map<string, string>): Option | undefined {
  if (word.startsWith('--')) {
    const [, name = word, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? []
    const option = command.options.find(({ long }) => long === name)
    if (!option?.required) return undefined
    if (value === undefined) return option
    options.set(option.name(), value)
    return undefined
  }
  for (let index = 1; index < word.length; index++) {
    const option = command.options.find(({ short }) => short === `-${word[index]}`)
    if (!option?.required) continue
    if (index + 1 === word.length) return option
    options.set(option.name(), word.slice(index + 1))
    return undefined
  }
  return undefined
}

function findCommand(command: Command, word: string): Command | undefined {
  return visibleParts(command).commands.find((one) => one.name() === word || one.aliases().includes(word))
}
