import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { TestRepository, expectSound, newFolder } from '../../test/testing.ts'
import type { CairnError } from '../base/errors.ts'
import { checkRepository } from './check.ts'
import { deleteSnapshots } from './delete.ts'
import { snapshotInfo } from './info.ts'
import { changeComment, changeTags, changedTags, pinSnapshots } from './labels.ts'
import { listSnapshots } from './list.ts'
import { renameSnapshot } from './rename.ts'
import type { SnapshotInfo } from './snapshot-info.ts'

const ALL = { wanted: [], glob: '*' } as const

async function newRepository(...names: string[]): Promise<TestRepository> {
  const repository = await TestRepository.create()
  const source = newFolder()
  writeFileSync(`${source}/file`, 'content')
  for (const name of names) await repository.create([source], { name, comment: `about ${name}` })
  return repository
}

async function find(repository: TestRepository, name: string): Promise<SnapshotInfo> {
  const { snapshots } = await snapshotInfo(repository.access, { wanted: [name] })
  return snapshots[0] as SnapshotInfo
}

describe('changedTags()', () => {
  it('keeps the order, and each tag once', () => {
    assert.deepEqual(changedTags(['a', 'b'], { add: ['c', 'a', 'c'], remove: ['b', 'x'] }), ['a', 'c'])
    assert.deepEqual(changedTags(['a', 'b'], { set: ['z', 'z'] }), ['z'])
    assert.deepEqual(changedTags(['a'], { set: [] }), [])
    assert.deepEqual(changedTags(['a'], { add: ['b'], remove: ['b'] }), ['a'])
  })
})

describe('tags, comments and pins', () => {
  it('are changed without touching a commit or each other, and shown everywhere', async () => {
    const repository = await newRepository('a', 'b')
    const { access } = repository
    const commits = repository.objects('commits/').map((key) => readFileSync(path.join(repository.location, key)))
    await changeTags(access, { wanted: ['a'] }, { add: ['x', 'y'] })
    await pinSnapshots(access, { wanted: ['a'] }, true)
    await changeComment(access, { wanted: ['a'] }, 'another')
    await renameSnapshot(access, 'a', 'c')
    const changed = await changeTags(access, ALL, { add: ['z'], remove: ['x'] })
    assert.deepEqual(
      changed.map(({ name, tags }) => [name, tags]),
      [
        ['c', ['y', 'z']],
        ['b', ['z']],
      ],
    )
    const { name, tags, comment, pinned } = await find(repository, 'c')
    assert.deepEqual([name, tags, comment, pinned], ['c', ['y', 'z'], 'another', true])
    assert.deepEqual((await find(repository, 'b')).comment, 'about b')
    await pinSnapshots(access, ALL, false)
    assert.deepEqual(
      (await listSnapshots(access)).snapshots.map((one) => [one.name, one.pinned]),
      [
        ['c', false],
        ['b', false],
      ],
    )
    assert.deepEqual(
      repository.objects('commits/').map((key) => readFileSync(path.join(repository.location, key))),
      commits,
    )
    await expectSound(repository)
  })

  it('that change nothing store nothing', async () => {
    const repository = await newRepository('a')
    const { access } = repository
    await changeTags(access, ALL, { remove: ['x'] })
    await changeComment(access, ALL, 'about a')
    await pinSnapshots(access, ALL, false)
    await renameSnapshot(access, 'a', 'a')
    assert.deepEqual([...repository.objects('labels/'), ...repository.objects('pins/')], [])
    await changeTags(access, ALL, { set: ['x'] })
    await changeTags(access, ALL, { add: ['x'] })
    assert.equal(repository.objects('labels/').length, 1)
  })

  it('are all kept when they come at the same time', async () => {
    const repository = await newRepository('a')
    const { access } = repository
    await Promise.all([
      ...Array.from({ length: 6 }, (_, i) => changeTags(access, ALL, { add: [`t${i}`] })),
      changeComment(access, ALL, 'another'),
      renameSnapshot(access, 'a', 'b'),
      pinSnapshots(access, ALL, true),
    ])
    const { tags, comment, pinned } = await find(repository, 'b')
    assert.deepEqual([tags.toSorted(), comment, pinned], [['t0', 't1', 't2', 't3', 't4', 't5'], 'another', true])
  })

  it('refuse tags that could not be typed, before anything is changed', async () => {
    const repository = await newRepository('a')
    for (const tag of ['', ' a', 'a,b', 'a\nb', '\u2028', 'x'.repeat(201)])
      await assert.rejects(changeTags(repository.access, ALL, { add: ['fine', tag] }), { code: 'INVALID_ARGUMENT' })
    assert.deepEqual((await find(repository, 'a')).tags, [])
  })

  it('are not for what is unknown or deleted', async () => {
    const repository = await newRepository('a')
    const { access } = repository
    await deleteSnapshots(access, { selection: ALL })
    const selection = { wanted: ['a'] }
    for (const change of [
      () => changeTags(access, selection, { add: ['t'] }),
      () => changeComment(access, selection, 'c'),
      () => pinSnapshots(access, selection, true),
      () => renameSnapshot(access, 'a', 'b'),
    ])
      await assert.rejects(change, { code: 'NOT_FOUND' })
  })
})

describe('a label that is damaged', () => {
  it('hides no snapshot: the one before it counts, and a check names it', async () => {
    const repository = await newRepository('a')
    const { access } = repository
    await renameSnapshot(access, 'a', 'b')
    await changeComment(access, { wanted: ['b'] }, 'lost')
    const [, key = ''] = repository.objects('labels/')
    writeFileSync(path.join(repository.location, key), 'damaged')
    await assert.rejects(listSnapshots(access), { code: 'DATA_CORRUPT', message: new RegExp(key) })
    const damaged: unknown[] = []
    const onDamaged = ({ details }: CairnError): void => void damaged.push(details['object'])
    const { snapshots } = await listSnapshots({ ...access, onDamaged })
    assert.deepEqual(
      snapshots.map(({ name, comment }) => [name, comment]),
      [['b', 'about a']],
    )
    assert.deepEqual(damaged, [key])
    const found: (string | undefined)[] = []
    const { errors } = await checkRepository(access, {
      workers: 1,
      onEvent: (event) => event.type === 'error' && found.push(event.object),
    })
    assert.deepEqual([errors, found], [1, [key]])
    // The next change mends what is shown.
    await changeComment({ ...access, onDamaged }, { wanted: ['b'] }, 'new')
    assert.equal((await listSnapshots(access)).snapshots[0]?.comment, 'new')
  })
})
