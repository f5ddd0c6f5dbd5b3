import { CairnError } from './errors.ts'

export interface AbortOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Ends the caller when its run was cancelled. Call it between steps, not inside hot loops.
 *
 * @throws {CairnError} `CANCELLED`, or the `CairnError` given as the reason of the abort
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return
  if (signal.reason instanceof CairnError) throw signal.reason
  throw new CairnError('CANCELLED', 'Interrupted', { cause: signal.reason })
}
