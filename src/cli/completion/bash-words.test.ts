import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCommand, needs } from '../../../test/testing.ts'
import { type Quote, quoteForBash, splitBashWords } from './bash-words.ts'

const skip = needs(hasCommand('bash', '-c', 'true'), 'needs bash')
const NUMBER = 2000
const CHARACTERS = Array.from('ab01 $`"\'\\!*?[]{}()<>|&;#~=:,./-%^@+é—')

/** The words that bash makes of lines, one list for each. */
function bashWords(lines: readonly string[]): string[][] {
  const script = lines.map((line) => `printf '%s\\0' ${line}\nprintf '\\1'\n`).join('')
  const output = execFileSync('bash', ['-s'], { input: script, encoding: 'utf8', maxBuffer: 1 << 28, cwd: '/proc' })
  return output
    .split('\u0001')
    .slice(0, -1)
    .map((words) => words.split('\0').slice(0, -1))
}

describe('quoteForBash()', { skip }, () => {
  it('gives text that bash takes as it is, whatever quote is open', () => {
    const text = fc.string({ unit: fc.constantFrom(...CHARACTERS), minLength: 1 })
    const samples = fc.sample(fc.tuple(text, fc.constantFrom<Quote>('', "'", '"')), NUMBER)
    const lines = samples.map(([value, quote]) => {
      const quoted = quoteForBash(value, quote)
      return `X${quote}${quoted}${quote !== '' && !quoted.endsWith(quote) ? quote : ''}`
    })
    const words = bashWords(lines)
    for (const [index, [value, quote]] of samples.entries())
      assert.deepEqual(words[index], [`X${value}`], `${quote} ${lines[index]}`)
  })
})

describe('splitBashWords()', { skip }, () => {
  it('finds the words that bash finds', () => {
    const part = fc.constantFrom('a', 'b c', ' ', '  ', "'", '"', '\\', '\\ ', '\\"', "\\'", '::', '=', '-r', 'é')
    const lines = fc
      .sample(fc.array(part, { minLength: 1, maxLength: 12 }), NUMBER)
      .map((parts) => parts.join(''))
      .filter((line) => {
        const split = splitBashWords(line)
        return split !== undefined && split.quote === ''
      })
    assert.ok(lines.length > NUMBER / 4)
    const words = bashWords(lines.map((line) => `X ${line}`))
    for (const [index, line] of lines.entries()) {
      const split = splitBashWords(line)
      assert.ok(split)
      const all = [...split.words, ...(split.typed === '' ? [] : [split.current])]
      assert.deepEqual(['X', ...all], words[index], line)
      assert.ok(line.endsWith(split.typed))
    }
  })

  it('tells what is open, and what is to be read or written', () => {
    assert.deepEqual(splitBashWords("cairn 'a b"), {
      words: ['cairn'],
      current: 'a b',
      typed: "'a b",
      quote: "'",
      isRedirection: false,
    })
    assert.equal(splitBashWords('cairn a\\'), undefined)
    assert.equal(splitBashWords('cairn "a\\'), undefined)
    assert.deepEqual(splitBashWords('cairn 2>&1 >x y < z')?.words, ['cairn', 'y'])
    assert.equal(splitBashWords('cairn >> z')?.isRedirection, true)
    assert.equal(splitBashWords('cairn >')?.isRedirection, true)
    assert.equal(splitBashWords('cairn > z ')?.isRedirection, false)
    assert.deepEqual(splitBashWords('cairn $(touch x)')?.words, ['cairn', '$(touch'])
  })
})
