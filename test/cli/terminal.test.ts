/** Passphrase prompts, progress and broken pipes on real terminals and pipes; operations only pretend (see `pretend.ts`). */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { ENVIRONMENT, TERMINAL_TESTS, Terminal } from './terminal.ts'

const PRETEND = `'${process.execPath}' test/cli/pretend.ts`
const question = (count: number): string => 'Passphrase for repository r: '.repeat(count)

describe('passphrases on a terminal', TERMINAL_TESTS, () => {
  it('are not shown, may be tried again, and leave the terminal as it was', async () => {
    const terminal = new Terminal(`${PRETEND} list r; stty -a`)
    await terminal.sees(question(1))
    terminal.type('wrong\r')
    await terminal.sees('Wrong passphrase, try again. ')
    terminal.type('sesame\r')
    const shown = await terminal.end()
    assert.match(shown, /monday {10}/)
    assert.doesNotMatch(shown, /sesame|wrong\n/)
    assert.match(shown, / icanon .* echo /s)
  })

  it('can be corrected with Backspace and Ctrl+U, and arrow keys are no part of them', async () => {
    const terminal = new Terminal(`${PRETEND} list r`)
    await terminal.sees(question(1))
    terminal.type('xx\u0015sesay\u007Fm\u001B[D\u001BOAe\r')
    assert.match(await terminal.end(), /monday/)
  })

  it('are asked for even when standard input is something else', async () => {
    const terminal = new Terminal(`echo data | ${PRETEND} list r`)
    await terminal.sees(question(1))
    terminal.type('sesame\r')
    assert.match(await terminal.end(), /monday/)
  })

  it('may be typed ahead, both at once', async () => {
    const terminal = new Terminal(`${PRETEND} init r`)
    await terminal.sees('New passphrase')
    terminal.type('pässword\rpässword\r')
    assert.match(await terminal.end(), /pretend: passphrase "pässword"/)
  })

  it('end with 12 after Ctrl+D', async () => {
    const terminal = new Terminal(`${PRETEND} list r; echo "rc=$?"`)
    await terminal.sees(question(1))
    terminal.type('\u0004')
    assert.match(await terminal.end(), /rc=12\n$/)
  })

  it('end with 130 after Ctrl+C, and leave the terminal as it was', async () => {
    const terminal = new Terminal(`${PRETEND} list r; echo "rc=$?"; stty -a`)
    await terminal.sees(question(1))
    terminal.type('ab\u0003')
    const shown = await terminal.end()
    assert.match(shown, /\ncairn: Interrupted\nrc=130\n/)
    assert.match(shown, / icanon .* echo /s)
  })

  it('end with 143 after SIGTERM, and leave the terminal as it was', async () => {
    const terminal = new Terminal(`${PRETEND} list r; echo "rc=$?"; stty -a`, { PRETEND_PID: '1' })
    await terminal.sees(question(1))
    process.kill(Number(/pid=(\d+)/.exec(terminal.shown)?.[1]), 'SIGTERM')
    const shown = await terminal.end()
    assert.match(shown, /\ncairn: Interrupted by SIGTERM\nrc=143\n/)
    assert.match(shown, / icanon .* echo /s)
  })
})

describe('progress on a terminal', TERMINAL_TESTS, () => {
  it('is redrawn in place, fits the terminal, and gives way to the result', async () => {
    const shown = await new Terminal(`${PRETEND} create r::x /usr; echo "rc=$?"`).end()
    const rows = shown.split('<clear>').filter((row) => / files {2}/.test(row))
    assert.ok(rows.length >= 2, JSON.stringify(shown))
    for (const row of rows) assert.ok((row.split('\n')[0] ?? '').length <= 97, row)
    assert.match(shown, /<clear>[^\n]*cannot read \/root\/\\x1b\[31mred: permission denied\n/)
    assert.match(shown, /<clear>Saved [^\n]*x[^\n]* to r\n/)
    assert.match(shown, /rc=3\n$/)
  })

  it('is gone after Ctrl+C', async () => {
    const terminal = new Terminal(`trap : INT; ${PRETEND} create r::x /usr; echo "rc=$?"`, { PRETEND_STEPS: '1000' })
    await terminal.sees(' files  ')
    terminal.type('\u0003')
    assert.match(await terminal.end(), /<clear>cairn: Interrupted by SIGINT\nrc=130\n$/)
  })
})

const sh = (command: string): { status: number | null; stdout: string; stderr: string } =>
  // A session of its own has no terminal, wherever the tests run.
  spawnSync('setsid', ['-w', 'sh', '-c', command], { env: ENVIRONMENT, encoding: 'utf8' })

describe('without a terminal', { timeout: 60_000 }, () => {
  it('a missing passphrase is an error that names the variables', () => {
    const { status, stderr } = sh(`${PRETEND} list r </dev/null`)
    assert.equal(status, 12)
    assert.match(stderr, /CAIRN_PASSPHRASE, CAIRN_PASSCOMMAND or CAIRN_PASSPHRASE_FD/)
  })

  it('passphrases come from the environment, a command, or a descriptor', () => {
    assert.match(sh(`CAIRN_PASSPHRASE=sesame ${PRETEND} list r`).stdout, /monday/)
    assert.match(sh(`BORG_PASSCOMMAND="printf 'sesame\\nx'" ${PRETEND} list r`).stdout, /monday/)
    assert.match(sh(`echo sesame | CAIRN_PASSPHRASE_FD=0 ${PRETEND} list r`).stdout, /monday/)
    assert.match(sh(`CAIRN_PASSPHRASE_FD=5 ${PRETEND} list r 5<<END\nsesame\nEND`).stdout, /monday/)
  })

  it('a failing command is an error with its exit code', () => {
    const { status, stderr } = sh(`CAIRN_PASSCOMMAND='sh -c "exit 7"' ${PRETEND} list r`)
    assert.equal(status, 12)
    assert.match(stderr, /ended with exit code 7/)
  })

  it('output that nobody reads any more ends the command quietly', () => {
    const { stdout, stderr } = sh(`{ ${PRETEND} list r::x; echo "rc=$?" >&2; } | head -n 1`)
    assert.equal(stdout.split('\n').length, 2)
    assert.equal(stderr, 'rc=0\n')
  })

  it('a long listing arrives whole in a slow pipe', () => {
    const { stdout } = sh(`${PRETEND} list r::x | { sleep 0.5; wc -l; }`)
    assert.equal(stdout.trim(), '100000')
  })

  it('output that cannot be written is an error', () => {
    const { status, stderr } = sh(`${PRETEND} list r::x >/dev/full`)
    assert.equal(status, 1)
    assert.match(stderr, /^cairn: error: Cannot write to standard output: ENOSPC/)
  })
})
