import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { TestRepository, newFolder } from '../../test/testing.ts'
import { findSnapshotNames } from './snapshot-names.ts'

const repository = await TestRepository.create()
for (const name of ['monday', 'tuesday']) await repository.create([newFolder()], { name })

describe('findSnapshotNames()', () => {
  it('finds those that are there, and leaves nothing behind', async () => {
    const knownFolder = path.join(newFolder(), 'known')
    const found = await findSnapshotNames({ ...repository.access, knownFolder })
    assert.ok(!existsSync(knownFolder))
    assert.deepEqual(
      found.map(({ name }) => name),
      ['monday', 'tuesday'],
    )
    assert.deepEqual(await findSnapshotNames(repository.access, { deleted: true }), [])
  })

  it('finds none on another machine, and does not even ask there', async () => {
    for (const location of ['ssh://host/repo', 'host:repo', 'sftp://host/repo', 'ssh://a:secret@host/repo']) {
      const access = {
        ...repository.access,
        location,
        openStorage: () => assert.fail('was opened'),
      }
      assert.deepEqual(await findSnapshotNames(access), [])
    }
  })

  it('finds none where there is no repository, or none that can be opened', async () => {
    const locked = await TestRepository.create({ encryption: 'repokey' })
    for (const location of [newFolder(), '/dev/null', '/nonexistent', '', 's3://bucket/repo', locked.location])
      assert.deepEqual(await findSnapshotNames({ ...repository.access, location }), [])
  })
})
