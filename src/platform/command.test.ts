import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from './command.ts'
import { isAlive } from './process-scope.ts'

const toError = (problem: string): Error => new Error(problem)

async function outputOf(words: readonly string[]): Promise<string> {
  await using command = new Command(words, { stdin: 'ours', toError })
  const memory = Buffer.alloc(1 << 20)
  return memory.toString('utf8', 0, await command.read(memory))
}

describe('Command', () => {
  it('gives what a command prints', async () => {
    assert.equal(await outputOf(['printf', '%s|', 'a b', '$HOME', "'"]), "a b|$HOME|'|")
    assert.equal(await outputOf(['true']), '')
  })

  it('comes to no end when the command fails, is killed or cannot be run', async () => {
    await assert.rejects(outputOf(['sh', '-c', 'echo much; exit 7']), { message: 'ended with exit code 7' })
    await assert.rejects(outputOf(['sh', '-c', 'echo much; kill -9 $$']), { message: 'was ended by SIGKILL' })
    await assert.rejects(outputOf(['no-such-command']), { message: 'cannot be run: no such file or directory' })
    await assert.rejects(outputOf(['\udcff']), { message: /not UTF-8/ })
    // Its output ends before the command does.
    await assert.rejects(outputOf(['sh', '-c', 'echo much; exec >&-; sleep 0.2; exit 9']), {
      message: 'ended with exit code 9',
    })
  })

  it('takes what is written to it, and fails when it does not want it', async () => {
    await using cat = new Command(['cat'], { stdin: 'written', toError })
    const bytes = Buffer.alloc(3 << 20, 'abc')
    const writing = cat.input.write(bytes).then(() => cat.input.end())
    const got = Buffer.alloc(bytes.length + 1)
    assert.equal(await cat.read(got), bytes.length)
    await writing
    assert.ok(got.subarray(0, bytes.length).equals(bytes))
    await using picky = new Command(['sh', '-c', 'exit 3'], { stdin: 'written', toError })
    await assert.rejects(
      async () => {
        for (;;) await picky.input.write(bytes)
      },
      { message: 'ended with exit code 3' },
    )
  })

  it('is ended when it is disposed of, and an abort ends the wait for it', async () => {
    const controller = new AbortController()
    const command = new Command(['sh', '-c', 'echo $$; exec sleep 60'], {
      stdin: 'ours',
      toError,
      signal: controller.signal,
    })
    const memory = Buffer.alloc(100)
    const reading = command.read(memory)
    setImmediate(() => controller.abort())
    await assert.rejects(reading, { code: 'CANCELLED' })
    for (let tries = 0; memory[0] === 0 && tries < 200; tries++) {
      await command.read(memory).catch(() => sleep(10))
    }
    const pid = Number.parseInt(memory.toString(), 10)
    await command[Symbol.asyncDispose]()
    assert.equal(pid > 0 && isAlive(pid), false)
  })

  it('keeps nobody waiting after an abort, or when it is disposed of', async () => {
    const uses = [
      (command: Command) => command.input.write(Buffer.alloc(8 << 20)), // it takes nothing
      (command: Command) => command.read(Buffer.alloc(10)), // it ends its output, and not itself
    ]
    for (const use of uses) {
      const controller = new AbortController()
      const { signal } = controller
      await using command = new Command(['sh', '-c', 'exec >&-; exec sleep 60'], { stdin: 'written', toError, signal })
      setTimeout(() => controller.abort(), 100)
      await assert.rejects(use(command), { code: 'CANCELLED' })
    }
    const command = new Command(['sleep', '60'], { stdin: 'ours', toError })
    const reading = assert.rejects(command.read(Buffer.alloc(10)), /closed before its end/)
    await command[Symbol.asyncDispose]()
    await reading
  })
})
