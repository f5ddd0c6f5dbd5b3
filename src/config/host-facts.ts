import type { Clock } from '../base/clock.ts'
import { currentUser, hostName } from '../platform/owners.ts'
import type { PlaceholderValues } from './placeholders.ts'

/** What this machine, user and process are called, for placeholders. */
export function hostFacts(clock: Clock): PlaceholderValues {
  return {
    nowMs: clock.now(),
    hostname: hostName().split('.', 1)[0] ?? '',
    user: currentUser().name,
    pid: process.pid,
    fqdn: fullHostName,
  }
}

/** The host name with its domain, or without one when the resolver knows none (Python's `getfqdn`, which Borg uses). */
async function fullHostName(): Promise<string> {
  const name = hostName()
  if (name.includes('.')) return name
  const dns = await import('node:dns/promises')
  try {
    const { address } = await dns.lookup(name)
    const { hostname } = await dns.lookupService(address, 0)
    return hostname.includes('.') ? hostname : name
  } catch {
    return name
  }
}
