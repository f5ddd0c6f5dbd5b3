import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { text } from 'node:stream/consumers'
import { startRemoteCommand } from './remote-command.ts'
import { runScript } from './testing.ts'

describe('startRemoteCommand()', () => {
  it('connects two streams to a program, without a shell in between', async () => {
    const command = await startRemoteCommand(['sh', '-c', 'printf "%s|" "$0" "$@"; cat', 'a b', '$HOME', '"'])
    command.output.end('input')
    assert.equal(await text(command.input), 'a b|$HOME|"|input')
    assert.equal(await command.explainEnd(), undefined)
    await command.close()
  })

  it('tells the last that it said, or how it ended', async () => {
    assert.equal(await endOf('echo "one\nt\x1bwo" >&2; exit 1'), 'one; two')
    assert.equal(await endOf('seq 10000 >&2; exit 1'), '9997; 9998; 9999; 10000')
    assert.equal(await endOf('exit 3'), 'sh ended with exit code 3')
    assert.equal(await endOf('kill -9 $$'), 'sh was ended by SIGKILL')
  })

  it('says what is not there', async () => {
    const command = await startRemoteCommand(['no-such-program', 'x'])
    assert.match((await command.explainEnd()) ?? '', /there is no program no-such-program on this machine/)
    await command.close()
  })

  it('says nothing of one that goes on', async () => {
    const command = await startRemoteCommand(['sleep', '60'])
    assert.equal(await command.explainEnd(), undefined)
    const found = spawnSync('pgrep', ['-P', String(process.pid), 'sleep'], { encoding: 'utf8' })
    process.kill(Number(found.stdout.trim()), 'SIGKILL')
    await command.close()
  })

  it('outlives what a terminal sends to all of its processes', () => {
    // In a session of its own, or the test would get the signals too.
    const out = runScript(`
      const { startRemoteCommand } = await import('${import.meta.resolve('./remote-command.ts')}')
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
      const command = await startRemoteCommand(['cat'])
      const { spawnSync } = await import('node:child_process')
      for (const signal of ['INT', 'TERM', 'HUP']) spawnSync('pkill', ['-' + signal, '-P', String(process.pid), 'cat'])
      command.output.end('still there')
      for await (const piece of command.input) process.stdout.write(piece)
      await command.close()`)
    assert.equal(out, 'still there')
  })
})

async function endOf(script: string): Promise<string | undefined> {
  const command = await startRemoteCommand(['sh', '-c', script])
  await text(command.input)
  return command.explainEnd()
}
