import { createHash } from 'node:crypto'
import { processScope } from '../platform/process-scope.ts'

let known: string | undefined

/**
 * Names the place where our process ids mean something: this boot of this host, and this pid namespace, since containers
 * that share a repository often share a host name. 8 hex digits.
 */
export function processSpace(): string {
  if (known === undefined) {
    const { machine, boot, pids } = processScope()
    known = createHash('sha256').update([machine, boot, pids].join('\n')).digest('hex').slice(0, 8)
  }
  return known
}
