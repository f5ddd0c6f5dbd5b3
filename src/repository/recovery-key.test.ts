import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseKeySlot, wrapKeyRing } from './key-slot.ts'
import { canonicalRecoveryKey, mistypedGroups, newRecoveryKey } from './recovery-key.ts'
import { CHEAP_ARGON2, newTestRepository } from './testing.ts'
import { unlockKeyRing } from './unlock.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** Computed by hand from docs/format.md for data of 32 zeros. */
const ZEROS = '00005-0000A-0000F-0000M-0000H-0000Y-0000V-0000D'

/** Where the characters of a key are that are no dashes. */
const PLACES = Array.from(ZEROS).flatMap((character, i) => (character === '-' ? [] : [i]))

function replaced(text: string, at: number, character: string): string {
  return text.slice(0, at) + character + text.slice(at + 1)
}

describe('a recovery key', () => {
  it('is new each time, and has 8 groups of 5 characters', () => {
    const keys = Array.from({ length: 50 }, newRecoveryKey)
    assert.equal(new Set(keys).size, 50)
    for (const key of keys) {
      assert.match(key, /^[0-9A-HJKMNP-TV-Z]{5}(?:-[0-9A-HJKMNP-TV-Z]{5}){7}$/)
      assert.equal(canonicalRecoveryKey(key), key)
    }
  })

  it('may be typed in any case and spacing, with O for 0 and I or L for 1', () => {
    const key = newRecoveryKey()
    const typed = [
      key.toLowerCase(),
      key.replaceAll('-', ''),
      ` ${key.replaceAll('-', ' – ')}\t`,
      key.replaceAll('0', 'o').replaceAll('1', 'l'),
      key.replaceAll('0', 'O').replaceAll('1', 'I'),
    ]
    for (const text of typed) assert.equal(canonicalRecoveryKey(text), key, text)
  })

  it('with any one character wrong is told by its group', () => {
    const key = newRecoveryKey()
    for (const at of PLACES) {
      for (const character of ALPHABET.replace(key[at] as string, '')) {
        const typed = replaced(key, at, character)
        assert.equal(canonicalRecoveryKey(typed), undefined)
        assert.deepEqual(mistypedGroups(typed), [Math.floor(at / 6) + 1])
      }
    }
  })

  it('with two groups or neighbours exchanged is wrong', () => {
    for (let groups = newRecoveryKey().split('-'), i = 0; i + 1 < groups.length; i++) {
      const [a, b] = [groups[i] as string, groups[i + 1] as string]
      const typed = groups
        .with(i, b)
        .with(i + 1, a)
        .join('-')
      assert.deepEqual(mistypedGroups(typed), a === b ? [] : [i + 1, i + 2])
    }
    const key = newRecoveryKey()
    for (const [i, at] of PLACES.entries()) {
      const next = PLACES[i + 1]
      if (next === undefined || key[at] === key[next]) continue
      assert.equal(
        canonicalRecoveryKey(replaced(replaced(key, at, key[next] as string), next, key[at] as string)),
        undefined,
      )
    }
  })

  it('is checked as the document says', () => {
    assert.equal(canonicalRecoveryKey(ZEROS), ZEROS)
  })

  it('is nothing that people choose', () => {
    for (const text of [
      '',
      'correct horse battery staple',
      'x'.repeat(40),
      '0'.repeat(40),
      'ß'.repeat(40),
      ZEROS.slice(1),
    ]) {
      assert.equal(canonicalRecoveryKey(text), undefined)
      assert.deepEqual(mistypedGroups(text), [])
    }
    fc.assert(fc.property(fc.string(), (text) => assert.equal(canonicalRecoveryKey(text), undefined)))
  })

  it('opens a slot in whatever form, and an error of typing is told with the question', async () => {
    const made = await newTestRepository()
    const key = newRecoveryKey()
    const { id } = made.repository
    const ring = Buffer.alloc(32, 1)
    const slot = parseKeySlot(await wrapKeyRing(ring, id, key, { argon2: CHEAP_ARGON2 }), 'a slot')
    for (const typed of [key, key.toLowerCase().replaceAll('-', ' ')]) assert.deepEqual(await slot.unwrap(typed), ring)
    assert.equal(await slot.unwrap(replaced(key, 7, key[7] === '0' ? '1' : '0')), undefined)

    const problems: (string | undefined)[] = []
    const answers = [replaced(key, 7, key[7] === '0' ? '2' : '0'), 'wrong', undefined]
    const askPassphrase = async ({ problem }: { problem?: string | undefined }): Promise<string | undefined> => {
      problems.push(problem)
      return answers.shift()
    }
    const opening = unlockKeyRing(made.storage, made.repository.config, { keyFiles: made.keyFiles, askPassphrase })
    await assert.rejects(opening, { code: 'WRONG_PASSWORD' })
    assert.deepEqual(problems, [undefined, 'the recovery key is mistyped in group 2 of 8; look at it again', undefined])
  })
})
