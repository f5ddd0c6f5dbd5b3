import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RepositoryId } from '../base/ids.ts'
import { formatSlot, parseKeySlot, wrapKeyRing } from './key-slot.ts'
import { CHEAP_ARGON2 } from './testing.ts'

const MASTER = Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => i))
const REPOSITORY = '00112233445566778899aabbccddeeff' as RepositoryId
const SALT = 'YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8='

/** Made apart from this code: BLAKE3 in Python, AES and Argon2id of its package "cryptography" 48. */
const PINNED = {
  argon2id:
    `{"cairn_key":1,"repository":"${REPOSITORY}","kdf":{"name":"argon2id","memoryKiB":64,"passes":2,"parallelism":1},` +
    `"salt":"${SALT}","sealed":"1MtXHD64fJcoiHl3Rd8tUeimO+gh3PjTRRFhDl4+dM8vohwNByTqONOffDdTMEeX"}`,
  none:
    `{"cairn_key":1,"repository":"${REPOSITORY}","kdf":{"name":"none"},` +
    `"salt":"${SALT}","sealed":"iSsUEP142JZ3z++hhObvu1RQhe3nitiDYPflF/gn3h2V4OPaa8Cf/yorTa7EJ45b"}`,
}
const PINNED_PASSPHRASE = 'Käse am Fluß'

function wrap(passphrase: string | undefined): Promise<string> {
  return wrapKeyRing(MASTER, REPOSITORY, passphrase, { argon2: CHEAP_ARGON2 })
}

/** A slot with one field replaced. */
function changed(slot: string, name: string, value: unknown): string {
  return JSON.stringify({ ...(JSON.parse(slot) as Record<string, unknown>), [name]: value })
}

describe('parseKeySlot()', () => {
  it('opens the pinned slots', async () => {
    const locked = parseKeySlot(PINNED.argon2id, 'keys/1')
    assert.equal(locked.repository, REPOSITORY)
    assert.equal(locked.needsPassphrase, true)
    assert.deepEqual(await locked.unwrap(PINNED_PASSPHRASE), MASTER)
    const open = parseKeySlot(PINNED.none, 'keys/2')
    assert.equal(open.needsPassphrase, false)
    assert.deepEqual(await open.unwrap(undefined), MASTER)
  })

  it('takes a passphrase however its letters are composed', async () => {
    const decomposed = PINNED_PASSPHRASE.normalize('NFD')
    assert.notEqual(decomposed, PINNED_PASSPHRASE)
    assert.deepEqual(await parseKeySlot(PINNED.argon2id, 'keys/1').unwrap(decomposed), MASTER)
    assert.deepEqual(await parseKeySlot(await wrap('e\u0301'), 'keys/1').unwrap('\u00e9'), MASTER)
  })

  it('tells a wrong passphrase from the right one, and knows that none was given', async () => {
    const slot = parseKeySlot(await wrap('right'), 'keys/1')
    for (const wrong of ['', 'Right', 'right ', 'right\0', undefined]) assert.equal(await slot.unwrap(wrong), undefined)
    assert.deepEqual(await slot.unwrap('right'), MASTER)
  })

  it('opens a slot with an empty passphrase by that passphrase only', async () => {
    const slot = parseKeySlot(await wrap(''), 'keys/1')
    assert.equal(slot.needsPassphrase, true)
    assert.equal(await slot.unwrap(undefined), undefined)
    assert.deepEqual(await slot.unwrap(''), MASTER)
  })

  it('does not open a slot that was changed', async () => {
    const other = 'ff112233445566778899aabbccddeeff'
    const weaker = { name: 'argon2id', memoryKiB: 8, passes: 1, parallelism: 1 }
    for (const [name, value] of [
      ['repository', other],
      ['kdf', weaker],
      ['salt', SALT.replace('YG', 'ZG')],
      ['sealed', 'iSsUEP142JZ3z++hhObvu1RQhe3nitiDYPflF/gn3h2V4OPaa8Cf/yorTa7EJ45b'],
    ] as const) {
      const slot = parseKeySlot(changed(PINNED.argon2id, name, value), 'keys/1')
      assert.equal(await slot.unwrap(PINNED_PASSPHRASE), undefined, name)
    }
  })

  it('calls a slot without passphrase that does not open damaged', async () => {
    const slot = parseKeySlot(changed(PINNED.none, 'salt', SALT.replace('YG', 'ZG')), 'key file /k')
    await assert.rejects(slot.unwrap(undefined), { code: 'DATA_CORRUPT', message: /key file \/k/ })
  })

  it('refuses parameters of Argon2 that no honest slot has, before taking any memory', async () => {
    const sane = { name: 'argon2id', memoryKiB: 64, passes: 2, parallelism: 1 }
    for (const absurd of [
      { memoryKiB: 2 ** 31 },
      { memoryKiB: 7 },
      { memoryKiB: -1 },
      { memoryKiB: 64.5 },
      { memoryKiB: '64' },
      { memoryKiB: undefined },
      { passes: 0 },
      { passes: 2 ** 32 },
      { parallelism: 0 },
      { parallelism: 2 ** 24 },
    ]) {
      const slot = parseKeySlot(changed(PINNED.argon2id, 'kdf', { ...sane, ...absurd }), 'keys/7')
      await assert.rejects(
        slot.unwrap(PINNED_PASSPHRASE),
        { code: 'DATA_CORRUPT', message: /keys\/7/ },
        JSON.stringify(absurd),
      )
    }
    await assert.rejects(parseKeySlot(changed(PINNED.argon2id, 'salt', ''), 'keys/7').unwrap('x'), {
      code: 'DATA_CORRUPT',
    })
  })

  it('says that a newer version wrote a newer slot or key derivation', () => {
    for (const [name, value] of [
      ['cairn_key', 2],
      ['kdf', { name: 'scrypt' }],
      ['kdf', undefined],
    ] as const) {
      const text = changed(PINNED.argon2id, name, value)
      assert.throws(() => parseKeySlot(text, 'keys/1'), { code: 'FORMAT_UNSUPPORTED', message: /keys\/1/ })
    }
  })

  it('calls anything else damaged', () => {
    const texts = ['', '{', 'null', '1', '[]', '"x"', '{}', PINNED.none.slice(0, -1), PINNED.none.slice(1)]
    for (const [name, value] of [
      ['cairn_key', 0],
      ['cairn_key', '1'],
      ['repository', 1],
      ['salt', 1],
      ['sealed', undefined],
    ] as const) {
      texts.push(changed(PINNED.none, name, value))
    }
    for (const text of texts)
      assert.throws(() => parseKeySlot(text, 'keys/1'), { code: 'DATA_CORRUPT', message: /keys\/1/ }, text)
  })
})

describe('wrapKeyRing()', () => {
  it('makes another slot every time, and never shows the key', async () => {
    for (const passphrase of ['secret', undefined]) {
      const slots = [await wrap(passphrase), await wrap(passphrase)]
      assert.notEqual(slots[0], slots[1])
      for (const slot of slots) {
        assert.ok(slot.endsWith('}\n'))
        assert.ok(!slot.includes(MASTER.toString('base64')) && !slot.includes('secret'))
        assert.deepEqual(await parseKeySlot(slot, 'a slot').unwrap(passphrase), MASTER)
      }
    }
  })

  it('asks Argon2 for 64 MiB and three passes unless told otherwise', async () => {
    const { kdf } = JSON.parse(await wrapKeyRing(MASTER, REPOSITORY, 'x')) as { kdf: unknown }
    assert.deepEqual(kdf, { name: 'argon2id', memoryKiB: 65536, passes: 3, parallelism: 4 })
  })
})

describe('a slot with several master keys', () => {
  it('gives back the ring, and says how many keys it has', async () => {
    const ring = Buffer.concat([MASTER, MASTER.toReversed(), MASTER])
    const text = await wrapKeyRing(ring, REPOSITORY, 'p', { argon2: CHEAP_ARGON2 })
    const slot = parseKeySlot(text, 'keys/1')
    assert.equal(slot.generations, 3)
    assert.deepEqual(await slot.unwrap('p'), ring)
    assert.equal(formatSlot(slot.fields), text)
  })

  it('is damaged when its ring is of no whole number of keys', async () => {
    const slot = await wrap('p')
    for (const length of [0, 16, 47, 49, 79]) {
      const text = changed(slot, 'sealed', Buffer.alloc(length).toString('base64'))
      assert.throws(() => parseKeySlot(text, 'keys/1'), { code: 'DATA_CORRUPT' })
    }
  })
})

describe('notes of a slot', () => {
  const notes = { label: 'Käthe', createdAt: '2026-11-21T00:00:00.000Z', isRecovery: false }

  it('are read by who has the newest key of the slot, or a newer one, and by nobody else', async () => {
    const ring = Buffer.concat([MASTER, MASTER.toReversed()])
    const slot = parseKeySlot(await wrapKeyRing(ring, REPOSITORY, 'p', { argon2: CHEAP_ARGON2, notes }), 'keys/1')
    assert.deepEqual(slot.notes(ring), notes)
    assert.deepEqual(slot.notes(Buffer.concat([ring, MASTER])), notes)
    assert.equal(slot.notes(MASTER), undefined)
    assert.equal(slot.notes(Buffer.concat([MASTER, MASTER])), undefined)
    assert.equal(parseKeySlot(await wrap('p'), 'keys/1').notes(MASTER), undefined)
  })

  it('say nothing once a bit of them, or the salt, was changed', async () => {
    const text = await wrapKeyRing(MASTER, REPOSITORY, 'p', { argon2: CHEAP_ARGON2, notes })
    const { notes: sealed = new Uint8Array(), ...fields } = parseKeySlot(text, 'keys/1').fields
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.equal(parseKeySlot(formatSlot({ ...fields, notes: flipped }), 'keys/1').notes(MASTER), undefined)
    }
    const other = formatSlot({ ...fields, salt: fields.salt.toReversed(), notes: sealed })
    assert.equal(parseKeySlot(other, 'keys/1').notes(MASTER), undefined)
  })
})
