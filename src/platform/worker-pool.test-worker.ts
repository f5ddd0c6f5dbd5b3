import { setImmediate } from 'node:timers/promises'
import { CairnError } from '../base/errors.ts'
import { nativeTimes } from './native.ts'
import { serveJobs } from './worker-pool.ts'

/** What the tests of the worker pool make a worker do. */
export interface TestInit {
  readonly greeting: string
  readonly setup?: 'fail' | 'ask'
}

export type TestJob =
  | { do: 'echo'; value: unknown }
  | { do: 'greet' }
  | { do: 'count'; steps: number }
  | { do: 'move'; bytes: ArrayBuffer }
  | { do: 'ask'; value: unknown; bytes?: ArrayBuffer }
  | { do: 'ask later'; value: unknown }
  | { do: 'throw'; what: 'cairn' | 'type' | 'text' | 'uncloneable details' | 'with cause' }
  | { do: 'return a function' }
  | { do: 'exit'; code: number }
  | { do: 'throw outside the job' }
  | { do: 'eat memory' }
  | { do: 'spin' }
  | { do: 'wait' }
  | { do: 'load native code' }

serveJobs<TestInit, TestJob, unknown, unknown, unknown>(async (init, host) => {
  if (init.setup === 'fail') throw new CairnError('WRONG_PASSWORD', 'Cannot set up', { details: { slot: 3 } })
  let known: unknown = init.setup === 'ask' ? await host.request('from setup') : undefined

  return async (job, progress) => {
    switch (job.do) {
      case 'echo':
        return { result: job.value }
      case 'greet':
        return { result: [init.greeting, known] }
      case 'count':
        for (let step = 0; step < job.steps; step++) {
          if (step % 3 === 0) await setImmediate()
          progress(step)
        }
        return { result: 'counted' }
      case 'move':
        new Uint8Array(job.bytes).reverse()
        return { result: job.bytes, transfer: [job.bytes] }
      case 'ask': {
        const reply = await host.request(job.bytes ?? job.value, job.bytes && [job.bytes])
        return { result: { reply, left: job.bytes?.byteLength } }
      }
      case 'ask later':
        void (async () => {
          await setImmediate()
          known = await host.request(job.value)
        })()
        return { result: 'asked' }
      case 'throw':
        return fail(job.what)
      case 'return a function':
        return { result: () => 1 }
      case 'exit':
        return process.exit(job.code)
      case 'throw outside the job':
        queueMicrotask(() => {
          throw new RangeError('nobody catches this')
        })
        return new Promise(() => undefined)
      case 'eat memory': {
        const eaten: unknown[] = []
        for (;;) eaten.push(Array.from({ length: 1000 }, () => ({ eaten })))
      }
      case 'spin':
        progress('spinning')
        for (;;);
      case 'wait':
        progress('waiting')
        return new Promise(() => undefined)
      case 'load native code':
        progress('loading')
        return { result: nativeTimes() }
      default:
        throw new Error('unknown job')
    }
  }
})

function fail(what: (TestJob & { do: 'throw' })['what']): never {
  switch (what) {
    case 'cairn':
      throw new CairnError('DATA_CORRUPT', 'Cannot read the pack', { details: { packId: 'ab', offset: 7n } })
    case 'type':
      throw new TypeError('wrong type')
    case 'text':
      // oxlint-disable-next-line typescript/only-throw-error
      throw 'only text'
    case 'uncloneable details':
      throw new CairnError('TARGET_FAILED', 'Cannot write', { details: { write: () => undefined } })
    case 'with cause':
      throw new CairnError('SOURCE_FAILED', 'Cannot read', { cause: new RangeError('the reason') })
  }
}
