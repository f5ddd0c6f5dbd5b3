import { format } from 'node:util'

/** Writes one line of a debug scope to standard error; `undefined` when the scope is off, so calls cost nothing. */
export type DebugFunction = (message: string, ...values: unknown[]) => void

const enabled = new Set((process.env['CAIRN_DEBUG'] ?? '').split(',').filter(Boolean))

/** The debug function of a scope named in `CAIRN_DEBUG=pack,index` (or `*`); use as `debug?.('flush %s', id)`. */
export function debugScope(scope: string): DebugFunction | undefined {
  if (!enabled.has(scope) && !enabled.has('*')) return undefined
  return (message, ...values) => process.stderr.write(`${scope}: ${format(message, ...values)}\n`)
}
