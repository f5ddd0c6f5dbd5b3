import { setTimeout as sleep } from 'node:timers/promises'
import { Argument } from 'commander'
import { type Answer, completeWord } from './completion/answer.ts'
import { quoteForBash, splitBashWords } from './completion/bash-words.ts'
import { SHELLS, type Shell } from './completion/scripts.ts'
import type { CommandContext, DefineCommand } from './context.ts'

/** For how long somebody waits who has pressed Tab; the shell says nothing meanwhile. */
const PATIENCE_MS = 3000

/** For how long the process then lives on, if a system call does not return. */
const LINGER_MS = 1000

/**
 * What the scripts of `cairn completion` call when somebody presses Tab. The first line of the answer says what the shell completes
 * itself, `files`, `folders` or `nothing`, where no candidate fits, and more that its script knows; candidates follow, one a line.
 */
export const define: DefineCommand = (command, context) => {
  command
    .addArgument(new Argument('<SHELL>', 'whose script asks').choices(SHELLS))
    .argument('[WORDS...]', 'what has been typed, after --')
    .usage('SHELL -- WORDS...')
    .action(async (shell: Shell, words: string[]) => {
      const inTime = new AbortController()
      const tooLong = sleep(PATIENCE_MS, ['nothing'], { signal: inTime.signal })
      tooLong.catch(() => {}) // aborted
      const lines = await Promise.race([ANSWERS[shell](context, words), tooLong])
      inTime.abort()
      for (const line of lines) context.output.line(line)
      context.world.killAfter(LINGER_MS)
    })
}

const ANSWERS: Readonly<Record<Shell, (context: CommandContext, words: string[]) => Promise<string[]>>> = {
  bash: answerBash,
  zsh: answerZsh,
  fish: answerFish,
}

/**
 * `given` is the line up to the cursor, and what readline takes for the word there, which begins after the last ':' or '='. What is
 * typed is never changed, only added to. The word `open` tells that no blank is to be added.
 */
async function answerBash(context: CommandContext, [line = '', word = '']: string[]): Promise<string[]> {
  const split = splitBashWords(line)
  if (!split?.typed.endsWith(word)) return ['nothing']
  const { words, current, quote, isRedirection } = split
  if (isRedirection) return ['files']
  const { kept, candidates, otherwise } = await completeWord(context, words.slice(1), current)
  const fitting = candidates.filter((candidate) => (kept + candidate.word).startsWith(current))
  const isOpen = fitting.some((candidate) => candidate.isOpen)
  return [
    isOpen ? `${otherwise} open` : otherwise,
    ...fitting.map((candidate) => word + quoteForBash((kept + candidate.word).slice(current.length), quote)),
  ]
}

/** `given` are all words up to the cursor. After the first word, the answer has the separators of the parts that zsh is to leave alone. */
async function answerZsh(context: CommandContext, given: string[]): Promise<string[]> {
  const { separators, candidates, otherwise } = await answerWords(context, given)
  return [
    [otherwise, ...separators].join(' '),
    ...candidates.map(({ word, description, isOpen }) => `${isOpen ? 'open' : 'done'}\t${word}\t${description}`),
  ]
}

/**
 * `given` are all words up to the cursor. Candidates have what is kept in front. Those that do not begin with what has been typed are
 * there too, as fish finds other likenesses, unless files may be meant.
 */
async function answerFish(context: CommandContext, given: string[]): Promise<string[]> {
  const { kept, candidates, otherwise } = await answerWords(context, given)
  const words = candidates.map((candidate) => ({ ...candidate, word: kept + candidate.word }))
  const isFile = otherwise !== 'nothing' && !words.some(({ word }) => word.startsWith(given.at(-1) ?? ''))
  return isFile ? [otherwise] : [otherwise, ...words.map(({ word, description }) => `${word}\t${description}`)]
}

function answerWords(context: CommandContext, given: readonly string[]): Promise<Answer> {
  return completeWord(context, given.slice(0, -1), given.at(-1) ?? '')
}
