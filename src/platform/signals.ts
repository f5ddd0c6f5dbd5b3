import { constants } from 'node:os'
import { CairnError } from '../base/errors.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface SignalWatch {
  /** Aborted by the first signal, with a `CairnError` `CANCELLED` whose `details` are `{ signal, exitCode }`. */
  readonly signal: AbortSignal
  /** Gives signals their usual effect again. */
  dispose(): void
}

/**
 * Turns SIGINT, SIGTERM and SIGHUP into an abort, so that a run can tidy up. `details.exitCode` is what a shell reports for
 * that signal: 130, 143 or 129. A SIGINT after that ends the process at once. Does not keep the process alive.
 */
export function abortOnSignals(): SignalWatch {
  const controller = new AbortController()

  const onSignal = (signal: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      const exitCode = 128 + constants.signals[signal]
      controller.abort(new CairnError('CANCELLED', `Interrupted by ${signal}`, { details: { signal, exitCode } }))
    } else if (signal === 'SIGINT') {
      // Not process.exit(), which waits for worker threads in the middle of a system call. Without a listener the signal
      // has its usual effect, and the parent process sees that it was the reason.
      dispose()
      process.kill(process.pid, signal)
    }
  }

  const dispose = (): void => {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }

  for (const signal of SIGNALS) process.on(signal, onSignal)
  return { signal: controller.signal, dispose }
}
