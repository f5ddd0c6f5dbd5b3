import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { fromRawName, sortRawNames, toRawName, toSystemPath } from '../base/raw-name.ts'
import { newDirectory, skip } from '../platform/testing.ts'
import { IgnoreRules } from './ignore-rules.ts'

/** One tree and what is ignored in it: paths end in '/' for directories, and files of rules are named by their directory. */
interface Case {
  readonly rules: Readonly<Record<string, string>>
  readonly paths: readonly string[]
}

const raw = (text: string): string => fromRawName(Buffer.from(text, 'latin1'))

/** `[rules, ignored paths, other paths]`; an object has the rules of several directories. */
type Row = readonly [string | Readonly<Record<string, string>>, readonly string[], readonly string[]]

// oxfmt-ignore
const FIXTURE: Record<string, readonly Row[]> = {
  'names and anchors': [
    ['foo', ['foo', 'a/foo', 'a/b/foo/', 'a/b/foo/x'], ['foobar', 'a/xfoo', 'Foo']],
    ['/foo', ['foo'], ['a/foo']],
    ['a/foo', ['a/foo'], ['b/a/foo', 'foo']],
    ['/a/foo', ['a/foo'], ['b/a/foo']],
    ['./foo', [], ['foo']],
    ['a//foo', [], ['a/foo']],
    ['//foo', [], ['foo']],
    ['/', [], ['foo', 'a/foo']],
    ['', [], ['foo']],
    ['.*', ['.hidden', 'a/.x'], ['foo', 'a.b']],
  ],
  'directories only': [
    ['foo/', ['foo/', 'a/foo/', 'a/foo/x'], ['b/foo']],
    ['/foo/', ['foo/'], ['a/foo/']],
    ['a/foo/', ['a/foo/x'], ['b/a/foo/x']],
    ['foo//', [], ['foo/', 'foo/x']],
    ['*/', ['a/', 'a/foo', 'b/'], ['foo']],
    ['a/*/', ['a/b/', 'a/b/c'], ['a/foo']],
  ],
  'stars and question marks': [
    ['*.o', ['x.o', 'a/.o', 'a/b.o/'], ['x.odt', 'o']],
    ['*', ['foo', 'a/', 'a/foo'], []],
    ['a*b', ['ab', 'axxb', 'c/aab'], ['abc', 'a/b']],
    ['*a*', ['a', 'xax'], ['xyz']],
    ['a/*', ['a/foo', 'a/b/', 'a/b/c'], ['a/', 'foo']],
    ['a/*/c', ['a/b/c'], ['a/c', 'a/b/b/c']],
    ['a*c/d', ['abc/d', 'ac/d'], ['a/c/d', 'abc/e']],
    ['?', ['a', 'b/', 'c/d'], ['ab']],
    ['a?c', ['abc'], ['ac', 'abbc', 'a/c']],
    ['/*/foo', ['a/foo'], ['foo', 'a/b/foo']],
    ['a*a*a*a*a*b', ['aaaaab'], ['a'.repeat(200)]],
  ],
  'double stars': [
    ['**/foo', ['foo', 'a/foo', 'a/b/foo'], ['xfoo', 'a/xfoo']],
    ['foo/**', ['foo/a', 'foo/b/c'], ['foo/', 'a/foo/x']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['b', 'a/xb', 'c/a/b']],
    ['**', ['foo', 'a/', 'a/b'], []],
    ['/**', ['foo', 'a/', 'a/b'], []],
    ['**/', ['a/', 'a/b'], ['foo']],
    ['a**', ['a', 'ab/', 'ab/c'], ['b']],
    ['a**/b', ['a/b', 'ab', 'ax/y/b'], ['axb', 'c/ab']],
    ['a/x**', ['a/x', 'a/xy/', 'a/xy/z'], ['a/y']],
    ['a/?**/b', ['a/x/b', 'a/xy/b'], ['a/b', 'a/x/y/b']],
    ['***/foo', ['foo', 'a/foo', 'a/b/foo'], []],
    ['**/a/**/b', ['a/b', 'x/a/b', 'x/a/y/b'], ['b', 'x/b']],
    ['a/***/b', ['a/b', 'a/x/b', 'a/x/y/b'], []],
    ['**\\/b', ['a/b', 'x/y/b'], ['b']],
    ['**foo', ['foo', 'a/xfoo'], ['foox']],
  ],
  negation: [
    ['*.o\n!a.o', ['b.o', 'x/b.o'], ['a.o', 'x/a.o']],
    ['!a.o\n*.o', ['a.o'], []],
    ['a/\n!a/b', ['a/b', 'a/c'], []],
    ['a/*\n!a/b', ['a/c'], ['a/b', 'a/']],
    ['/*\n!/a\n/a/*\n!/a/b', ['c', 'a/c'], ['a/', 'a/b/', 'a/b/x']],
    ['!', [], ['a', '!']],
    ['!!a', [], ['a', '!a']],
    ['foo\n!foo/', ['a/foo'], ['foo/', 'foo/x']],
    ['*\n!*/\n!*.txt', ['a/b.o', 'c.o'], ['a/', 'a/b.txt', 'c.txt']],
  ],
  'comments, spaces, line ends': [
    ['#a', [], ['#a', 'a']],
    ['\\#a', ['#a'], ['a']],
    ['\\!a', ['!a'], ['a']],
    [' #a', [' #a'], ['#a']],
    ['a   ', ['a'], ['a   ']],
    ['a\\ ', ['a '], ['a', 'a\\']],
    ['a\\  ', ['a '], ['a  ']],
    ['a\\\\ ', ['a\\'], ['a\\ ', 'a ']],
    ['a\t', ['a\t'], ['a']],
    ['a b', ['a b'], ['a']],
    [' a', [' a'], ['a']],
    ['a/ ', ['a/'], []],
    ['a\r\nb\r\n', ['a', 'b'], ['a\r']],
    ['a\r', ['a'], ['a\r']],
    ['a \r\n', ['a'], ['a ']],
    ['a\r\r\n', ['a\r'], ['a']],
    ['\ufeffa', ['a'], ['\ufeffa']],
    ['b\n\ufeffa', ['\ufeffa', 'b'], ['a']],
    ['\n\n   \na', ['a'], ['   ']],
    ['a\0b\nc', ['a', 'c'], ['b', 'ab']],
    ['x\\', [], ['x', 'x\\']],
    ['x\\/', [], ['x', 'x/']],
  ],
  'escapes and classes': [
    ['\\*', ['*'], ['a']],
    ['a\\?', ['a?'], ['ab']],
    ['\\a', ['a'], ['\\a']],
    ['[ab]', ['a', 'b'], ['c', 'ab']],
    ['[a-c]x', ['bx'], ['dx', '-x']],
    ['[!a]x', ['bx', '!x'], ['ax']],
    ['[^a]x', ['bx', '^x'], ['ax']],
    ['[]]', [']'], ['[']],
    ['[]-a]', [']', '^', 'a'], ['-', 'b']],
    ['[!]]', ['a'], [']']],
    ['[a', [], ['[a', 'a']],
    ['[a-]', ['a', '-'], ['b']],
    ['[-a]', ['a', '-'], ['b']],
    ['[a-c-e]', ['b', '-', 'e'], ['d']],
    ['[c-a]', ['c'], ['a', 'b', '-']],
    ['[\\]]', [']'], ['\\']],
    ['[\\a-\\c]', ['b'], ['\\', '-']],
    ['a[/]b', [], ['a/b']],
    ['a[!x]b', ['ayb'], ['a/b']],
    ['[[:digit:]x]', ['5', 'x'], ['a', ':']],
    ['[![:alpha:]]', ['5'], ['a']],
    ['[[:nonsense:]]', [], ['a', ':', 'n']],
    ['[[:digit]', ['[', ':', 'd'], ['5']],
    ['[[:]', ['[', ':'], ['a']],
    ['[[a]', ['[', 'a'], []],
    ['[[:space:]]', [' ', '\t', '\n', '\r'], ['\v', '\f']],
    ['x[[:upper:]-z]', ['xA', 'xz', 'x-'], ['xb']],
  ],
  'bytes and newlines': [
    ['caf?', ['cafe'], ['café']],
    ['caf??', ['café'], ['cafe']],
    ['é', ['é'], ['e']],
    ['[é]x', [], ['éx']],
    [raw('caf\xe9'), [raw('caf\xe9')], ['café']],
    [raw('\xe9*'), [raw('\xe9'), raw('a/\xe9\xe9/')], [raw('a\xe9'), 'é']],
    ['caf?', [raw('caf\xe9'), raw('caf\xff')], ['caf']],
    [raw('[\xe0-\xef]'), [raw('\xe9')], [raw('\xff'), 'é']],
    ['a*b', ['a\nb', `a${raw('\xff')}b`], []],
    ['a?b', ['a\nb'], []],
    ['😀?', ['😀x'], ['😀']],
  ],
  'files of rules in several directories': [
    [{ '': '*.o', a: '!x.o' }, ['x.o', 'a/y.o'], ['a/x.o', 'a/b/x.o']],
    [{ '': '!*.o', a: '*.o' }, ['a/x.o', 'a/b/y.o'], ['x.o', 'b/x.o']],
    [{ a: '/x' }, ['a/x'], ['x', 'a/b/x']],
    [{ a: 'b/x' }, ['a/b/x'], ['b/x', 'a/c/b/x']],
    [{ '': 'a/', a: '!x' }, ['a/x', 'a/'], []],
    [{ '': 'x', a: '!x', 'a/b': 'x' }, ['x', 'a/b/x'], ['a/x', 'a/c/x']],
    [{ a: '*', 'a/b': '!*' }, ['a/b/x'], ['ab/x', 'x']],
    [{ 'a*': 'x' }, ['a*/x'], ['ab/x']],
    [{ [raw('\xe9')]: '/x', é: '/y' }, [raw('\xe9/x'), 'é/y'], [raw('\xe9/y'), 'é/x']],
    [{ a: '# nothing' }, [], ['a/x']],
  ],
}

describe('IgnoreRules', () => {
  for (const [title, rows] of Object.entries(FIXTURE)) {
    it(`says what the table of ${title} says, and so does git`, (t) => {
      const cases = rows.map(([rules, ignored, other]) => caseOf(rules, [...ignored, ...other]))
      const expected = rows.map(([, ignored]) => withoutSlashes(ignored))
      const asked = rows.map(([, ignored, other]) => new Set(withoutSlashes([...ignored, ...other])))
      const ours = cases.map((one, i) => ignoredIn(one).filter((path) => asked[i]?.has(path)))
      assert.deepEqual(ours.map(readable), expected.map(readable))
      compareWithGit(t, cases)
    })
  }

  it('agrees with git on every byte of every named class', (t) => {
    const bytes = Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x2f && byte !== 0x2e)
    const paths = bytes.map((byte) => `x${raw(String.fromCharCode(byte))}`)
    const names = 'alnum alpha blank cntrl digit graph lower print punct space upper xdigit'.split(' ')
    compareWithGit(
      t,
      names.map((name) => caseOf(`x[[:${name}:]]`, paths)),
    )
  })

  it('agrees with git on trees and rules put together at random', (t) => {
    const part = fc.constantFrom('a', 'b', 'c', 'ab', 'é', raw('\xe9'), '\n', '.x', '-')
    const name = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''))
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))
    // oxfmt-ignore
    const piece = fc.constantFrom(
      'a', 'b', 'c', 'a', 'b', '/', '/', '*', '*', '**', '**/', '/**', '?', '[ab]', '[!a]', '[a-c]', '[^b-c]', '[]a]', '[', '\\', '\\*',
      '.', ' ', '-', 'é', raw('\xe9'), '!', '#', '\\ ', '\t',
    )
    const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''))
    const line = fc.tuple(fc.constantFrom('', '', '', '!', '/'), pattern, fc.constantFrom('', '', '/', ' ', '\r'))
    const text = fc
      .array(
        line.map((parts) => parts.join('')),
        { maxLength: 6 },
      )
      .map((lines) => lines.join('\n'))
    const one = fc.record({
      paths: fc.array(path, { minLength: 4, maxLength: 12 }),
      top: text,
      below: text,
      where: name,
    })
    const cases = fc
      .sample(one, { seed: 20261101, numRuns: 400 })
      .map(({ paths, top, below, where }) => caseOf({ '': top, [where]: below }, paths))
    compareWithGit(t, cases)
  })
})

/** Adds the directories above each path, and drops a file where a directory has to be. */
function caseOf(rules: string | Readonly<Record<string, string>>, paths: readonly string[]): Case {
  const files = typeof rules === 'string' ? { '': rules } : rules
  const wanted = [...paths, ...Object.keys(files).map((directory) => (directory === '' ? '' : `${directory}/`))]
  const all = new Set<string>()
  for (const path of wanted)
    for (let i = path.indexOf('/'); i >= 0; i = path.indexOf('/', i + 1)) all.add(path.slice(0, i + 1))
  for (const path of wanted) if (path !== '' && !all.has(`${path}/`)) all.add(path)
  return { rules: files, paths: sortRawNames([...all]) }
}

/** What a walk finds ignored, everything below an ignored directory with it. */
function ignoredIn({ rules, paths }: Case): string[] {
  const at = (directory: string): IgnoreRules => {
    const outer = directory === '' ? IgnoreRules.none : at(parentOf(directory))
    return directory in rules ? outer.below(directory, rules[directory] as string) : outer
  }
  const isIgnored = (path: string, isDirectory: boolean): boolean =>
    (parentOf(path) !== '' && isIgnored(parentOf(path), true)) || at(parentOf(path)).isIgnored(path, isDirectory)
  return withoutSlashes(paths.filter((path) => isIgnored(path.replace(/\/$/, ''), path.endsWith('/'))))
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function withoutSlashes(paths: readonly string[]): string[] {
  return sortRawNames(paths.map((path) => path.replace(/\/$/, '')))
}

/** Text to compare: a path may escape the bytes of one name and not those of another. */
const readable = (paths: readonly string[]): string => JSON.stringify(paths.map((path) => fromRawName(toRawName(path))))

/** Asks `git check-ignore` about all cases at once, each in a directory of its own. */
function compareWithGit(t: TestContext, cases: readonly Case[]): void {
  const root = newDirectory()
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_DIR: `${root}/.git` }
  const git = (args: readonly string[], input = Buffer.alloc(0)) =>
    spawnSync('git', args, { cwd: root, env, input, maxBuffer: 1 << 28 })
  if (git(['init', '-q', '--template=', '.']).error) return skip(t, 'needs git')
  git(['config', 'core.ignoreCase', 'false'])
  for (const [i, { rules, paths }] of cases.entries()) {
    mkdirSync(`${root}/${i}`)
    for (const path of paths) {
      const place = toSystemPath(`${root}/${i}/${path}`)
      if (path.endsWith('/')) mkdirSync(place)
      else writeFileSync(place, '')
    }
    for (const [directory, text] of Object.entries(rules))
      writeFileSync(toSystemPath(`${root}/${i}/${directory}/.gitignore`), toRawName(text))
  }
  const asked = cases.flatMap(({ paths }, i) => withoutSlashes(paths).map((path) => toRawName(`${i}/${path}\0`)))
  const { status, stdout, stderr } = git(['check-ignore', '--stdin', '-z', '--no-index'], Buffer.concat(asked))
  assert.ok(status === 0 || status === 1, stderr.toString())

  const found = cases.map((): string[] => [])
  for (let start = 0, end = 0; start < stdout.length; start = end + 1) {
    end = stdout.indexOf(0, start)
    const slash = stdout.indexOf('/', start)
    found[Number(stdout.toString('latin1', start, slash))]?.push(fromRawName(stdout.subarray(slash + 1, end)))
  }
  const describeCase = ({ rules }: Case, ignored: readonly string[]): string =>
    `${JSON.stringify(rules)}: ${readable(ignored)}`
  assert.deepEqual(
    cases.map((one) => describeCase(one, ignoredIn(one))),
    cases.map((one, i) => describeCase(one, sortRawNames(found[i] as string[]))),
  )
}
