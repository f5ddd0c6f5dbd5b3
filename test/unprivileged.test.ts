/** Backups by a user without rights, with the whole program. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { Program } from './program.ts'
import { AS_NOBODY, CAN_BE_NOBODY, NOBODY, needs, newFolder } from './testing.ts'

const skip = needs(CAN_BE_NOBODY, 'cannot become another user')

/** Runs of nobody, who has a home and a repository, and whose compile cache is its own. */
function nobodysProgram(): Program {
  const program = new Program()
  for (const name of ['', ...readdirSync(program.folder, { recursive: true, encoding: 'utf8' })])
    chownSync(path.join(program.folder, name), NOBODY, NOBODY)
  return program
}

describe('a user without rights', { skip }, () => {
  it('saves all that can be read, and is told of the rest', () => {
    const program = nobodysProgram()
    const source = newFolder()
    chmodSync(source, 0o755)
    for (const folder of ['closed', 'listed', 'open']) {
      mkdirSync(`${source}/${folder}`)
      writeFileSync(`${source}/${folder}/f`, folder)
    }
    writeFileSync(`${source}/secret`, 'secret')
    writeFileSync(`${source}/z`, 'z')
    chmodSync(`${source}/closed`, 0o700)
    chmodSync(`${source}/listed`, 0o744)
    chmodSync(`${source}/secret`, 0o600)
    const run = (...args: string[]): ReturnType<Program['create']> =>
      program.create([source, ...args], { under: AS_NOBODY, exit: args.length > 0 ? 0 : 3, env: COMPILED_BY_NOBODY })

    const { letters, issues, summary } = run()
    const inside = source.slice(1)
    assert.deepEqual(issues, [`EACCES ${source}/closed`, `EACCES ${source}/listed/f`, `EACCES ${source}/secret`])
    assert.deepEqual(letters, {
      [inside]: 'd',
      [`${inside}/closed`]: 'E',
      [`${inside}/listed`]: 'd',
      [`${inside}/open`]: 'd',
      [`${inside}/open/f`]: 'A',
      [`${inside}/secret`]: 'E',
      [`${inside}/z`]: 'A',
    })
    assert.deepEqual([summary['incomplete'], summary['error_count']], [true, 3])
    const plain = program.run(['create', '-r', program.repository, source], {
      under: AS_NOBODY,
      env: COMPILED_BY_NOBODY,
    })
    assert.equal(plain.status, 3)
    assert.equal(
      plain.stderr,
      ['closed', 'listed/f', 'secret']
        .map((name) => `cairn: warning: cannot read ${source}/${name}: permission denied\n`)
        .join('') + 'cairn: warning: the snapshot is incomplete: 3 problems, see above\n',
    )
    assert.match(program.succeed(['list', program.repository]), /\(incomplete\)/)
    assert.equal(readFileSync(path.join(program.restore(), source, 'open/f'), 'utf8'), 'open')

    // What is left out on purpose is not looked at, so it cannot be missing.
    const rest = run('-e', '*/closed', '-e', '*/listed', '-e', '*/secret')
    assert.deepEqual([rest.issues, rest.summary['incomplete']], [[], false])
  })

  it('makes a repository that nobody else can look into', () => {
    const program = nobodysProgram()
    const source = newFolder()
    chmodSync(source, 0o755)
    writeFileSync(`${source}/f`, 'x')
    program.create([source], { under: AS_NOBODY, env: COMPILED_BY_NOBODY })
    const entries = readdirSync(program.repository, { recursive: true, encoding: 'utf8' })
    assert.ok(entries.length > 5)
    for (const name of ['', ...entries]) {
      const { mode, uid } = lstatSync(path.join(program.repository, name))
      const isFolder = (mode & 0o170000) === 0o040000
      assert.deepEqual([(mode & 0o777).toString(8), uid], [isFolder ? '700' : '600', NOBODY], name)
    }
  })

  it("gets one clear sentence when the repository is somebody else's", () => {
    const program = new Program()
    const source = newFolder()
    chmodSync(source, 0o755)
    const { folder, home, repository } = program
    for (const place of [folder, home]) chmodSync(place, 0o755)
    for (const args of [
      ['create', '-r', repository, source],
      ['list', repository],
      ['check', repository],
    ]) {
      const options = { under: AS_NOBODY, cwd: '/', env: { ...COMPILED_BY_NOBODY, HOME: '/nonexistent' } }
      const { status, stdout, stderr } = program.run(args, options)
      assert.match(stderr, /^cairn: error: [^\n]*permission denied[^\n]*\n$/)
      assert.ok(stderr.includes(repository), stderr)
      assert.deepEqual([status, stdout], [1, ''])
    }
  })
})

describe(
  'a user without an account, and no HOME',
  { skip: needs(process.getuid?.() === 0, 'only root may become any user') },
  () => {
    it('is told that ~ means nothing', () => {
      for (const location of ['~/repo', '~']) {
        const argv = ['src/main.ts', 'list', location]
        const { status, stderr } = spawnSync(process.execPath, argv, {
          cwd: path.dirname(import.meta.dirname),
          uid: 65_432,
          gid: 65_432,
          env: {},
          encoding: 'utf8',
        })
        assert.match(stderr, /^cairn: error: [^\n]*want the full path in place of ~\n$/)
        assert.equal(status, 2)
      }
    })
  },
)

/** The launcher's cache of compiled code belongs to who made the checkout. */
const COMPILED_BY_NOBODY = { NODE_COMPILE_CACHE: '' }
