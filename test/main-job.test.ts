/** The main job on real input: tens of thousands of files of this system, backed up, listed, compared and restored identical. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { diffSnapshots } from '../src/operations/diff.ts'
import { listEntries } from '../src/operations/list.ts'
import { DEFAULT_CHUNKER_PARAMS, formatChunkerParams } from '../src/chunker/params.ts'
import { IS_ROOT, TestRepository, needs } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const FOLDERS = ['/usr/include', '/usr/share/man', '/usr/share/zoneinfo'].filter((folder) => existsSync(folder))

describe('the main job', () => {
  it(
    'backs up real folders and restores them identical',
    { skip: needs(FOLDERS.length > 0, 'nothing below /usr') },
    async () => {
      const options = { withoutOwners: !IS_ROOT }
      const want = FOLDERS.map((folder) => digestTree(folder, options))
      const repository = await TestRepository.create({ chunkerParams: formatChunkerParams(DEFAULT_CHUNKER_PARAMS) })
      const first = await repository.create(FOLDERS, { listEntries: false, workers: 2 })
      assert.equal(first.issues, 0)
      assert.ok(first.snapshot.stats.deduplicatedBytes < first.snapshot.stats.originalBytes)

      const second = await repository.create(FOLDERS, { listEntries: false, workers: 2 })
      const { stats } = second.snapshot
      assert.deepEqual([stats.filesNew, stats.filesChanged, stats.deduplicatedBytes], [0, 0, 0])
      assert.equal(stats.filesUnmodified, first.snapshot.stats.filesNew)
      assert.equal(second.snapshot.tree, first.snapshot.tree)
      await diffSnapshots(repository.access, first.snapshot.id, second.snapshot.id, [], ({ path }) => assert.fail(path))

      let listed = 0
      await listEntries(repository.access, 'latest', FOLDERS, { onEntry: () => void listed++ })
      assert.equal(listed, want.flat().length)

      const { target, issues, files } = await repository.extract({ listEntries: false, workers: 2 })
      assert.deepEqual([issues, files], [0, first.snapshot.stats.filesNew])
      for (const [i, folder] of FOLDERS.entries())
        assert.deepEqual(digestTree(path.join(target, folder), options), want[i])
    },
  )
})
