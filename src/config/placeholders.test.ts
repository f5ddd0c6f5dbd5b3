import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isCairnError } from '../base/errors.ts'
import { expandPlaceholders, type PlaceholderValues } from './placeholders.ts'

process.env['TZ'] = 'Europe/Berlin'

const values: PlaceholderValues = {
  nowMs: Date.parse('2026-11-21T12:44:05Z'),
  hostname: 'vm',
  user: 'ann',
  pid: 42,
  fqdn: async () => 'vm.example.org',
}

describe('expandPlaceholders()', () => {
  const table: Record<string, string> = {
    monday: 'monday',
    '{hostname}-{now}': 'vm-2026-11-21T13:44:05',
    '{fqdn} {user} {pid}': 'vm.example.org ann 42',
    '{reverse-fqdn}': 'org.example.vm',
    '{borgversion} {borgmajor} {borgminor} {borgpatch}': '1.2.4 1 1.2 1.2.4',
    '{utcnow}': '2026-11-21T12:44:05',
    '{now:%Y-%m-%d}': '2026-11-21',
    '{utcnow:%H:%M}': '12:44',
    '{now:}': '2026-11-21T13:44:05',
    '{{now}}': '{now}',
    '{{{user}}}': '{ann}',
    'a{{b': 'a{b',
  }
  for (const [text, expected] of Object.entries(table)) {
    it(`turns ${text} into ${expected}`, async () => {
      assert.equal(await expandPlaceholders(text, values), expected)
    })
  }

  for (const text of ['{nwo}', '{}', 'a{b', 'a}b', '{hostname:%Y}', '{now:%Q}', '{ now }', '{now{user}}']) {
    it(`refuses ${text}`, async () => {
      await assert.rejects(expandPlaceholders(text, values), (error) => isCairnError(error, 'INVALID_ARGUMENT'))
    })
  }

  it('asks for the full host name only when it is used', async () => {
    const noDns = { ...values, fqdn: () => Promise.reject(new Error('asked')) }
    assert.equal(await expandPlaceholders('{hostname} {{fqdn}', noDns).catch(() => 'refused'), 'refused') // a lone brace
    assert.equal(await expandPlaceholders('{hostname}', noDns), 'vm')
    await assert.rejects(expandPlaceholders('{fqdn}', noDns), /asked/)
  })

  it('does not expand what a placeholder stands for', async () => {
    assert.equal(await expandPlaceholders('{user}', { ...values, user: '{pid}' }), '{pid}')
  })
})
