import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { CairnError, isCairnError } from '../base/errors.ts'
import type { AbortOptions } from '../base/abort.ts'

/**
 * Runs a program, without a shell, on our own standard streams, and resolves to the exit code that a shell would report for it: 128 + N
 * when signal N ended it. When `signal` is aborted by a signal, the program gets the same one and is waited for.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` when it cannot be started
 */
export function runCommand(command: string, args: readonly string[], { signal }: AbortOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    const forward = (): void => {
      const reason: unknown = signal?.reason
      const name = isCairnError(reason) ? (reason.details['signal'] as NodeJS.Signals | undefined) : undefined
      // A terminal has sent a SIGINT to both.
      if (name !== 'SIGINT' || !process.stdin.isTTY) child.kill(name)
    }
    signal?.addEventListener('abort', forward, { once: true })
    child.once('error', (error) => {
      signal?.removeEventListener('abort', forward)
      reject(
        new CairnError('INVALID_ARGUMENT', `Cannot run '${command}': ${error.message}; check its name and PATH`, {
          cause: error,
        }),
      )
    })
    child.once('close', (code, endedBy) => {
      signal?.removeEventListener('abort', forward)
      resolve(endedBy === null ? (code ?? 1) : 128 + constants.signals[endedBy])
    })
  })
}
