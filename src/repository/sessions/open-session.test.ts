import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import { describe, it } from 'node:test'
import type { SessionId } from '../../base/ids.ts'
import { deriveRepositoryKeys } from '../keys.ts'
import { sealObject } from '../sealed-object.ts'
import { SILENCE_MS, decodeSession, encodeSession, looksDead, ownSession, sessionKey } from './open-session.ts'

const KEYS = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
)
const SESSION = '00112233445566778899aabbccddeeff' as SessionId

describe('session objects', () => {
  it('say who runs the session', () => {
    const record = ownSession(Date.UTC(2026, 10, 1))
    const { space } = record
    assert.match(space ?? '', /^[0-9a-f]{8}$/)
    assert.deepEqual(record, { host: hostname(), pid: process.pid, space, startedAt: '2026-11-01T00:00:00.000Z' })
    assert.deepEqual(decodeSession(KEYS, SESSION, encodeSession(KEYS, SESSION, record)), record)
    const older = { ...record, space: undefined }
    assert.deepEqual(decodeSession(KEYS, SESSION, encodeSession(KEYS, SESSION, older)), older)
  })

  it('are refused under another name, and when they do not say who', () => {
    const object = encodeSession(KEYS, SESSION, ownSession(0))
    const other = 'f'.repeat(32) as SessionId
    assert.throws(() => decodeSession(KEYS, other, object), { code: 'DATA_CORRUPT', message: /sessions\/f{32}/ })
    for (const text of [
      '{}',
      '[]',
      '1',
      'null',
      '',
      '{',
      '{"host":1,"pid":1,"startedAt":""}',
      '{"host":"a","pid":"1","startedAt":""}',
    ]) {
      const sealed = sealObject('session', KEYS, sessionKey(SESSION), Buffer.from(text))
      assert.throws(() => decodeSession(KEYS, SESSION, sealed), { code: 'DATA_CORRUPT' }, text)
    }
  })
})

describe('looksDead()', () => {
  it('goes by the process on this machine, and by silence elsewhere', () => {
    const own = ownSession(0)
    const { pid } = spawnSync(process.execPath, ['--version'])
    assert.equal(looksDead(own, 0), false)
    assert.equal(looksDead({ ...own, pid: 1 }, 0), false) // another user's: EPERM is alive
    assert.equal(looksDead({ ...own, pid }, 0), true)
    assert.equal(looksDead({ ...own, pid, host: 'elsewhere' }, 0), false)
    assert.equal(looksDead({ ...own, pid, space: '00000000' }, 0), false) // another container, or before a reboot
    assert.equal(looksDead({ ...own, pid, space: undefined }, 0), true) // an object of the first version
    assert.equal(looksDead(undefined, SILENCE_MS), false)
    for (const record of [own, undefined, { ...own, host: 'elsewhere' }])
      assert.equal(looksDead(record, SILENCE_MS + 1), true)
  })
})
