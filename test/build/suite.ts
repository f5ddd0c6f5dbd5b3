/** What holds for the program in every form in which it is given to others: the npm package, and the executable. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { toSystemPath } from '../../src/base/raw-name.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { BORG_VERSION } from '../../src/config/placeholders.ts'
import { VERSION } from '../../src/operations/version.ts'
import { SKIP_UNLESS_FUSE } from '../mounting.ts'
import { IS_ROOT, LATIN1_NAME, hasCommand, needs, newFolder } from '../testing.ts'
import { makeRareEntries, makeTortureTree } from '../torture-tree.ts'
import { digestTree } from '../tree-digest.ts'

const CHECKOUT = path.resolve(import.meta.dirname, '../..')

const HIDE = 'mount -t tmpfs none "$0" && exec "$@"'
/** Arguments of unshare(1), to run a command where this checkout is not, nor any network. */
const ELSEWHERE = ['--mount', '--net', ...(IS_ROOT ? [] : ['--map-root-user']), 'sh', '-c', HIDE, CHECKOUT]

/** The `skip` option of a test that must not find this checkout. */
export const SKIP_UNLESS_ELSEWHERE = needs(
  hasCommand('unshare', ...ELSEWHERE, 'true'),
  'needs to mount something over this checkout',
)

/** Makes `npm run build` in a new folder, and returns that. */
export function build(...args: string[]): string {
  const out = newFolder()
  const { status, stdout, stderr } = spawnSync('npm', ['run', 'build', '--', '--out', out, ...args], {
    cwd: CHECKOUT,
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
  return out
}

export interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The program as somebody has it who has nothing else of it. */
export class InstalledProgram {
  /** The file that is run. */
  readonly file: string
  /** Where it runs: empty at first. */
  readonly folder = newFolder()
  readonly #path: string

  constructor(file: string, path = '/nowhere') {
    this.file = file
    this.#path = path
  }

  /** The words of a command that runs it, or a link to it, with almost no environment. */
  command(env: Readonly<Record<string, string>> = {}, file = this.file): string[] {
    const variables = { PATH: this.#path, HOME: this.folder, CAIRN_PASSPHRASE: 'secret', ...env }
    return ['env', '-i', ...Object.entries(variables).map(([name, value]) => `${name}=${value}`), file]
  }

  run(args: readonly string[], env?: Readonly<Record<string, string>>, file?: string): Result {
    return this.shell('exec "$@"', {}, [...this.command(env, file), ...args])
  }

  /** As `run`, for what must succeed; returns what it prints. */
  succeed(args: readonly string[], env?: Readonly<Record<string, string>>): string {
    const { status, stdout, stderr } = this.run(args, env)
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }

  /** Runs a script with `variables`, and the command as its arguments. */
  shell(script: string, variables: Readonly<Record<string, string>> = {}, command = this.command()): Result {
    return spawnSync('unshare', [...ELSEWHERE, 'sh', '-c', script, 'sh', ...command], {
      cwd: this.folder,
      env: { PATH: process.env['PATH'], ...variables },
      encoding: 'utf8',
      timeout: 120_000,
    })
  }
}

/** @param install makes it, before the first test */
export function describeProgram(name: string, install: () => InstalledProgram, skip: string | false = false): void {
  describe(name, { skip: SKIP_UNLESS_ELSEWHERE || skip }, () => {
    let program: InstalledProgram
    before(() => (program = install()))

    const unencrypted = (): string => {
      const repository = `${newFolder()}/repo`
      program.succeed(['init', '-e', 'none', repository])
      return repository
    }

    it('has every command', () => {
      assert.equal(program.succeed(['--version']), `cairn ${VERSION}\n`)
      assert.match(program.succeed(['--help']), /^Usage: cairn COMMAND/)
      for (const { name } of COMMANDS)
        assert.match(program.succeed([name, '--help']), new RegExp(`^Usage: cairn ${name}`))
    })

    it('knows the licences of what is in it', () => {
      const text = program.succeed(['version', '--licenses'])
      assert.match(text, /^commander \S+ \(MIT\)\n=+\n\n\(The MIT License\)\n\nCopyright/m)
    })

    it('says by its exit code what went wrong', () => {
      const repository = `${newFolder()}/repo`
      program.succeed(['init', repository])
      for (const [status, args, env] of [
        [2, ['create', '--no-such-option'], {}],
        [2, ['no-such-command'], {}],
        [10, ['list', `${repository}-2`], {}],
        [12, ['list', repository], { CAIRN_PASSPHRASE: 'wrong' }],
        [1, ['list', `${repository}::none`], {}],
      ] as const) {
        const result = program.run(args, env)
        assert.equal(result.status, status, `${args.join(' ')}: ${result.stderr}`)
        assert.match(result.stderr, /^cairn/)
        assert.doesNotMatch(result.stderr, /\.js:/) // no stack
      }
    })

    it('saves everything and gives it back, encrypted, by several workers', () => {
      const source = newFolder()
      makeTortureTree(source)
      if (IS_ROOT) makeRareEntries(source)
      const want = digestTree(source)
      const repository = `${newFolder()}/repo`
      const target = newFolder()
      program.succeed(['init', '--encryption', 'repokey', repository])
      program.succeed(['create', '--workers', '3', `${repository}::one`, source])
      writeFileSync(`${source}/new`, 'more')
      program.succeed(['create', `${repository}::two`, source])
      assert.match(program.succeed(['diff', '--json', `${repository}::one`, 'two']), /\/new"/)
      assert.match(program.succeed(['list', '--short', repository]), /^one\ntwo\n$/)
      assert.match(program.succeed(['list', '--short', `${repository}::one`]), /\/sizes\/4096\n/)
      assert.match(program.succeed(['check', '--read-data', '--workers', '3', repository]), /No errors/)
      program.succeed(['restore', '-r', repository, 'one', '--workers', '3', '--target', target])
      assert.deepEqual(digestTree(path.join(target, source)), want)
    })

    it('compresses in every way', () => {
      const source = newFolder()
      cpSync(`${CHECKOUT}/docs`, source, { recursive: true })
      const sizes = ['lz4', 'zstd,9', 'lzma'].map((compression) => {
        const repository = unencrypted()
        program.succeed(['create', '--compression', compression, `${repository}::one`, source])
        const target = newFolder()
        program.succeed(['restore', '-r', repository, 'one', '--target', target])
        assert.deepEqual(digestTree(path.join(target, source)), digestTree(source))
        return sizeOf(repository)
      })
      assert.deepEqual(
        sizes,
        sizes.toSorted((a, b) => b - a),
      )
    })

    it('exports archives, and imports them', () => {
      const repository = unencrypted()
      const source = newFolder()
      cpSync(`${CHECKOUT}/docs`, source, { recursive: true })
      program.succeed(['create', `${repository}::one`, source])
      for (const suffix of ['tar', 'tar.gz', 'tar.zst', 'zip']) {
        const file = `${newFolder()}/one.${suffix}`
        program.succeed(['export', `${repository}::one`, file])
        program.succeed(['verify', file])
        program.succeed(['import', file, `${repository}::${suffix}`])
        const target = newFolder()
        program.succeed(['restore', '-r', repository, suffix, '--target', target])
        assert.equal(spawnSync('diff', ['-r', source, path.join(target, source)]).status, 0, suffix)
      }
    })

    it('takes arguments of any bytes', () => {
      const folder = newFolder()
      const repository = unencrypted()
      writeFileSync(toSystemPath(`${folder}/${LATIN1_NAME}`), 'content')
      const { status, stderr } = program.shell('exec "$@" create -r "$repository" ::one "$folder"/*', {
        folder,
        repository,
      })
      assert.equal(status, 0, stderr)
      program.succeed(['restore', '-r', repository, 'one', '--target', `${folder}/target`])
      assert.deepEqual(
        readdirSync(Buffer.from(`${folder}/target${folder}`), 'buffer'),
        [toSystemPath(LATIN1_NAME)].map((name) => Buffer.from(name)),
      )
    })

    it('serves a repository to another one, called by a full path', () => {
      const repository = `far:${newFolder()}/repo`
      const rsh = path.join(newFolder(), 'rsh')
      writeFileSync(rsh, '#!/bin/sh\nshift\nexec /bin/sh -c "$*"\n') // as SSH does, without going anywhere
      chmodSync(rsh, 0o755)
      const env = { CAIRN_RSH: rsh, CAIRN_REMOTE_PATH: program.file }
      program.succeed(['init', '-e', 'none', repository], env)
      program.succeed(['create', `${repository}::one`, rsh], env)
      assert.match(program.succeed(['list', '--short', repository], env), /^one\n$/)
      assert.match(program.succeed(['check', '--read-data', repository], env), /No errors/)
    })

    const borgLink = (): string => {
      const link = path.join(newFolder(), 'borg')
      symlinkSync(program.file, link)
      return link
    }

    it('is Borg by way of a link', () => {
      const link = borgLink()
      assert.equal(program.run(['--version'], {}, link).stdout, `borg ${BORG_VERSION} (cairn ${VERSION})\n`)
      assert.equal(program.run(['list', '/nowhere'], {}, link).status, 2)
    })

    it('mounts, in the background, and stays Borg there', { skip: SKIP_UNLESS_FUSE }, () => {
      const repository = unencrypted()
      const source = newFolder()
      cpSync(`${CHECKOUT}/docs`, source, { recursive: true })
      program.succeed(['create', `${repository}::one`, source])
      // All in one place, where the mount is, too.
      const script = `"$@" mount "$repository::one" "$point" &&
        diff -r "$source" "$point$source" && echo same; "$@" umount "$point" && ls "$point"`
      const command = program.command({}, borgLink())
      const result = program.shell(script, { repository, point: newFolder(), source }, command)
      assert.deepEqual([result.status, result.stdout, result.stderr], [0, 'same\n', ''])
      const none = program.command({ BORG_EXIT_CODES: 'modern' }, borgLink())
      assert.equal(program.shell('exec "$@" mount /nowhere /mnt', {}, none).status, 13)
    })
  })
}

/** Bytes of all files below `folder`. */
function sizeOf(folder: string): number {
  return Number.parseInt(execFileSync('du', ['-sb', folder], { encoding: 'utf8' }), 10)
}
