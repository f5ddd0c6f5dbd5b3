import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { RangeStarts } from './range-starts.ts'

describe('RangeStarts', () => {
  it('knows that the first range begins at 0, and what it is told first of the others', () => {
    const starts = RangeStarts.create(4)
    starts.set(1, 2 ** 45)
    starts.set(1, 7)
    starts.set(2, 0)
    starts.set(3, undefined)
    starts.set(3, 9)
    starts.set(4, 1) // past the last
    assert.deepEqual(
      [0, 1, 2, 3].map((range) => starts.wait(range)),
      [0, 2 ** 45, 0, undefined],
    )
  })

  it('makes another thread wait until it is told', async () => {
    const starts = RangeStarts.create(2)
    const url = new URL('./range-starts.ts', import.meta.url).href
    const source = `const { parentPort, workerData } = require('node:worker_threads')
      import(${JSON.stringify(url)}).then(({ RangeStarts }) => {
        parentPort.postMessage('waiting')
        parentPort.postMessage(new RangeStarts(workerData).wait(1))
      })`
    const worker = new Worker(source, { eval: true, workerData: starts.memory })
    const messages: unknown[] = []
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject)
      worker.on('exit', () => resolve())
      worker.on('message', (message) => {
        messages.push(message)
        if (message === 'waiting') starts.set(1, 123)
      })
    })
    assert.deepEqual(messages, ['waiting', 123])
  })
})
