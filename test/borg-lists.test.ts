/** What `list`, `diff`, `info` and `create` print under the name `borg`, compared with what Borg prints of the same tree. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, linkSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { HAS_BORG } from './borg-host.ts'
import { cairn, IS_ROOT, needs, newFolder } from './testing.ts'

interface Answer {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const folder = newFolder()
const source = path.join(folder, 'source')
const inside = source.slice(1)
const OURS = { CAIRN_CALLED_AS: 'borg', BORG_REPO: path.join(folder, 'ours'), BORG_PASSPHRASE: 'secret' }
const THEIRS = { BORG_BASE_DIR: folder, BORG_REPO: path.join(folder, 'theirs'), BORG_PASSPHRASE: 'secret' }

function run(args: readonly string[]): [ours: Answer, theirs: Answer] {
  const env = { PATH: process.env['PATH'], TZ: 'Europe/Berlin', ...THEIRS }
  return [cairn(args, { env: { TZ: 'Europe/Berlin', ...OURS } }), spawnSync('borg', args, { encoding: 'utf8', env })]
}

/** What both print, which must succeed. */
function print(...args: readonly string[]): [ours: string, theirs: string] {
  const answers = run(args)
  for (const { status, stderr } of answers) assert.equal(status, 0, stderr)
  return [answers[0].stdout, answers[1].stdout]
}

/** Asserts that both print the same lines, in whatever order. */
function sameLines(args: readonly string[], comparable = (line: string): string => line): void {
  const [ours, theirs] = print(...args).map((text) => text.split('\n').map(comparable).sort())
  assert.deepEqual(ours, theirs, args.join(' '))
}

/** Which name of a file is the first depends on the order. */
function withoutLinks(line: string): string {
  return /two\/[12]/.test(line) ? '' : line
}

/** The form of a JSON value: its keys and the types of its values. */
function formOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [formOf(value[0])]
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, formOf(one)]),
  )
}

describe('under the name borg', { skip: needs(IS_ROOT && HAS_BORG, 'needs root, and Borg 1.2') }, () => {
  before(() => {
    mkdirSync(`${source}/d/e`, { recursive: true })
    writeFileSync(`${source}/a`, 'a\n')
    writeFileSync(`${source}/ö "x" $y`, 'y'.repeat(70_000))
    writeFileSync(`${source}/gone`, 'gone')
    writeFileSync(`${source}/owned`, 'owned')
    writeFileSync(`${source}/d/e/same`, 'same')
    writeFileSync(`${source}/becomes`, 'a folder')
    symlinkSync('a', `${source}/link`)
    execFileSync('mkfifo', [`${source}/fifo`])
    execFileSync('mknod', [`${source}/null`, 'c', '1', '3'])
    chownSync(`${source}/owned`, 2, 1)
    chmodSync(`${source}/owned`, 0o4750)
    mkdirSync(`${source}/two`)
    writeFileSync(`${source}/two/1`, 'two names')
    linkSync(`${source}/two/1`, `${source}/two/2`)
    for (const name of ['a', 'd/e/same', 'owned']) utimesSync(`${source}/${name}`, 1_000_000_000.5, 1_000_000_000.25)
    print('init', '-e', 'repokey-blake2')
    print('create', '--comment', 'the {user} of it', '--timestamp', '2025-01-02T03:04:05', '::one', source)
    writeFileSync(`${source}/a`, 'aa\n')
    writeFileSync(`${source}/new`, 'x'.repeat(2_345_678))
    mkdirSync(`${source}/folder`)
    rmSync(`${source}/gone`)
    rmSync(`${source}/link`)
    symlinkSync('ö', `${source}/link`)
    chmodSync(`${source}/d/e`, 0o700)
    chownSync(`${source}/owned`, 0, 0)
    rmSync(`${source}/becomes`)
    mkdirSync(`${source}/becomes`)
    print('create', '--timestamp', '2025-01-03', '::two', source)
  })

  it('lists archives', () => {
    sameLines(['list'], (line) => line.replace(/\[[0-9a-f]+\]/, '[id]'))
    sameLines(['list', '--short', '--sort-by', 'name', '--last', '1'])
    sameLines([
      'list',
      '--format',
      '{archive:>10}|{name}|{barchive}|{comment}|{time}|{start:%j}|{hostname}|{username}{NL}',
    ])
    sameLines(['list', '--glob-archives', 'o*', '--short'])
    sameLines(['list', '-P', 'x'])
    const [ours, theirs] = print('list', '--json', '--format', '{comment}{command_line}')
    assert.deepEqual(formOf(JSON.parse(ours)), formOf(JSON.parse(theirs)))
  })

  it('lists contents', () => {
    sameLines(['list', '::one'], withoutLinks)
    sameLines(['list', '--short', '::two'])
    sameLines(['list', '::one', `${inside}/d`, '--exclude', 'sh:**/same'])
    sameLines(['list', '::one', 'sh:**/a', 're:owned$', '--short'])
    const keys =
      'type mode uid gid user group path bpath source linktarget flags size num_chunks mtime isomtime archivename extra health'
    const format = `${keys
      .split(' ')
      .map((key) => `{${key}}`)
      .join('|')}{NL}`
    sameLines(['list', '::two', '--format', format], withoutLinks)
    sameLines(
      ['list', '::two', '--format', '{md5} {sha1} {sha256} {sha512} {sha3_256} {blake2b} {blake2s} {path}{NUL}'],
      (text) => text.split('\0').map(withoutLinks).sort().join('\n'),
    )
    const [ours, theirs] = print('list', '::two', '--json-lines').map((text) =>
      text
        .trim()
        .split('\n')
        .filter((line) => withoutLinks(line) !== '')
        .map((line) => JSON.parse(line) as { path: string })
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
    )
    assert.deepEqual(ours, theirs)
  })

  it('tells differences', () => {
    sameLines(['diff', '--content-only', '::one', 'two'])
    // Borg knows ctimes too.
    sameLines(['diff', '::one', 'two', '--exclude', `${inside}/d/e/same`], (line) =>
      line.replace(/\[ctime: [^\]]*\] /, ''),
    )
    sameLines(['diff', '--content-only', '::one', 'two', `${inside}/d`, `${inside}/new`])
    const [ours, theirs] = print('diff', '--json-lines', '::one', 'two').map((lines) =>
      lines
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { path: string; changes: { type: string }[] })
        .map(({ path: name, changes }) => ({ name, changes: changes.filter(({ type }) => type !== 'ctime') }))
        .filter(({ changes }) => changes.length > 0)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    )
    assert.deepEqual(ours, theirs)
  })

  it('prints facts with the same labels, and JSON of the same form', () => {
    for (const args of [['info'], ['info', '::two'], ['info', '-a', '*']]) {
      const [ours, theirs] = print(...args)
      const found = new Set(labelsOf(ours))
      const missing = labelsOf(theirs).filter((label) => !found.has(label))
      assert.deepEqual(
        missing.filter((label) => !MACHINERY.has(label)),
        [],
      )
      const [json, wanted] = print(...args, '--json').map((text) => formOf(JSON.parse(text)))
      assert.deepEqual(withoutParams(json), withoutParams(wanted))
    }
    const [json, wanted] = print('create', '--json', '::three', source).map((text) => formOf(JSON.parse(text)))
    assert.deepEqual(json, wanted)
  })

  it('saves what there is when a path is missing, with a warning', () => {
    const nowhere = path.join(folder, 'nowhere')
    for (const { status, stdout, stderr } of run([
      'create',
      '--show-rc',
      '--list',
      '--filter',
      'E',
      '::four',
      nowhere,
      source,
    ])) {
      assert.deepEqual([status, stdout], [1, ''], stderr)
      assert.match(stderr, /nowhere: .*[Nn]o such file or directory/)
      assert.match(stderr, /terminating with warning status, rc 1\n$/)
    }
    const [ours, theirs] = print('list', '--short', '::four').map((text) => text.split('\n').sort())
    assert.deepEqual(ours, theirs)
  })

  it('fails alike', () => {
    for (const args of [
      ['list', '::nothing'],
      ['create', '::one', source],
      ['create', source, source],
      ['list', path.join(folder, 'nowhere')],
      ['prune'],
      ['create', '::{nwo}', source],
      ['rename', '::nothing', 'x'],
      ['list', '--first', '0'],
      ['list', '--json-lines'],
      ['config'],
      ['nonsense'],
    ]) {
      const [ours, theirs] = run(args)
      assert.deepEqual([ours.status, ours.stdout], [theirs.status, theirs.stdout], `${args.join(' ')}: ${ours.stderr}`)
    }
  })
})

/** Labels of what there is only in Borg. */
const MACHINERY = new Set(['Cache:', 'Security dir:', 'Utilization of maximum supported archive size:'])

function labelsOf(text: string): string[] {
  return text.split('\n').flatMap((line) => /^[A-Z][A-Za-z ()]+:/.exec(line)?.[0] ?? [])
}

/** The parameters of the chunkers differ. */
function withoutParams(form: unknown): unknown {
  return JSON.parse(JSON.stringify(form, (key, value: unknown) => (key === 'chunker_params' ? [] : value)))
}
