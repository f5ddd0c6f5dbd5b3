import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LATIN1_NAME } from '../../test/testing.ts'
import { testSnapshot } from '../snapshot/testing.ts'
import { type SnapshotFilter, type SnapshotOrder, filterSnapshots, orderSnapshots } from './snapshot-filter.ts'

const SNAPSHOTS = [
  testSnapshot({ name: 'vm-1', hostname: 'vm', paths: ['/a', '/b'], tags: ['x'] }),
  testSnapshot({ name: 'vm-2.checkpoint', hostname: 'vm', paths: ['/a'], checkpoint: true }),
  testSnapshot({ name: 'vm*', hostname: 'VM', paths: [`/${LATIN1_NAME}`], tags: ['x', 'y'] }),
  testSnapshot({ name: 'nas-10', hostname: 'nas', paths: ['/a'], tags: ['z'] }),
  testSnapshot({ name: 'x.checkpoint', hostname: 'nas', paths: [], tags: [] }),
]

function names(filter: SnapshotFilter): string[] {
  return filterSnapshots(SNAPSHOTS, filter).map(({ name }) => name)
}

describe('filterSnapshots()', () => {
  it('means all without a filter', () => {
    assert.equal(names({}).length, SNAPSHOTS.length)
    assert.equal(names({ prefix: '' }).length, SNAPSHOTS.length)
    assert.equal(names({ glob: '*' }).length, SNAPSHOTS.length)
  })

  it('takes a prefix as it is, and a pattern for the whole name', () => {
    assert.deepEqual(names({ prefix: 'vm-' }), ['vm-1', 'vm-2.checkpoint'])
    assert.deepEqual(names({ prefix: 'vm*' }), ['vm*'])
    assert.deepEqual(names({ glob: 'vm' }), [])
    assert.deepEqual(names({ glob: 'vm-?' }), ['vm-1', 'vm-2.checkpoint'])
    assert.deepEqual(names({ glob: '*-1' }), ['vm-1'])
    assert.deepEqual(names({ glob: '*-1*' }), ['vm-1', 'nas-10'])
    assert.deepEqual(names({ glob: '[!v]*' }), ['nas-10', 'x.checkpoint'])
    assert.deepEqual(names({ prefix: 'vm', glob: '*1' }), ['vm-1'])
  })

  it('knows a checkpoint by the name its run was to have, and nothing else so', () => {
    assert.deepEqual(names({ glob: 'vm-2' }), ['vm-2.checkpoint'])
    assert.deepEqual(names({ glob: '*.checkpoint' }), ['x.checkpoint'])
  })

  it('takes hosts and sets of tags as alternatives, and all of several paths', () => {
    assert.deepEqual(names({ hosts: ['vm'] }), ['vm-1', 'vm-2.checkpoint'])
    assert.deepEqual(names({ hosts: ['VM', 'nas'] }), ['vm*', 'nas-10', 'x.checkpoint'])
    assert.deepEqual(names({ tags: [['x']] }), ['vm-1', 'vm*'])
    assert.deepEqual(names({ tags: [['x', 'y'], ['z']] }), ['vm*', 'nas-10'])
    assert.deepEqual(names({ paths: ['/a'] }), ['vm-1', 'vm-2.checkpoint', 'nas-10'])
    assert.deepEqual(names({ paths: ['/b', '/a'] }), ['vm-1'])
    assert.deepEqual(names({ paths: [`/${LATIN1_NAME}`] }), ['vm*'])
    assert.deepEqual(names({ paths: ['/a'], hosts: ['nas'], tags: [['x']] }), [])
  })

  it('refuses patterns that can match no name', () => {
    for (const glob of ['', 'a/b', '/', '[z-a]']) {
      assert.throws(
        () => names({ glob }),
        { code: 'INVALID_ARGUMENT', message: /^Cannot choose snapshots by .*; write a name/ },
        glob,
      )
    }
  })
})

describe('orderSnapshots()', () => {
  const snapshots = [
    testSnapshot({ name: 'b', startedAt: '2026-01-01T00:00:00.000Z' }),
    testSnapshot({ name: 'a', startedAt: '2026-01-02T00:00:00.000Z' }),
    testSnapshot({ name: 'b', startedAt: '2026-01-03T00:00:00.000Z' }),
  ]
  const days = (order: SnapshotOrder): string[] =>
    orderSnapshots(snapshots, order).map(({ name, startedAt }) => name + startedAt.slice(9, 10))

  it('sorts by the keys in their order, and then takes from one end', () => {
    assert.deepEqual(days({}), ['b1', 'a2', 'b3'])
    assert.deepEqual(days({ sortBy: ['name'] }), ['a2', 'b1', 'b3'])
    assert.deepEqual(days({ sortBy: ['name', 'timestamp'], last: 2 }), ['b1', 'b3'])
    assert.deepEqual(days({ first: 2 }), ['b1', 'a2'])
    assert.deepEqual(days({ last: 9 }), ['b1', 'a2', 'b3'])
  })
})
