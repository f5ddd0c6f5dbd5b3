import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { TestRepository, newFolder } from '../../test/testing.ts'
import { examineSnapshotAges } from './snapshot-ages.ts'

const HOUR_MS = 60 * 60 * 1000
const NOW_MS = Date.parse('2026-11-21T12:00:00Z')

/** A repository in which a folder was saved so many hours ago each time. */
async function savedBefore(...hours: readonly number[]): Promise<{ repository: TestRepository; folder: string }> {
  const repository = await TestRepository.create({ encryption: 'none' })
  const folder = newFolder()
  writeFileSync(`${folder}/f`, 'content')
  for (const age of hours)
    await repository.create([folder], { name: `before-${age}`, timestampMs: NOW_MS - age * HOUR_MS })
  return { repository, folder }
}

async function statuses(
  repository: TestRepository,
  maxAgeHours: number,
  paths: readonly string[] = [],
): Promise<string[]> {
  const access = { ...repository.access, clock: { now: () => NOW_MS } }
  const findings = await examineSnapshotAges(access, { paths, maxAgeMs: maxAgeHours * HOUR_MS })
  return findings.map(({ status, message }) => `${status}: ${message}`)
}

describe('examineSnapshotAges()', () => {
  it('warns of what has no snapshot that is new enough', async () => {
    const { repository, folder } = await savedBefore(80, 25)
    const other = newFolder()
    await repository.create([other], { name: 'other', timestampMs: NOW_MS - HOUR_MS / 2 })
    assert.deepEqual(await statuses(repository, 26), [
      'ok: the newest snapshot, before-25, is 25 hours old',
      'ok: the newest snapshot, other, is 30 minutes old',
    ])
    assert.deepEqual(await statuses(repository, 24), [
      'warning: the newest snapshot, before-25, is 25 hours old',
      'ok: the newest snapshot, other, is 30 minutes old',
    ])
    const never = 'warning: has never been saved there'
    const paths = [`${folder}/f`, folder, `${folder}-beside`, '/']
    const saved = 'ok: the newest snapshot, before-25, is 25 hours old'
    assert.deepEqual(await statuses(repository, 26, paths), [saved, saved, never, never])
  })

  it('warns of an empty repository', async () => {
    const { repository } = await savedBefore()
    assert.deepEqual(await statuses(repository, 26), ['warning: has never been saved there'])
  })

  it('warns of a snapshot from the future, behind which nothing newer can be seen', async () => {
    const { repository } = await savedBefore(3, -72)
    assert.deepEqual(await statuses(repository, 26), [
      'warning: the newest snapshot, before--72, is 3 days in the future',
    ])
    assert.deepEqual(await statuses(repository, 80), ['ok: the newest snapshot, before--72, is 0 seconds old'])
  })
})
