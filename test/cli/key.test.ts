/** `cairn key` as a person runs it: the whole program, also on a terminal. Deriving a key is slow, so each test does much at once. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { newFolder } from '../testing.ts'
import { jsonLines, runCli } from './harness.ts'
import { TERMINAL_TESTS, Terminal } from './terminal.ts'

const PROGRAM = path.resolve('cairn')

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A repository with the passphrase `one`, and a snapshot `first`. */
class Machine {
  readonly folder = newFolder()
  readonly home = path.join(this.folder, 'home')
  readonly repository = path.join(this.folder, 'repo')
  readonly file = path.join(this.folder, 'file')

  constructor(encryption = 'repokey') {
    mkdirSync(this.home)
    writeFileSync(this.file, 'content')
    this.succeed('one', 'init', '--encryption', encryption, this.repository)
    this.succeed('one', 'create', `${this.repository}::first`, this.file)
  }

  run(passphrase: string | undefined, args: readonly string[], env: Record<string, string> = {}, input = ''): Result {
    return spawnSync(PROGRAM, args, {
      env: {
        PATH: process.env['PATH'],
        HOME: this.home,
        TZ: 'UTC',
        ...(passphrase === undefined ? {} : { CAIRN_PASSPHRASE: passphrase }),
        ...env,
      },
      encoding: 'utf8',
      input,
    })
  }

  succeed(passphrase: string, ...args: string[]): string {
    const { status, stdout, stderr } = this.run(passphrase, args)
    assert.equal(status, 0, stderr)
    return stdout
  }

  /** Choosing a new passphrase. */
  choose(passphrase: string, chosen: string, ...args: string[]): string {
    const { status, stdout, stderr } = this.run(passphrase, args, { BORG_NEW_PASSPHRASE: chosen })
    assert.equal(status, 0, stderr)
    return stdout
  }

  keys(passphrase: string): Record<string, unknown>[] {
    return JSON.parse(this.succeed(passphrase, 'key', 'list', '--json', this.repository)) as Record<string, unknown>[]
  }

  refuses(passphrase: string): void {
    assert.equal(this.run(passphrase, ['list', this.repository]).status, 12)
  }
}

describe('cairn key', () => {
  it('adds, lists, removes and exchanges passphrases, and makes a recovery key', () => {
    const machine = new Machine()
    const { repository } = machine
    assert.match(
      machine.choose('one', 'two', 'key', 'add', '--label', 'Ann\u001B', repository),
      /^Key \w{8} \(Ann\\x1b\) added\.\n$/,
    )
    const [first, second] = machine.keys('two')
    assert.deepEqual([first?.['current'], second?.['current'], second?.['label']], [false, true, 'Ann\u001B'])
    assert.match(
      machine.succeed('one', 'key', 'list', repository),
      /^\*\w{8} {2}passphrase .*\n \w{8} {2}passphrase .* Ann\\x1b\n$/,
    )

    assert.match(machine.choose('two', 'zwei', 'key', 'change-passphrase', '-r', repository), /Passphrase changed/)
    machine.refuses('two')
    const own = machine.run('one', ['key', 'remove', repository, String(first?.['id'])])
    assert.deepEqual([own.status, own.stdout], [2, ''])
    assert.match(own.stderr, /was opened with it/)

    const recovery = machine.succeed('zwei', 'key', 'add', '--recovery', '--quiet', repository).trim()
    assert.match(recovery, /^(?:\w{5}-){7}\w{5}$/)
    machine.succeed(
      recovery.toLowerCase().replaceAll('-', ' '),
      'key',
      'remove',
      repository,
      String(first?.['id']).slice(0, 6),
    )
    machine.refuses('one')
    assert.deepEqual(
      machine.keys('zwei').map(({ kind }) => kind),
      ['passphrase', 'recovery'],
    )
    const none = machine.run(undefined, ['key', 'add', repository])
    assert.deepEqual([none.status, none.stdout], [12, ''])
    // The passphrase that opens is not taken for the new one.
    const unchosen = machine.run('zwei', ['key', 'change-passphrase', repository])
    assert.equal(unchosen.status, 2)
    assert.match(unchosen.stderr, /set CAIRN_NEW_PASSPHRASE/)
    assert.equal(machine.run('zwei', ['key', 'add', repository], { CAIRN_NEW_PASSPHRASE: '' }).status, 2)
    for (const secret of [recovery, 'zwei'])
      assert.ok(!JSON.stringify(machine.keys('zwei')).includes(secret) && !unchosen.stderr.includes(secret))
  })

  it('exports a key to a file and to paper, and imports both, in Borg’s spelling', () => {
    const machine = new Machine()
    const { repository } = machine
    const file = path.join(machine.folder, 'exported')
    machine.succeed('one', 'key', 'export', repository, file)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(machine.run('one', ['key', 'export', repository, file]).status, 1)
    const paper = machine.succeed('one', 'key', 'export', '--paper', repository)
    assert.equal(machine.succeed('one', 'key', 'export', repository, '-'), readFileSync(file, 'utf8'))

    const lost = (): void => rmSync(path.join(repository, 'keys'), { recursive: true })
    lost()
    machine.refuses('one')
    assert.equal(machine.run('wrong', ['key', 'import', repository, file]).status, 12)
    machine.succeed('one', 'key', 'import', repository, file)
    machine.succeed('one', 'list', repository)
    lost()
    const wrong = paper.replace(/^3: (.)/m, (_, first: string) => `3: ${first === '2' ? '3' : '2'}`)
    const refused = machine.run('one', ['key', 'import', '--paper', repository], {}, wrong)
    assert.equal(refused.status, 2)
    assert.match(refused.stderr, /line 3 of the paper key: there is a typing error/)
    const typed = machine.run('one', ['key', 'import', '--paper', repository, '-'], {}, paper)
    assert.equal(typed.status, 0, typed.stderr)
    assert.match(machine.succeed('one', 'list', repository), /first/)
    assert.match(machine.succeed('one', 'key', 'import', '-r', repository, file), /there already/)

    const other = new Machine()
    assert.equal(other.run('one', ['key', 'import', other.repository, file]).status, 12)
    assert.equal(machine.run('one', ['key', 'import', repository, path.join(machine.folder, 'none')]).status, 2)
    assert.match(machine.run('one', ['key', 'export', '--qr-html', repository]).stderr, /use --paper/)
  })

  for (const encryption of ['repokey', 'keyfile']) {
    it(`rotates the master key, and everything stays readable (${encryption})`, () => {
      const machine = new Machine(encryption)
      const { repository, file } = machine
      machine.choose('one', 'two', 'key', 'add', '--label', 'Ann', repository)
      const refused = machine.run('one', ['key', 'rotate', repository])
      assert.equal(refused.status, 2)
      assert.match(refused.stderr, /\(Ann\); have them removed with --remove-other-keys/)
      assert.equal(machine.keys('one').length, 2)
      const rotated = machine.succeed('one', 'key', 'rotate', '--remove-other-keys', '--json', repository)
      const [{ generation, removed } = {}] = jsonLines(rotated)
      assert.deepEqual([generation, (removed as object[]).length], [1, 1])
      machine.refuses('two')
      if (encryption === 'keyfile') assert.equal(readdirSync(path.join(machine.home, '.config/cairn/keys')).length, 1)
      machine.succeed('one', 'create', `${repository}::second`, file)
      for (const name of ['first', 'second'])
        assert.equal(machine.succeed('one', 'extract', '--stdout', `${repository}::${name}`, file.slice(1)), 'content')
      machine.succeed('one', 'check', '--read-data', repository)
    })
  }

  it('has nothing to manage in an unencrypted repository', () => {
    const machine = new Machine('none')
    for (const args of [['list'], ['add'], ['change-passphrase'], ['rotate'], ['export'], ['add', '--recovery']]) {
      const { status, stdout, stderr } = machine.run(undefined, ['key', ...args, machine.repository])
      assert.deepEqual([status, stdout], [2, ''])
      assert.match(stderr, /without encryption and has none/)
    }
  })

  it('understands where the repository is named', async () => {
    const asked: string[] = []
    const removeKey = async (access: { location: string }, id: string): Promise<never> => {
      asked.push(`${access.location} ${id}`)
      throw new Error('enough')
    }
    const operations = await import('../../src/operations/key.ts')
    const run = async (args: readonly string[], env = {}): Promise<string> => {
      const { stderr } = await runCli(['key', 'remove', ...args], {
        env,
        operations: { key: async () => ({ ...operations, removeKey }) },
      })
      return asked.pop() ?? stderr
    }
    assert.equal(await run(['/r', 'ab']), '/r ab')
    assert.equal(await run(['-r', '/r', 'ab']), '/r ab')
    assert.equal(await run(['ab'], { CAIRN_REPO: '/e' }), '/e ab')
    assert.equal(await run(['/r', 'ab'], { BORG_REPO: '/e' }), '/r ab')
    assert.equal(await run(['ab']), '/home/ann/.local/share/cairn/repository ab')
    assert.match(await run([]), /no key is named/)
    assert.match(await run(['/r::a', 'ab']), /names a snapshot/)
    assert.match(await run(['/r', 'ab', 'c']), /too many arguments/)
  })
})

describe('cairn key on a terminal', TERMINAL_TESTS, () => {
  it('asks for the passphrase that opens, then twice for the new one', async () => {
    const machine = new Machine()
    const command = `HOME='${machine.home}' '${PROGRAM}' key change-passphrase '${machine.repository}'; stty -a`
    const terminal = new Terminal(command)
    await terminal.sees(`Passphrase for repository ${machine.repository}: `)
    terminal.type('one\r')
    await terminal.sees('New passphrase')
    terminal.type('\r')
    await terminal.sees('An empty passphrase protects nothing')
    terminal.type('zwei\r')
    await terminal.sees('The same passphrase again: ')
    terminal.type('zwei\r')
    const shown = await terminal.end()
    assert.match(shown, /Passphrase changed/)
    assert.doesNotMatch(shown, /zwei/)
    assert.match(shown, / icanon .* echo /s)
    machine.succeed('zwei', 'list', machine.repository)
    machine.refuses('one')
  })

  it('asks for a paper key line by line, shows what is typed, and says at once which line is wrong', async () => {
    const machine = new Machine()
    const paper = machine.succeed('one', 'key', 'export', '--paper', machine.repository)
    const lines = Array.from(paper.matchAll(/^\d+: (.*)$/gm), ([, line = '']) => line)
    rmSync(path.join(machine.repository, 'keys'), { recursive: true })
    const terminal = new Terminal(`HOME='${machine.home}' '${PROGRAM}' key import --paper '${machine.repository}'`)
    await terminal.sees('Line 1: ')
    terminal.type(`${lines[0]?.slice(1)}\r`)
    await terminal.sees('Cannot read line 1 of the paper key: want 32 letters and digits, there are 31; type it again')
    terminal.type(`xy\u007F\u007F${lines[0]?.toLowerCase()}\r`)
    await terminal.sees(`Line 2 of ${lines.length}: `)
    terminal.type(`junk\u0015${lines[1]}\r`)
    for (const [i, line] of lines.entries()) {
      if (i < 2) continue
      await terminal.sees(`Line ${i + 1} of ${lines.length}: `)
      terminal.type(`${line}\r`)
    }
    await terminal.sees('Passphrase for repository')
    terminal.type('one\r')
    const shown = await terminal.end()
    assert.ok(shown.includes(lines[1] ?? ''), shown)
    assert.match(shown, /Key imported/)
    machine.succeed('one', 'list', machine.repository)
  })

  it('leaves everything as it was after Ctrl+C at any question', async () => {
    const machine = new Machine()
    const before = readdirSync(path.join(machine.repository, 'keys'))
    for (const question of ['Passphrase for', 'New passphrase', 'The same passphrase again']) {
      const terminal = new Terminal(`HOME='${machine.home}' '${PROGRAM}' key add '${machine.repository}'; echo "rc=$?"`)
      for (const asked of ['Passphrase for', 'New passphrase', 'The same passphrase again']) {
        await terminal.sees(asked)
        if (asked === question) break
        terminal.type('one\r')
      }
      terminal.type('\u0003')
      assert.match(await terminal.end(), /rc=130/)
    }
    assert.deepEqual(readdirSync(path.join(machine.repository, 'keys')), before)
  })
})
