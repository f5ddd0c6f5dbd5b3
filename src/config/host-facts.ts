import { hostname, userInfo } from 'node:os'
import type { Clock } from '../base/clock.ts'
import type { PlaceholderValues } from './placeholders.ts'

/** What this machine, user and process are called, for placeholders. */
export function hostFacts(clock: Clock): PlaceholderValues {
  return { nowMs: clock.now(), hostname: hostname(), user: userName(), pid: process.pid, fqdn }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown') // a user id without an account, as in containers
  }
}

/** The host name with its domain, or without one when the resolver knows none (Python's `getfqdn`, which Borg uses). */
async function fqdn(): Promise<string> {
  const name = hostname()
  if (name.includes('.')) return name
  const dns = await import('node:dns/promises')
  try {
    const { address } = await dns.lookup(name)
    const found = await dns.lookupService(address, 0)
    return found.hostname.includes('.') ? found.hostname : name
  } catch {
    return name
  }
}
