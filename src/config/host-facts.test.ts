import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { it } from 'node:test'
import { fixedClock } from '../base/clock.ts'
import { hostFacts } from './host-facts.ts'
import { expandPlaceholders } from './placeholders.ts'

it('hostFacts() fills every placeholder of this machine', async () => {
  const facts = hostFacts(fixedClock(86_400_000))
  const text = await expandPlaceholders('{hostname} {pid} {utcnow:%F}', facts)
  assert.equal(text, `${hostname()} ${process.pid} 1970-01-02`)
  assert.notEqual(facts.user, '')
  assert.ok((await facts.fqdn()).length > 0) // with or without a domain, and no error where names cannot be resolved
})
