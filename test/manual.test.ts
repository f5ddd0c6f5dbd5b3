/** The manual in the eyes of those who read it: mandoc and groff, which render it, find nothing wrong and nothing missing. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { escapeRoff } from '../src/cli/man/roff.ts'
import { VARIABLES } from '../src/config/variables.ts'
import { allHelp } from './completion/shells.ts'
import { cairn, cairnCommand, cairnEnv, hasCommand, needs, newFolder } from './testing.ts'
import { NEEDS_TMUX, Tmux } from './tmux.ts'

const NEEDS_MANDOC = needs(spawnSync('mandoc', { input: '' }).error === undefined, 'needs mandoc')
const NEEDS_GROFF = needs(hasCommand('groff', '--version'), 'needs groff')
const NEEDS_MAN = needs(hasCommand('man', '--version'), 'needs man-db')

/** Renders a page as plain text, in lines of any length, with nothing overstruck. */
const RENDERERS = [
  { name: 'mandoc', skip: NEEDS_MANDOC, command: ['mandoc', '-T', 'utf8', '-O', 'width=200'] },
  { name: 'groff', skip: NEEDS_GROFF, command: ['groff', '-man', '-Tutf8', '-rLL=200n', '-P-cbou'] },
] as const

const folder = path.join(newFolder(), 'man1')
const pages = new Map<string, string>()

before(() => {
  const { status, stderr } = cairn(['man', '--output', folder])
  assert.equal(status, 0, stderr)
  for (const name of readdirSync(folder)) pages.set(name, readFileSync(path.join(folder, name), 'utf8'))
  assert.ok(pages.size > 30)
})

function render(command: readonly string[], page: string): string {
  const [program = '', ...args] = command
  const text = execFileSync(program, args, { input: page, encoding: 'utf8' })
  return text.replaceAll(/.[\b]/g, '')
}

describe('the manual', () => {
  for (const { name, skip, command } of [
    { name: "mandoc's lint", skip: NEEDS_MANDOC, command: ['mandoc', '-T', 'lint', '-W', 'warning'] },
    { name: "groff's warnings", skip: NEEDS_GROFF, command: ['groff', '-man', '-ww', '-z'] },
    { name: "man's warnings", skip: NEEDS_MAN, command: ['man', '--warnings=w', '-E', 'UTF-8', '-l', '-'] },
  ]) {
    it(`passes ${name}`, { skip }, () => {
      for (const [page, input] of pages) {
        const [program = '', ...args] = command
        const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' })
        assert.deepEqual([status, stderr], [0, ''], page)
        if (program === 'mandoc') assert.equal(stdout, '', page)
      }
    })
  }

  for (const { name, skip, command } of RENDERERS) {
    it(`has all options and commands that help tells of, as they are typed, by ${name}`, { skip }, async () => {
      for (const { words, commands, options } of await allHelp()) {
        const [first] = words.split(' ')
        const text = render(command, pages.get(first === '' ? 'cairn.1' : `cairn-${first}.1`) ?? assert.fail(words))
        const isThere = (term: string): boolean => new RegExp(`(?<![\\w-])${term}(?![\\w-])`).test(text)
        const missing = [...options, ...commands].filter((term) => term !== 'help' && !isThere(term))
        assert.deepEqual(missing, [], words)
        for (const heading of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXIT STATUS', 'SEE ALSO'])
          assert.match(text, new RegExp(`^${heading}$`, 'm'), words)
      }
    })

    it(`has the examples of help, to be copied, by ${name}`, { skip }, () => {
      for (const page of pages.keys()) {
        const words = page === 'cairn.1' ? [] : [page.slice('cairn-'.length, -'.1'.length)]
        const help = cairn([...words, '--help']).stdout
        const examples = help.split('\nExamples:\n')[1]?.trimEnd().split('\n') ?? []
        const text = render(command, pages.get(page) ?? '')
        for (const example of examples) assert.ok(text.includes(example.trim()), `${page}: ${example}`)
      }
    })

    it(`shows every character as it is, by ${name}`, { skip }, () => {
      const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join('')
      const lines = [
        printable.trim(),
        ...Array.from(printable.trim(), (character) => `${character}begins`),
        String.raw`\fBnot bold\fR \n(.x \*[x] \" no comment`,
        '.SH no heading',
        "'br no macro",
        '--long-option -s {now:%Y-%m-%d} ~/x `x` x^y "x" …',
      ]
      const page = [
        '.TH X 1 2026-11-21',
        '.SH NAME',
        'x \\- y',
        '.SH LINES',
        '.EX',
        ...lines.map(escapeRoff),
        '.EE',
        '',
      ]
      const shown = render(command, page.join('\n'))
        .split('\n')
        .map((line) => line.trim())
      for (const line of lines) assert.ok(shown.includes(line), `${line} is not in\n${shown.join('\n')}`)
    })
  }

  it('tells of every variable, exit code and folder in the page of the program', { skip: NEEDS_MANDOC }, () => {
    const text = render(RENDERERS[0].command, pages.get('cairn.1') ?? '')
    for (const { name, borg = name } of VARIABLES) assert.ok(text.includes(name) && text.includes(borg), name)
    for (const code of ['65', '130, 143', '~/.config/cairn/keys']) assert.ok(text.includes(code), code)
  })

  it('is shown on a terminal by man, a page at a time', { skip: NEEDS_TMUX || NEEDS_MAN }, async (t) => {
    const script = path.join(newFolder(), 'run')
    writeFileSync(script, `${cairnCommand(['man', 'create'])}; echo rc=$?; read x\n`)
    const env = Object.fromEntries(
      Object.entries(cairnEnv({ PAGER: 'more' })).map(([name, value]) => [name, value ?? '']),
    )
    const terminal = new Tmux(`sh ${script}`, { env })
    t.after(() => terminal.close())
    const screen = await terminal.sees(/SYNOPSIS/)
    assert.match(screen, /cairn-create, cairn-backup - save files and folders/)
    assert.doesNotMatch(screen, /\.SH|rc=/)
    terminal.type('q')
    await terminal.sees(/rc=0/)
  })

  it('says so where there is no man', { skip: NEEDS_TMUX }, async (t) => {
    const terminal = new Tmux(`PATH=/nonexistent ${cairnCommand(['man'])}; echo rc=$?; read x`)
    t.after(() => terminal.close())
    const screen = await terminal.sees(/rc=1/)
    assert.match(screen.replaceAll('\n', ' '), /Cannot show the manual: .*install man, or see --help/)
  })
})
