import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { runScript } from './testing.ts'

const IMPORT = `import { abortOnSignals } from '${import.meta.resolve('./signals.ts')}'`

/** Runs a script that holds `watch` and tells the signals' effect on standard output. */
function start(script: string): { child: ChildProcess; nextLine: () => Promise<unknown> } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${IMPORT}\n${script}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { child, nextLine: async () => (await lines.next()).value }
}

const WAITING = `
  const watch = abortOnSignals()
  watch.signal.addEventListener('abort', () => {
    const { code, message, details } = watch.signal.reason
    console.log(JSON.stringify({ code, message, details }))
  })
  console.log('ready')
  setInterval(() => {}, 1e6)`

describe('abortOnSignals()', () => {
  for (const [name, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    it(`aborts on ${name}, and a SIGINT after that ends the process`, async () => {
      const { child, nextLine } = start(WAITING)
      assert.equal(await nextLine(), 'ready')
      child.kill(name)
      assert.deepEqual(JSON.parse(String(await nextLine())), {
        code: 'CANCELLED',
        message: `Interrupted by ${name}`,
        details: { signal: name, exitCode },
      })
      child.kill('SIGINT')
      assert.deepEqual(await once(child, 'exit'), [null, 'SIGINT'])
    })
  }

  it('ends the process by the second SIGINT even when a worker thread is stuck in a system call', async () => {
    const { child, nextLine } = start(`
      import { Worker } from 'node:worker_threads'
      const stuck = \`import { readSync } from 'node:fs'
        import { parentPort } from 'node:worker_threads'
        parentPort.postMessage(1)
        readSync(0, Buffer.alloc(1))\`
      new Worker(stuck, { eval: true }).once('message', () => {
        ${WAITING}
      })`)
    assert.equal(await nextLine(), 'ready')
    child.kill('SIGINT')
    await nextLine()
    child.kill('SIGINT')
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGINT'])
  })

  it('aborts once: a SIGTERM after the first signal changes nothing', async () => {
    const { child, nextLine } = start(`${WAITING}
      process.on('SIGUSR2', () => { console.log(watch.signal.reason.details.signal); process.exit(7) })`)
    assert.equal(await nextLine(), 'ready')
    child.kill('SIGINT')
    await nextLine()
    child.kill('SIGTERM')
    child.kill('SIGHUP')
    child.kill('SIGUSR2')
    assert.equal(await nextLine(), 'SIGINT')
    assert.deepEqual(await once(child, 'exit'), [7, null])
  })

  it('gives signals their usual effect again on dispose()', async () => {
    const { child, nextLine } = start(`${WAITING}\nwatch.dispose()\nconsole.log('disposed')`)
    assert.equal(await nextLine(), 'ready')
    assert.equal(await nextLine(), 'disposed')
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM'])
  })

  it('does not keep the process alive', () => {
    assert.equal(runScript(`${IMPORT}\nabortOnSignals()\nconsole.log('end')`), 'end\n')
  })
})
