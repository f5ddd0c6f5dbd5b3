/** What commands say below their options: paragraphs, which are filled to the width there is, and lines that are indented, which stay. */

export const EXAMPLES_HEADING = 'Examples:'

/** Words of a paragraph; a command that is quoted stays on one line. */
const WORD = /'cairn [^']*'\S*|\S+/g

const PARAGRAPH = /(?:^[^ \n].*\n?)+/gm

/** The text with its paragraphs in lines of at most `width` characters. */
export function fillParagraphs(text: string, width: number): string {
  return text.replaceAll(PARAGRAPH, (paragraph) => {
    const lines = fill(paragraph.replaceAll('\n', ' ').match(WORD) ?? [], width)
    return lines.join('\n') + (paragraph.endsWith('\n') ? '\n' : '')
  })
}

function fill(words: readonly string[], width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line += line === '' ? word : ` ${word}`
  }
  return [...lines, line]
}

/** A paragraph, on one line, or lines that stay as they are. */
export type HelpBlock =
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'lines'; readonly lines: readonly string[] }

/** Takes the text apart into what is said and the examples, which come last. */
export function splitHelpText(text: string): {
  readonly notes: readonly HelpBlock[]
  readonly examples: readonly string[]
} {
  const notes: HelpBlock[] = []
  const [before = '', examples = ''] = `\n${text}`.split(`\n${EXAMPLES_HEADING}\n`)
  for (const [stretch] of before.matchAll(/(?:^ .*\n?)+|(?:^[^ \n].*\n?)+/gm)) {
    const lines = stretch.trimEnd().split('\n')
    notes.push(stretch.startsWith(' ') ? { kind: 'lines', lines } : { kind: 'paragraph', text: lines.join(' ') })
  }
  return { notes, examples: examples.trimEnd().split('\n').filter(Boolean) }
}
