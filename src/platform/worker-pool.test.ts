import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { CairnError, isCairnError } from '../base/errors.ts'
import { runScript } from './testing.ts'
import type { TestInit, TestJob } from './worker-pool.test-worker.ts'
import { WorkerPool, type WorkerPoolOptions } from './worker-pool.ts'

const URL_OF_WORKER = new URL('./worker-pool.test-worker.ts', import.meta.url)

type Pool = WorkerPool<TestJob, unknown, unknown, unknown>

function newPool(
  count: number,
  onRequest?: WorkerPoolOptions<unknown, unknown>['onRequest'],
  init: TestInit = { greeting: 'hello' },
): Pool {
  return new WorkerPool({ script: URL_OF_WORKER, count, init, ...(onRequest && { onRequest }) })
}

/** What a promise rejects with, which must be a `CairnError`. */
async function errorOf(promise: Promise<unknown>): Promise<CairnError> {
  const reason: unknown = await promise.then(
    (value) => assert.fail(`resolved to ${String(value)}`),
    (error: unknown) => error,
  )
  assert.ok(isCairnError(reason), String(reason))
  return reason
}

/** Runs a job up to its first progress message. */
async function begin(pool: Pool, worker: number, job: TestJob): Promise<{ result: Promise<unknown> }> {
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const result = pool.run(worker, job, { onProgress: resolve })
  await promise
  return { result } // in an object, so that awaiting this function does not await the result
}

describe('WorkerPool.run()', () => {
  it('gives each job its own result in 8 workers with 1000 jobs each', async () => {
    await using pool = newPool(8)
    assert.equal(pool.size, 8)
    await Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (let i = 0; i < 1000; i++) {
          const value = `${worker}/${i}`
          assert.equal(await pool.run(worker, { do: 'echo', value }), value)
        }
      }),
    )
  })

  it('queues a job posted before the thread runs, after its setup has asked the main thread', async () => {
    await using pool = newPool(1, async (request) => ({ reply: { got: request } }), { greeting: 'hi', setup: 'ask' })
    assert.deepEqual(await pool.run(0, { do: 'greet' }), ['hi', { got: 'from setup' }])
  })

  it('calls onProgress in order, all before the result', async () => {
    await using pool = newPool(2)
    await Promise.all(
      [0, 1].map(async (worker) => {
        const seen: unknown[] = []
        const onProgress = (message: unknown): void => void seen.push(message)
        assert.equal(await pool.run(worker, { do: 'count', steps: 1000 }, { onProgress }), 'counted')
        assert.deepEqual(
          seen,
          Array.from({ length: 1000 }, (_, i) => i),
        )
      }),
    )
  })

  it('moves buffers instead of copying them', async () => {
    await using pool = newPool(1)
    const bytes = new Uint8Array([1, 2, 3]).buffer
    const result = pool.run(0, { do: 'move', bytes }, { transfer: [bytes] })
    assert.equal(bytes.byteLength, 0)
    assert.deepEqual(await result, new Uint8Array([3, 2, 1]).buffer)
  })

  it('refuses a second job for a busy worker, and a worker that does not exist', async () => {
    await using pool = newPool(1)
    const first = pool.run(0, { do: 'echo', value: 1 })
    await assert.rejects(pool.run(0, { do: 'echo', value: 2 }), /has a job already/)
    await assert.rejects(pool.run(1, { do: 'echo', value: 3 }), RangeError)
    assert.equal(await first, 1)
    assert.equal(await pool.run(0, { do: 'echo', value: 4 }), 4)
  })

  it('rejects a job that cannot be cloned and leaves the worker idle', async () => {
    await using pool = newPool(1)
    await assert.rejects(pool.run(0, { do: 'echo', value: () => 1 }), { name: 'DataCloneError' })
    assert.equal(await pool.run(0, { do: 'echo', value: 1 }), 1)
  })
})

describe('errors of a job', () => {
  it('keep code, message, details, cause and the stack of the worker', async () => {
    await using pool = newPool(1)
    const error = await errorOf(pool.run(0, { do: 'throw', what: 'cairn' }))
    assert.equal(error.code, 'DATA_CORRUPT')
    assert.equal(error.message, 'Cannot read the pack')
    assert.deepEqual(error.details, { packId: 'ab', offset: 7n })
    assert.match(String(error.stack), /test-worker\.ts/)

    const { cause } = await errorOf(pool.run(0, { do: 'throw', what: 'with cause' }))
    assert.ok(cause instanceof RangeError)
    assert.equal(cause.message, 'the reason')
  })

  it('become INTERNAL with their stack when they are no CairnError', async () => {
    await using pool = newPool(1)
    const error = await errorOf(pool.run(0, { do: 'throw', what: 'type' }))
    assert.equal(error.code, 'INTERNAL')
    assert.match(error.message, /TypeError: wrong type\n.*test-worker\.ts/s)

    const text = await errorOf(pool.run(0, { do: 'throw', what: 'text' }))
    assert.deepEqual([text.code, text.message], ['INTERNAL', 'only text'])
  })

  it('arrive even when their details or the result cannot be cloned', async () => {
    await using pool = newPool(1)
    const error = await errorOf(pool.run(0, { do: 'throw', what: 'uncloneable details' }))
    assert.deepEqual([error.code, error.message, error.details], ['TARGET_FAILED', 'Cannot write', {}])
    const result = await errorOf(pool.run(0, { do: 'return a function' }))
    assert.equal(result.code, 'INTERNAL')
    assert.match(result.message, /could not be cloned/)
    assert.equal(await pool.run(0, { do: 'echo', value: 1 }), 1)
  })

  it('of onProgress fail the job when the worker is done with it', async () => {
    await using pool = newPool(1)
    const seen: unknown[] = []
    const onProgress = (message: unknown): void => {
      seen.push(message)
      throw new CairnError('STORAGE_FULL', `no room for ${String(message)}`)
    }
    const error = await errorOf(pool.run(0, { do: 'count', steps: 3 }, { onProgress }))
    assert.deepEqual([error.code, error.message, seen], ['STORAGE_FULL', 'no room for 0', [0, 1, 2]])
    assert.equal(await pool.run(0, { do: 'echo', value: 1 }), 1)
  })

  it('of the setup fail every job', async () => {
    await using pool = newPool(1, undefined, { greeting: '', setup: 'fail' })
    for (let i = 0; i < 2; i++) {
      const error = await errorOf(pool.run(0, { do: 'greet' }))
      assert.deepEqual([error.code, error.details], ['WRONG_PASSWORD', { slot: 3 }])
    }
  })
})

describe('host.request()', () => {
  it('gives the reply to the right caller in the right worker, whatever the order of replies', async () => {
    await using pool = newPool(4, async (request, worker) => {
      for (let i = 0; i < Number(request) % 5; i++) await setImmediate()
      return { reply: [worker, request] }
    })
    await Promise.all(
      Array.from({ length: 4 }, async (_, worker) => {
        for (let i = 0; i < 100; i++) {
          const { reply } = (await pool.run(worker, { do: 'ask', value: i })) as { reply: unknown }
          assert.deepEqual(reply, [worker, i])
        }
      }),
    )
  })

  it('moves buffers in both directions', async () => {
    let sent: ArrayBuffer | undefined
    await using pool = newPool(1, async (request) => {
      sent = new Uint8Array(request as ArrayBuffer).map((byte) => byte + 1).buffer
      return { reply: sent, transfer: [sent] }
    })
    const result = await pool.run(0, { do: 'ask', value: 0, bytes: new Uint8Array([1, 2]).buffer })
    assert.deepEqual(result, { reply: new Uint8Array([2, 3]).buffer, left: 0 })
    assert.equal(sent?.byteLength, 0)
  })

  it('works between jobs', async () => {
    const asked = Promise.withResolvers<unknown>()
    await using pool = newPool(1, async (request) => {
      asked.resolve(request)
      return { reply: 'late' }
    })
    assert.equal(await pool.run(0, { do: 'ask later', value: 5 }), 'asked')
    assert.equal(await asked.promise, 5)
    let known: unknown
    while (known === undefined) [, known] = (await pool.run(0, { do: 'greet' })) as unknown[]
    assert.equal(known, 'late')
  })

  it('throws in the worker what onRequest threw, with code and details', async () => {
    await using pool = newPool(1, async (request) => {
      if (request === 'bug') throw new TypeError('a bug')
      if (request === 'function') return { reply: () => 1 }
      throw new CairnError('STORAGE_FULL', 'Cannot store', { details: { request } })
    })
    const full = await errorOf(pool.run(0, { do: 'ask', value: 1 }))
    assert.deepEqual([full.code, full.message, full.details], ['STORAGE_FULL', 'Cannot store', { request: 1 }])
    assert.equal((await errorOf(pool.run(0, { do: 'ask', value: 'bug' }))).code, 'INTERNAL')
    assert.match((await errorOf(pool.run(0, { do: 'ask', value: 'function' }))).message, /could not be cloned/)
  })

  it('throws when the pool answers no requests', async () => {
    await using pool = newPool(1)
    assert.match((await errorOf(pool.run(0, { do: 'ask', value: 1 }))).message, /no onRequest/)
  })
})

describe('a worker that dies', () => {
  it('by an exit rejects its job', () => dies({ do: 'exit', code: 7 }, /exit code 7/))
  it('by an exit with code 0 rejects its job', () => dies({ do: 'exit', code: 0 }, /exit code 0/))
  it('by an uncaught error rejects its job', () => dies({ do: 'throw outside the job' }, /nobody catches this/))

  it('while it loads rejects its jobs', async () => {
    await using pool = new WorkerPool({ script: new URL('./missing-worker.ts', import.meta.url), count: 1, init: 0 })
    assert.match((await errorOf(pool.run(0, 0))).message, /missing-worker/)
  })

  it('of too much memory rejects its job', () => {
    // In a process of its own, because the limit counts for all its threads.
    const output = runAlone('{ do: "eat memory" }', ['--max-old-space-size=48'])
    assert.match(output, /^INTERNAL Worker thread 0 died: .*memory/)
  })
})

describe('WorkerPool.close()', () => {
  it('ends threads that wait or spin, and rejects their jobs with CANCELLED', async () => {
    const pool = newPool(3)
    const waiting = await begin(pool, 0, { do: 'wait' })
    const spinning = await begin(pool, 1, { do: 'spin' })
    const errors = [waiting, spinning].map(({ result }) => errorOf(result))
    await Promise.all([pool.close(), pool.close()])
    for (const error of await Promise.all(errors)) assert.equal(error.code, 'CANCELLED')
    assert.equal((await errorOf(pool.run(2, { do: 'greet' }))).code, 'CANCELLED')
    await pool.close()
  })

  it('ends threads that have not started yet and those that are dead', async () => {
    const pool = newPool(2)
    await errorOf(pool.run(0, { do: 'exit', code: 1 }))
    await newPool(1).close()
    await pool.close()
  })

  it('ends threads that load native code, at whatever moment, without ending the process', () => {
    const code = `import { setTimeout } from 'node:timers/promises'
      import { WorkerPool } from '${import.meta.resolve('./worker-pool.ts')}'
      for (let i = 0; i < 30; i++) {
        const pool = new WorkerPool({ script: new URL('${URL_OF_WORKER.href}'), count: 1, init: {} })
        await new Promise((onProgress) => {
          pool.run(0, { do: 'load native code' }, { onProgress }).catch(() => undefined)
        })
        await setTimeout(i % 6)
        await pool.close()
      }
      console.log('ended')`
    assert.equal(runScript(code), 'ended\n')
  })

  it('does not wait for answers to requests, and passes over late ones', async () => {
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<{ reply: unknown }>()
    const pool = newPool(1, () => {
      asked.resolve()
      return answer.promise
    })
    const error = errorOf(pool.run(0, { do: 'ask', value: 1 }))
    await asked.promise
    await pool.close()
    answer.resolve({ reply: 1 })
    assert.equal((await error).code, 'CANCELLED')
  })
})

describe('a pool that nobody closes', () => {
  it('keeps the process alive while a job runs, and not longer', () => {
    assert.equal(runAlone('{ do: "count", steps: 1000 }'), 'counted\n')
  })
})

/** Lets worker 0 of two die; the other one must not notice. */
async function dies(job: TestJob, reason: RegExp): Promise<void> {
  await using pool = newPool(2)
  const other = pool.run(1, { do: 'count', steps: 100 })
  const error = await errorOf(pool.run(0, job))
  assert.equal(error.code, 'INTERNAL')
  assert.match(error.message, /^Worker thread 0 died: /)
  assert.match(error.message, reason)
  assert.match((await errorOf(pool.run(0, { do: 'greet' }))).message, reason)
  assert.equal(await other, 'counted')
  assert.deepEqual(await pool.run(1, { do: 'greet' }), ['hello', undefined])
}

/** Runs one job of a pool that is never closed, in a new process; what it printed, once it ended by itself. */
function runAlone(job: string, args: string[] = []): string {
  return runScript(
    `import { WorkerPool } from '${import.meta.resolve('./worker-pool.ts')}'
     const pool = new WorkerPool({ script: new URL('${URL_OF_WORKER.href}'), count: 2, init: {} })
     pool.run(0, ${job}).then(console.log, (error) => console.log(error.code, error.message))`,
    args,
  )
}
