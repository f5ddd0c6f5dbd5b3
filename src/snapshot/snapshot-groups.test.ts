import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { groupSnapshots } from './snapshot-groups.ts'
import { testSnapshot } from './testing.ts'

const SNAPSHOTS = [
  testSnapshot({ name: 'a', hostname: 'vm', paths: ['/x', '/y'], tags: ['t', 'u'] }),
  testSnapshot({ name: 'b', hostname: 'vm', paths: ['/y', '/x'], tags: [] }),
  testSnapshot({ name: 'c', hostname: 'nas', paths: ['/x', '/y'], tags: ['u', 't'] }),
  testSnapshot({ name: 'd', hostname: 'vm', paths: ['/x'], tags: [] }),
  testSnapshot({ name: 'e', hostname: 'vm', paths: ['/y', '/x'], tags: ['u', 't'] }),
]

function groups(...by: Parameters<typeof groupSnapshots>[1]): unknown[] {
  return groupSnapshots(SNAPSHOTS, by).map(({ snapshots, ...key }) => [snapshots.map(({ name }) => name).join(''), key])
}

describe('groupSnapshots()', () => {
  it('makes one group of all, and none of none', () => {
    assert.deepEqual(groups(), [['abcde', {}]])
    assert.deepEqual(groupSnapshots([], []), [])
    assert.deepEqual(groupSnapshots([], ['host']), [])
  })

  it('tells them apart by what is asked for, whatever the order of paths and tags', () => {
    assert.deepEqual(groups('host'), [
      ['c', { host: 'nas' }],
      ['abde', { host: 'vm' }],
    ])
    assert.deepEqual(groups('paths'), [
      ['abce', { paths: ['/x', '/y'] }],
      ['d', { paths: ['/x'] }],
    ])
    assert.deepEqual(groups('tags'), [
      ['ace', { tags: ['t', 'u'] }],
      ['bd', { tags: [] }],
    ])
    assert.deepEqual(groups('tags', 'host', 'paths'), [
      ['c', { host: 'nas', paths: ['/x', '/y'], tags: ['t', 'u'] }],
      ['ae', { host: 'vm', paths: ['/x', '/y'], tags: ['t', 'u'] }],
      ['b', { host: 'vm', paths: ['/x', '/y'], tags: [] }],
      ['d', { host: 'vm', paths: ['/x'], tags: [] }],
    ])
  })

  it('does not mistake two tags for one that looks like both', () => {
    const tagged = [['a,b'], ['a', 'b'], ['a", "b']].map((tags) => testSnapshot({ tags }))
    assert.equal(groupSnapshots(tagged, ['tags']).length, 3)
  })
})
