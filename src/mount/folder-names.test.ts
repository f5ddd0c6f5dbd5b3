import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { SessionId } from '../base/ids.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { testSnapshot } from '../snapshot/testing.ts'
import { folderNames } from './folder-names.ts'

function snapshots(...names: string[]): Snapshot[] {
  return names.map((name, i) => testSnapshot({ name, id: `${i}`.repeat(32).slice(0, 32) as SessionId }))
}

const named = (...names: string[]): string[] => [
  ...folderNames(snapshots(...names), ({ name }) => name, ['latest']).keys(),
]

describe('folderNames()', () => {
  it('are the names of snapshots, wherever these can be folders', () => {
    assert.deepEqual(named('monday', 'caf\u00e9 {x}', '...'), ['monday', 'caf\u00e9 {x}', '...'])
    assert.deepEqual(named('a/b', '..', '.', '', 'new\nline'), [
      'a_b',
      '_-11111111',
      '_-22222222',
      '_-33333333',
      'new_line',
    ])
  })

  it('tell those of one name apart, and from what is not theirs', () => {
    assert.deepEqual(named('a', 'b', 'a', 'latest'), ['a-00000000', 'b', 'a-22222222', 'latest-33333333'])
  })

  it('are one for each snapshot, and safe, whatever they are called', () => {
    const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a', 'a-00000000', '..', 'x'.repeat(500)))
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 9 }), (names) => {
        const all = snapshots(...names)
        const found = folderNames(all, ({ name }) => name, ['latest'])
        assert.deepEqual(new Set(found.values()), new Set(all))
        for (const name of found.keys()) {
          assert.ok(!/[/\0]/.test(name) && name !== '' && name !== '.' && name !== '..' && name !== 'latest', name)
          assert.ok(name.isWellFormed() && Buffer.byteLength(name) < 1024)
        }
      }),
    )
  })
})
