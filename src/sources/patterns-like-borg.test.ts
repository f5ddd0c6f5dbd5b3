import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { fromRawName, toRawName, toSystemPath } from '../base/raw-name.ts'
import { newDirectory, skip } from '../platform/testing.ts'
import {
  parseExclude,
  parseExcludeFile,
  parsePattern,
  parsePatternFile,
  PathPatterns,
  type PatternRule,
} from './patterns.ts'
import { toPythonText } from './patterns/python-text.ts'

const raw = (text: string): string => fromRawName(Buffer.from(text, 'latin1'))

/** One `borg create --dry-run --list` about many directories, each with rules of its own that begin with its name. */
interface Run {
  readonly option: 'exclude' | 'pattern' | 'exclude-from' | 'patterns-from'
  readonly lines: readonly string[]
}

const part = fc.constantFrom('a', 'b', 'c', 'a', 'b', '.o', 'é', '😀', '\n', '-', '\\', '[', '!', '^', ' ', raw('\xe9'))
const name = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''))
const paths = fc.array(
  fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/')),
  { minLength: 4, maxLength: 10 },
)
// oxfmt-ignore
const piece = fc.constantFrom(
  'a', 'b', 'c', 'a', 'b', '/', '/', '/', '*', '*', '*', '**', '**/', '**/', '?', '?', '[ab]', '[!a]', '[^a]', '[]a]', '[!]a]', '[a-c]', '[/]',
  '[a-]', '[-a]', '[\\]', '[', 'é', '😀', '.', '..', '.o', '-', '\\', '^',
)
const glob = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''))
// oxfmt-ignore
const regex = fc.constantFrom('a', 'b$', '[^/]+\\.o', '/a/', '^.a', '(a|b)c', 'a.b', '\\w\\W', '(?!a)b', '\\n', 'a{2}', '[]a]', '(.)\\1', 'é?$')
const pattern = fc.oneof(
  { arbitrary: fc.tuple(fc.constantFrom('', 'fm:', 'sh:', 'fm:', 'sh:', 'pp:', 'pf:'), glob), weight: 6 },
  fc.tuple(fc.constant('re:'), regex),
)

describe('PathPatterns', () => {
  const command = fc.constantFrom('+ ', '-', '- ', '!', '! ')
  for (const option of ['exclude', 'exclude-from', 'pattern', 'patterns-from'] as const) {
    it(`agrees with borg create --${option} on trees and patterns put together at random`, (t) => {
      const isFile = option.endsWith('from')
      const samples = fc
        .sample(fc.tuple(paths, fc.array(fc.tuple(command, pattern), { minLength: 1, maxLength: 4 })), {
          seed: option.length,
          numRuns: 300,
        })
        .map(([tree, rules], i) => {
          const lines = rules.map(([command, [style, body]]) => {
            const inside = style === 're:' ? `re:^d${i}/(?s:.*)(?:${body})` : `${style}d${i}/${body}`
            return option.startsWith('exclude') ? inside : command + inside
          })
          return {
            tree: tree.map((path) => `d${i}/${path}`),
            lines: isFile ? lines.map((line) => line.trimEnd()) : lines,
          }
        })
      compareWithBorg(
        t,
        samples.flatMap(({ tree }) => tree),
        { option, lines: samples.flatMap(({ lines }) => lines) },
      )
    })
  }

  it('agrees with borg on the style of a pattern file, comments, white space and line ends', (t) => {
    const tree = ['a/x.o', 'a/y.o', 'b/x.o', 'b/c/x.o', 'c x/d', 'e', '#f', 'g/h/i', 'k/l/m']
    const lines = [
      '# - a',
      '',
      '   ',
      '- b/*.o\r',
      '  - c x  ',
      'P fm',
      '+ a/x*',
      '- a/*',
      '\t- #f',
      'p re',
      '-  ^g/h/.$',
      'P pp',
      '!k/l/',
    ]
    compareWithBorg(t, tree, { option: 'patterns-from', lines })
    compareWithBorg(t, tree, {
      option: 'exclude-from',
      lines: ['#f', ' e ', '', 're:^b/c', '\u3000c x/d\u3000', 'sh:a/x*'],
    })
  })
})

function compareWithBorg(t: TestContext, files: readonly string[], { option, lines }: Run): void {
  const root = newDirectory()
  const tree = `${root}/tree`
  mkdirSync(tree)
  for (const file of files) {
    const above = file.slice(0, Math.max(0, file.lastIndexOf('/')))
    try {
      mkdirSync(toSystemPath(`${tree}/${above}`), { recursive: true })
      writeFileSync(toSystemPath(`${tree}/${file}`), '', { flag: 'wx' })
    } catch {
      // Another file of the tree is in the way, which is a tree as well.
    }
  }
  const env = { ...process.env, BORG_BASE_DIR: `${root}/base`, LC_ALL: 'C.UTF-8', PYTHONWARNINGS: 'ignore' }
  const borg = (...args: string[]) => spawnSync('borg', args, { cwd: tree, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (borg('init', '-e', 'none', `${root}/repo`).error) return skip(t, 'needs borg')

  const text = lines.join('\n')
  writeFileSync(`${root}/rules`, toRawName(text))
  const options = option.endsWith('from') ? [`--${option}=${root}/rules`] : lines.map((line) => `--${option}=${line}`)
  const args = ['--log-json', 'create', '--dry-run', '--list', ...options, `${root}/repo::x`, ...readdirSync(tree)]
  const { status, stderr } = borg(...args)
  assert.equal(status, 0, stderr)
  const wanted = stderr.split('\n').flatMap((line): string[] => {
    if (!line.startsWith('{"type": "file_status"')) return []
    const { status, path } = JSON.parse(line) as { status: string; path: string }
    return [`${status} ${path}`]
  })

  const rules: readonly PatternRule[] =
    option === 'exclude-from'
      ? parseExcludeFile(text, 'rules')
      : option === 'patterns-from'
        ? parsePatternFile(text, 'rules').rules
        : option === 'exclude'
          ? lines.map(parseExclude)
          : lines.flatMap((line) => parsePattern(line).rules)
  const ours = walk(tree, new PathPatterns(rules))
  assert.ok(ours.some((line) => line.startsWith('x')) && ours.some((line) => line.startsWith('-')))
  assert.deepEqual(ours.sort(), wanted.sort())
}

/** What Borg's walk would print; it writes '?' for what is not UTF-8. */
function walk(tree: string, patterns: PathPatterns): string[] {
  const lines: string[] = []
  const visit = (path: string): void => {
    const { included, recurse } = patterns.decide(path)
    lines.push(`${included ? '-' : 'x'} ${toPythonText(path).replaceAll(/[\udc80-\udcff]/gv, '?')}`)
    if (recurse) for (const child of childrenOf(path)) visit(child)
  }
  const childrenOf = (path: string): string[] => {
    try {
      const names = readdirSync(toSystemPath(`${tree}/${path}`), { encoding: 'buffer' })
      return names.map((name) => (path === '' ? '' : `${path}/`) + fromRawName(name))
    } catch {
      return [] // a file
    }
  }
  for (const root of childrenOf('')) visit(root)
  return lines
}
