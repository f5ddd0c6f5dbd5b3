import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

let known: string | undefined

/**
 * Names the place where our process ids mean something: this boot of this host, and this pid namespace, since containers
 * that share a repository often share a host name. 8 hex digits.
 */
export function processSpace(): string {
  known ??= createHash('sha256')
    .update([hostname(), ...linuxParts()].join('\n'))
    .digest('hex')
    .slice(0, 8)
  return known
}

function linuxParts(): string[] {
  try {
    return [readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'), readlinkSync('/proc/self/ns/pid')]
  } catch {
    return []
  }
}
