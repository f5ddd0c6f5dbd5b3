/** What `cairn create --dry-run --list` takes and leaves out, compared with what Borg does. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { FILE_FLAGS, setFileFlags } from '../../src/platform/file-flags.ts'
import { hasPrograms, newDirectory, newFileSystem, SKIP_UNLESS_ROOT, skip } from '../../src/platform/testing.ts'

const MAIN = path.join(import.meta.dirname, '../../src/main.ts')
const CACHE_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55'

/** A file system with directories of every kind that an option is about, mounted in it another one. */
function newTree(t: TestContext): string | undefined {
  const system = newFileSystem(t, 'ext4')
  if (!system) return undefined
  const root = system.directory
  const files: Record<string, string> = {
    'cache/CACHEDIR.TAG': `${CACHE_SIGNATURE}\n`,
    'cache/f': '',
    'cache/d/f': '',
    'no-cache/CACHEDIR.TAG': 'Signature: no',
    'no-cache/f': '',
    'tagged/.nobackup': '',
    'tagged/f': '',
    'tagged/d/f': '',
    'both/.nobackup': '',
    'both/other-tag': '',
    'both/CACHEDIR.TAG': CACHE_SIGNATURE,
    'both/f': '',
    'flagged/f': '',
    'plain/f.o': '',
    'plain/g': '',
    'plain/nodump': '',
    'plain/d/e/f.o': '',
    'plain/d/e/g': '',
    z: '',
  }
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(`${root}/${file}`), { recursive: true })
    writeFileSync(`${root}/${file}`, content)
  }
  symlinkSync('plain', `${root}/link`)
  execFileSync('mkfifo', [`${root}/fifo`])
  for (const name of ['flagged', 'plain/nodump']) setFileFlags(`${root}/${name}`, FILE_FLAGS.NODUMP)
  mkdirSync(`${root}/mounted`)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', 'cairn-test', `${root}/mounted`])
  if (mounted.status !== 0) {
    skip(t, 'tmpfs cannot be mounted')
    return undefined
  }
  t.after(() => spawnSync('umount', ['-l', `${root}/mounted`]))
  writeFileSync(`${root}/mounted/f`, '')
  return root
}

function byBorg(root: string, options: readonly string[], paths: readonly string[], repository: string): string[] {
  const args = ['create', '--dry-run', '--list', ...options, `${repository}::x`, ...paths]
  const { stderr, status } = spawnSync('borg', args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, BORG_BASE_DIR: repository, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' },
  })
  assert.equal(status, 0, stderr)
  return stderr.split('\n').filter((line) => /^[-x] /.test(line))
}

function byCairn(root: string, options: readonly string[], paths: readonly string[]): string[] {
  const args = [MAIN, 'create', '-r', '/nowhere', '-q', '--dry-run', '--list', ...options, ...paths]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter((line) => /^[-x] /.test(line))
}

/** Sorted, without Borg's `./`, and without `.` itself, which Cairn's list does not have. */
function tidy(lines: readonly string[]): string[] {
  return lines
    .map((line) => line.replace(/^(. )\.\//, '$1'))
    .filter((line) => !/^[-x] \.?$/.test(line))
    .sort()
}

describe('create --dry-run --list', { skip: SKIP_UNLESS_ROOT }, () => {
  it('takes and leaves out what Borg does', (t) => {
    if (!hasPrograms(t, 'borg')) return
    const root = newTree(t)
    if (!root) return
    const repository = newDirectory()
    const env = { ...process.env, BORG_BASE_DIR: repository }
    execFileSync('borg', ['init', '-e', 'none', repository], { env, stdio: 'pipe' })
    const rows: [options: string[], paths?: string[]][] = [
      [[]],
      [['--exclude-if-present', '.nobackup', '--exclude-if-present', 'other-tag', '--exclude-caches']],
      [['--exclude-caches'], ['cache', 'z']],
      [['--exclude-nodump'], ['flagged', 'plain/nodump', 'z']],
      [['--exclude', 'plain/d', '--exclude-caches', '--exclude-nodump']],
      [['--pattern', '+ plain/d/e', '--pattern', '- plain']],
      [['--pattern', '+ cache/f', '--pattern', '! cache', '--exclude-if-present', '.nobackup']],
      [
        ['--exclude', 'plain'],
        ['plain', 'z'],
      ],
      [[], ['plain/d', 'link', 'fifo', 'plain/g']],
    ]
    for (const [options, paths = ['.']] of rows) {
      const lines = byBorg(root, options, paths, repository)
      // Where something is stored, so are the directories that it lies in.
      const isOnTheWay = (line: string): boolean => lines.some((other) => other.startsWith(`-${line.slice(1)}/`))
      const borg = tidy(lines.map((line) => (isOnTheWay(line) ? `-${line.slice(1)}` : line)))
      assert.deepEqual(tidy(byCairn(root, options, paths)), borg, [...options, ...paths].join(' '))
    }
  })

  it('keeps what --keep-exclude-tags keeps in Borg, which lists the directory as left out though it is not', (t) => {
    const root = newTree(t)
    if (!root) return
    const tags = ['--exclude-if-present', '.nobackup', '--exclude-if-present', 'other-tag', '--exclude-caches']
    const lines = byCairn(root, [...tags, '--keep-exclude-tags'], ['.'])
    assert.deepEqual(
      lines.filter((line) => /both|cache|tagged/.test(line)),
      [
        '- both',
        '- both/.nobackup',
        '- both/CACHEDIR.TAG',
        '- both/other-tag',
        '- cache',
        '- cache/CACHEDIR.TAG',
        '- no-cache',
        '- no-cache/CACHEDIR.TAG',
        '- no-cache/f',
        '- tagged',
        '- tagged/.nobackup',
      ],
    )
    if (!hasPrograms(t, 'borg')) return
    const repository = newDirectory()
    const env = { ...process.env, BORG_BASE_DIR: repository, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' }
    execFileSync('borg', ['init', '-e', 'none', repository], { env, stdio: 'pipe' })
    execFileSync('borg', ['create', ...tags, '--keep-exclude-tags', `${repository}::x`, '.'], {
      cwd: root,
      env,
      stdio: 'pipe',
    })
    const stored = execFileSync('borg', ['list', '--short', `${repository}::x`], { env, encoding: 'utf8' })
    const want = lines.map((line) => line.slice(2)).sort()
    assert.deepEqual(
      stored
        .trim()
        .split('\n')
        .filter((line) => line !== '.')
        .sort(),
      want,
    )
  })

  it('stays in one file system, and keeps the directory that another one is mounted on, which Borg leaves out', (t) => {
    const root = newTree(t)
    if (!root) return
    const all = byCairn(root, [], ['.'])
    const one = byCairn(root, ['--one-file-system'], ['.'])
    assert.deepEqual(
      [all.includes('- mounted/f'), one.includes('- mounted/f'), one.includes('- mounted')],
      [true, false, true],
    )
    assert.deepEqual(
      one,
      all.filter((line) => line !== '- mounted/f'),
    )
  })
})
