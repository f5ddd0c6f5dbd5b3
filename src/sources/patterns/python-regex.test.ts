import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { skip } from '../../platform/testing.ts'
import { translatePythonRegex } from './python-regex.ts'

function search(pattern: string, text: string): boolean {
  const { source, ignoreCase } = translatePythonRegex(pattern)
  return new RegExp(source, ignoreCase ? 'iv' : 'v').test(text)
}

describe('translatePythonRegex()', () => {
  it('finds what Python finds where the dialects differ', () => {
    // oxfmt-ignore
    const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
      ['a$', ['a', 'ba', 'a\n'], ['a\nb', 'a\n\n']],
      ['a\\Z', ['a'], ['a\n']],
      ['\\Aa', ['ab'], ['ba', '\na']],
      ['(?m)^a$', ['b\na\nc'], ['ba']],
      ['^a.b$', ['a\rb', 'a\u2028b', 'a😀b', 'a\udcffb'], ['a\nb', 'a😀😀b']],
      ['(?s)^a.b$', ['a\nb'], ['ab']],
      ['(?i)É', ['é', 'É'], ['e']],
      ['\\d', ['5', '٣'], ['a', '²']],
      ['(?a)\\d', ['5'], ['٣']],
      ['^\\w+$', ['é_5²'], ['-', '😀']],
      ['\\bé\\b', ['é', 'a é b'], ['éé', 'éa']],
      ['a\\Bé', ['aé'], ['a']],
      ['\\s', [' ', '\x1c', '\x85', '\u3000'], ['\ufeff', 'a']],
      ['[]a]', [']', 'a'], ['[']],
      ['^[^]a]$', ['['], [']', 'a']],
      ['[[]', ['['], [']']],
      ['[a&&b]', ['a', 'b', '&'], ['c']],
      ['[\\b]', ['\b'], ['b']],
      ['^[^\\W_]$', ['a', 'é'], ['_', '-']],
      ['a{', ['a{'], ['a']],
      ['^a{,2}$', ['', 'a', 'aa'], ['aaa', 'a{,2}']],
      ['^a{}$', ['a{}'], ['a']],
      ['a]}', ['a]}'], ['a']],
      ['\\x61\\141\\u00e9\\U0001f600', ['aaé😀'], ['aae']],
      ['\\0', ['\0'], ['0']],
      ['(?P<x>a|b)-(?P=x)', ['a-a', 'b-b'], ['a-b']],
      ['(a)(b)\\2', ['abb'], ['aba']],
      ['^(?>a*)ab', [], ['aab']],
      ['^a*+ab', [], ['aab']],
      ['^a++b', ['aab'], ['b']],
      ['a(?#no)b', ['ab'], ['a']],
      ['(?x) a b # c\n [ ] c', ['ab c'], ['abc', 'a b c']],
      ['^(?s:.).$', ['\na'], ['a\n\n']],
      ['(?<=/)a(?!b)', ['/a', '/ac'], ['a', '/ab']],
      ['^home/[^/]+\\.tmp/', ['home/x.tmp/f'], ['home/x.tmp', 'home/a/x.tmp/f']],
      ['', ['', 'a'], []],
    ]
    for (const [pattern, found, other] of rows) {
      for (const text of found) assert.equal(search(pattern, text), true, JSON.stringify([pattern, text]))
      for (const text of other) assert.equal(search(pattern, text), false, JSON.stringify([pattern, text]))
    }
  })

  it('refuses what Python refuses, and what cannot be translated', () => {
    // oxfmt-ignore
    const patterns = [
      '(', ')', 'a)', '[', '[a', '[]', '[z-a]', '[\\d-a]', '*', 'a**', 'a{2}{3}', '^*', '\\b+', '(?:*)', 'a{3,2}', '\\', '\\q', '\\8', '\\1',
      '(\\1)', '(?P<a>x)(?P<a>y)', '(?P<1>x)', '(?P=x)', '(?P<a', 'a(?i)', '(?i', '(?j)', '(?L)a', '(?z:a)', '(?-:a)', '(?i-i:a)', '(?#',
      '\\x6', '\\u12', '\\U00110000', '\\400', '[\\8]', '(?',
      '(a)?(?(1)b|c)', '(?i:a)', '\\N{DIGIT ONE}',
    ]
    for (const pattern of patterns) assert.throws(() => translatePythonRegex(pattern), SyntaxError, pattern)
  })

  it('agrees with Python on expressions and texts put together at random', (t) => {
    // oxfmt-ignore
    const atom = fc.constantFrom(
      'a', 'b', '/', '.', 'é', '😀', ' ', '-', '#', '{', '}', ']', '\n', '&&', '~', '\\.', '\\d', '\\D', '\\w', '\\W', '\\s', '\\S', '^', '$',
      '\\A', '\\Z', 'a\\b', '\\ba', '[ab]', '[^a]', '[]a]', '[^]a]', '[a-c]', '[\\d_-]', '[\\W]', '[^\\S]', '[[]', '[a\\]b]', '[a-]', '[z-a]',
      '[\\b]', '\\x61', '\\141', '\\0', '\\n', 'a{2}', 'b{,2}', 'a{1,}', 'a{,}', 'b{1', '(?s:.)', '(?m:^a)', '(?m:a$)', '(?x: a b # c\n)',
      '(?#no)', '(?=a)', '(?!a)', '(?<=a)', '(?<!b)', '(?>a*)', '(ab?)\\1', '\\q', 'a++', 'b?+', '[ab]*+',
    )
    // No possessive groups: Python 3.11 gets some of them wrong, and some runs end in a SystemError.
    const repeat = fc.constantFrom('', '', '', '*', '+', '?', '*?', '+?', '??', '{2}', '{0,1}', '{1,2}?')
    const { sequence } = fc.letrec<{ sequence: string; part: string; group: string }>((tie) => ({
      sequence: fc.array(tie('part'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
      part: fc
        .tuple(fc.oneof({ maxDepth: 2 }, { arbitrary: atom, weight: 4 }, tie('group')), repeat)
        .map((two) => two.join('')),
      group: fc
        .tuple(fc.constantFrom('(?:', '(?:', '('), tie('sequence'), fc.constantFrom('|', ''), tie('sequence'))
        .map((parts) => `${parts.join('')})`),
    }))
    const flags = fc.constantFrom('', '', '', '', '(?i)', '(?s)', '(?m)', '(?x)', '(?a)', '(?im)')
    const char = fc.constantFrom(...Array.from('abcA/.éÉ😀\n5²٣_ -{}[]2\\ßKk\0\b#&~\x1c\ufeff'))
    const texts = fc.array(
      fc.array(char, { maxLength: 8 }).map((chars) => chars.join('')),
      { minLength: 6, maxLength: 6 },
    )
    const cases = fc.sample(
      fc.tuple(
        fc.tuple(flags, sequence).map((two) => two.join('')),
        texts,
      ),
      { seed: 3, numRuns: 4000 },
    )

    const script = `
import json, re, sys, warnings
warnings.simplefilter('ignore')
def answer(pattern, texts):
    try: regex = re.compile(pattern)
    except re.error: return 'refused'
    return [regex.search(text) is not None for text in texts]
print(json.dumps([answer(*case) for case in json.load(sys.stdin)] if sys.version_info >= (3, 11) else None))`
    const python = spawnSync('python3', ['-c', script], {
      input: JSON.stringify(cases),
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    if (python.error) return skip(t, 'needs python3')
    assert.equal(python.status, 0, python.stderr)
    const wanted = JSON.parse(python.stdout) as ('refused' | boolean[])[] | null
    if (!wanted) return skip(t, 'needs Python 3.11, which Borg patterns are defined by')

    const ours = cases.map(([pattern, texts]) => {
      try {
        return texts.map((text) => search(pattern, text))
      } catch (error) {
        assert.ok(error instanceof SyntaxError)
        return 'refused'
      }
    })
    const describeCase = (i: number, answer: unknown): string => JSON.stringify([cases[i], answer])
    assert.deepEqual(
      ours.map((answer, i) => describeCase(i, answer)),
      wanted.map((answer, i) => describeCase(i, answer)),
    )
  })
})
