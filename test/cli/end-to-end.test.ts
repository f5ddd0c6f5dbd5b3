/** The whole program as a person runs it: `./cairn` in its own process, on real files, with its own home folder. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { jsonLines } from './harness.ts'

const PROGRAM = path.resolve('cairn')
const scratch = mkdtempSync(path.join(tmpdir(), 'cairn-cli-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

let number = 0
let home = ''
let source = ''
let repository = ''

/** A folder tree with the kinds of entries that this version keeps. */
function makeSource(): void {
  mkdirSync(path.join(source, 'pictures/empty'), { recursive: true })
  writeFileSync(path.join(source, 'notes.txt'), 'first line\n')
  for (const name of ['a.jpg', 'b.jpg', 'ü "c".txt']) {
    writeFileSync(path.join(source, 'pictures', name), name.repeat(50_000))
  }
  writeFileSync(path.join(source, 'nothing'), '')
  symlinkSync('../elsewhere', path.join(source, 'link'))
  chmodSync(path.join(source, 'notes.txt'), 0o640)
  utimesSync(path.join(source, 'notes.txt'), 1_000_000_000.25, 1_000_000_000.25)
}

/** Everything about a tree that must come back. */
function treeOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const file = path.join(folder, name)
      const stat = lstatSync(file, { bigint: true })
      const content = stat.isFile() ? readFileSync(file, 'base64') : stat.isSymbolicLink() ? readlinkSync(file) : ''
      return [name, stat.mode.toString(8), stat.uid, stat.gid, stat.mtimeNs, content].join(' ')
    })
}

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function cairn(args: readonly string[], options: { env?: Record<string, string>; cwd?: string } = {}): Result {
  const result = spawnSync(PROGRAM, args, {
    cwd: options.cwd ?? home,
    env: { PATH: process.env['PATH'], HOME: home, CAIRN_PASSPHRASE: 'sesame', ...options.env },
    encoding: 'utf8',
  })
  if (result.error) throw result.error
  return result
}

/** As `cairn`, for commands that must succeed. */
function succeed(...args: Parameters<typeof cairn>): string {
  const { status, stdout, stderr } = cairn(...args)
  assert.equal(status, 0, stderr)
  return stdout
}

function fails(status: number, message: RegExp, ...args: Parameters<typeof cairn>): void {
  const result = cairn(...args)
  assert.match(result.stderr, message)
  assert.equal(result.status, status, result.stderr)
  assert.equal(result.stdout, '')
  assert.match(result.stderr, /^cairn: error: [^\n]+\n$/)
}

beforeEach(() => {
  const place = path.join(scratch, String(number++))
  home = path.join(place, 'home')
  source = path.join(place, 'source')
  repository = path.join(place, 'repository')
  mkdirSync(home, { recursive: true })
  makeSource()
})

describe('cairn', () => {
  it('backs up and restores with one command each, without any set-up', () => {
    const first = cairn(['backup', source])
    assert.equal(first.status, 0, first.stderr)
    const standard = path.join(home, '.local/share/cairn/repository')
    const keys = path.join(home, '.config/cairn/keys')
    assert.ok(first.stderr.includes(standard))
    assert.match(first.stderr, /keep a copy of it somewhere else too/)
    const [keyFile = assert.fail('no key file')] = readdirSync(keys)
    assert.ok(first.stderr.includes(path.join(keys, keyFile)))
    assert.equal(lstatSync(path.join(keys, keyFile)).mode & 0o777, 0o600)

    assert.equal(cairn(['backup', source]).stderr, '')
    assert.equal(succeed(['list', '--short']).trimEnd().split('\n').length, 2)
    succeed(['restore', '--target', 'restored'])
    assert.deepEqual(treeOf(path.join(home, 'restored', source)), treeOf(source))
  })

  for (const encryption of ['repokey', 'keyfile', 'none']) {
    it(`tells the story of Borg's tutorial in a ${encryption} repository`, () => {
      succeed(['init', '--encryption', encryption, repository])
      succeed(['create', `${repository}::Monday`, source])
      const monday = treeOf(source)
      for (const name of ['a.jpg', 'b.jpg']) rmSync(path.join(source, 'pictures', name))
      appendFileSync(path.join(source, 'notes.txt'), 'second line\n')
      succeed(['create', '-r', repository, '::Tuesday', source])
      const stats = succeed(['create', '--stats', `${repository}::Wednesday`, source])
      assert.match(stats, /^Archive name: Wednesday$/m)
      assert.match(stats, /^Number of files: 3$/m)
      assert.match(stats, /^This archive: /m)

      const env = { BORG_REPO: repository }
      assert.equal(succeed(['list', '--short'], { env }), 'Monday\nTuesday\nWednesday\n')
      const inside = source.slice(1)
      const names = succeed(['list', `${repository}::Monday`, '--short', `${inside}/pictures`])
      assert.ok(names.includes(`${inside}/pictures/b.jpg\n`))

      const changes = jsonLines(succeed(['diff', `${repository}::Monday`, 'Tuesday', '--json']))
      const letters = new Map(changes.map(({ path: name, modifier }) => [name, modifier]))
      assert.equal(letters.get(`${inside}/pictures/a.jpg`), '-')
      assert.equal(letters.get(`${inside}/notes.txt`), 'M')

      const target = path.join(home, 'here')
      mkdirSync(target)
      succeed(['extract', `${repository}::Monday`], { cwd: target })
      assert.deepEqual(treeOf(path.join(target, source)), monday)

      succeed(['restore', '-r', repository, 'Tuesday', `${inside}/notes.txt`, '--target', 'one'])
      assert.equal(readFileSync(path.join(home, 'one', source, 'notes.txt'), 'utf8'), 'first line\nsecond line\n')
      assert.ok(!existsSync(path.join(home, 'one', source, 'pictures')))

      const info = JSON.parse(succeed(['info', `${repository}::Tuesday`, '--json'])) as Record<
        string,
        { mode?: string }
      >
      assert.equal(info['encryption']?.mode, encryption)
    })
  }

  it('prints JSON lines whose summary agrees with the listing', () => {
    succeed(['init', repository])
    const lines = jsonLines(succeed(['create', `${repository}::n`, source, '--json', '--list']))
    const summary = lines.at(-1)
    assert.equal(summary?.['message_type'], 'summary')
    assert.equal(summary?.['files_new'], 5)
    const snapshots = JSON.parse(succeed(['list', repository, '--json'])) as { id: string }[]
    assert.deepEqual(
      snapshots.map(({ id }) => id),
      [summary?.['snapshot_id']],
    )
    const nodes = jsonLines(succeed(['list', '-r', repository, 'latest', '--json']))
    const snapshot = nodes.shift()
    assert.equal(snapshot?.['id'], summary?.['snapshot_id'])
    assert.equal(nodes.filter((node) => node['type'] === 'file').length, 5)
  })

  it('refuses bad input with one sentence and the right exit code, and leaves nothing half made', () => {
    fails(10, /cairn init/, ['list', repository])
    fails(10, /repository/, ['create', `${repository}::n`, source])
    assert.ok(!existsSync(repository))

    succeed(['init', repository])
    fails(1, /repository/i, ['init', repository])
    fails(1, /nonexistent/, ['create', `${repository}::n`, `${source}/nonexistent`])
    assert.equal(succeed(['list', repository, '-q']), '')

    succeed(['create', `${repository}::n`, source])
    fails(1, /n/, ['create', `${repository}::n`, source])
    fails(12, /passphrase/, ['list', repository], { env: { CAIRN_PASSPHRASE: 'wrong' } })
    fails(1, /nothere/, ['extract', `${repository}::nothere`])
    fails(2, /did you mean --short/, ['list', '--shrt', repository])
    fails(2, /zstandard/, ['create', '-C', 'zstandard', `${repository}::m`, source])
    fails(10, /./, ['list', source]) // a folder, but not a repository
    assert.equal(succeed(['list', '--short', repository]), 'n\n')
  })

  it('names, marks, deletes, brings back and rewrites snapshots', () => {
    succeed(['init', '-e', 'none', repository])
    for (const name of ['monday', 'tuesday', 'web-1', 'web-2']) succeed(['create', `${repository}::${name}`, source])
    const whole = treeOf(source)
    succeed(['rename', `${repository}::monday`, 'moon'])
    succeed(['tag', repository, '-a', 'web-*', '--add', 'a,b'])
    succeed(['tag', '-r', repository, 'web-2', '--remove', 'a'])
    succeed(['comment', `${repository}::moon`, 'the first'])
    succeed(['pin', `${repository}::tuesday`])
    const lines = succeed(['list', repository]).trimEnd().split('\n')
    const expected = [
      /^moon .*\] # the first$/,
      /^tuesday .*\] \(pinned\)$/,
      /^web-1 .*\(tags: a, b\)$/,
      /^web-2 .*\(tags: b\)$/,
    ]
    for (const [i, pattern] of expected.entries()) assert.match(lines[i] ?? '', pattern)
    assert.match(succeed(['info', `${repository}::tuesday`]), /^Pinned: Yes$/m)

    fails(2, /cairn unpin/, ['delete', `${repository}::moon`, 'tuesday'])
    fails(1, /'nope'/, ['delete', `${repository}::moon`, 'nope'])
    fails(2, /whole repository/, ['delete', repository])
    fails(1, /taken|has it/, ['rename', `${repository}::moon`, 'tuesday'])
    succeed(['delete', `${repository}::moon`, 'web-1'])
    assert.equal(succeed(['list', '--short', repository]), 'tuesday\nweb-2\n')
    assert.equal(succeed(['list', '--short', '--deleted', repository]), 'moon\nweb-1\n')
    succeed(['undelete', `${repository}::moon`])
    fails(1, /it is not deleted/, ['undelete', `${repository}::moon`])

    const inside = source.slice(1)
    const dry = ['rewrite', `${repository}::moon`, '--exclude', `${inside}/pictures`, '--list']
    assert.equal(succeed([...dry, '--dry-run']), `x ${inside}/pictures\n`)
    succeed(dry)
    succeed(['restore', '-r', repository, 'moon', '--target', 'rewritten'])
    assert.deepEqual(
      treeOf(path.join(home, 'rewritten', source)),
      whole.filter((line) => !line.startsWith('pictures')),
    )
    succeed(['restore', '-r', repository, 'tuesday', '--target', 'whole'])
    assert.deepEqual(treeOf(path.join(home, 'whole', source)), whole)
    assert.match(succeed(['check', '--read-data', repository]), /No errors were found/)
  })

  it('takes names that are not UTF-8 from the command line', () => {
    succeed(['init', '-e', 'none', repository])
    const script = `mkdir "$1/odd" && name=$(printf 'caf\\351') && echo x > "$1/odd/$name" && exec "$2" create "$3::n" "$1/odd/$name" -q`
    const made = spawnSync('sh', ['-c', script, 'sh', source, PROGRAM, repository], {
      env: { PATH: process.env['PATH'], HOME: home },
      encoding: 'utf8',
    })
    assert.equal(made.status, 0, made.stderr)
    const node = jsonLines(succeed(['list', `${repository}::n`, '--json'])).find(({ type }) => type === 'file')
    assert.equal(Buffer.from(String(node?.['name_b64']), 'base64').toString('latin1'), 'caf\u00E9')
  })

  it('restores a snapshot though another one is damaged, and says so', () => {
    succeed(['init', repository, '--encryption', 'none'])
    succeed(['create', `${repository}::sound`, source])
    const [sound] = readdirSync(path.join(repository, 'commits'))
    writeFileSync(path.join(source, 'more'), 'more')
    succeed(['create', `${repository}::rotten`, source])
    const rotten = readdirSync(path.join(repository, 'commits')).find((name) => name !== sound) ?? ''
    const file = path.join(repository, 'commits', rotten)
    const bytes = readFileSync(file)
    bytes[60] = (bytes[60] ?? 0) ^ 1
    chmodSync(file, 0o600)
    writeFileSync(file, bytes)
    rmSync(path.join(source, 'more'))
    for (const [target, options] of [
      ['a', []],
      ['b', ['--json']],
    ] as const) {
      const { status, stderr } = cairn(['restore', `${repository}::sound`, '-t', target, ...options])
      assert.equal(status, 65, stderr)
      assert.ok(stderr.includes(`commits/${rotten}`))
      assert.deepEqual(treeOf(path.join(home, target, source)), treeOf(source))
    }
    const { status, stdout } = cairn(['extract', `${repository}::sound`, '--stdout', path.join(source, 'notes.txt')])
    assert.deepEqual([status, stdout], [65, 'first line\n'])
  })

  it('restores nothing over files that exist', () => {
    succeed(['init', '-e', 'none', repository])
    succeed(['create', `${repository}::n`, source])
    succeed(['restore', '-r', repository, '--target', 'out'])
    const mine = path.join(home, 'out', source, 'notes.txt')
    writeFileSync(mine, 'mine')
    const again = cairn(['restore', '-r', repository, '--target', 'out'])
    assert.equal(again.status, 3)
    assert.match(again.stderr, /cairn: warning: .*notes\.txt/)
    assert.equal(readFileSync(mine, 'utf8'), 'mine')
  })
})

describe('./cairn', () => {
  it('prints help and version from any folder, also through a link', () => {
    assert.match(succeed(['--help'], { cwd: '/' }), /^Usage: cairn/)
    const link = path.join(home, 'c')
    symlinkSync(PROGRAM, link)
    const { stdout } = spawnSync(link, ['--version'], { cwd: '/', encoding: 'utf8' })
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    assert.equal(stdout, `cairn ${version}\n`)
  })

  it('keeps its exit code and its one line when the usage is wrong', () => {
    fails(2, /unknown command 'lst'; did you mean list\?/, ['lst'])
  })
})
