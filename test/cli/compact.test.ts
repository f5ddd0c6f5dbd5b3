import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Operations } from '../../src/cli/world.ts'
import type { CompactProgress, CompactRepositoryOptions, CompactedRepository } from '../../src/operations/compact.ts'
import { jsonLines, runCli } from './harness.ts'

const RESULT: CompactedRepository = {
  snapshots: 4,
  packs: 9,
  packBytes: 100 << 20,
  unusedPacks: 2,
  fragmentedPacks: 1,
  orphanPacks: 1,
  reclaimableBytes: 30 << 20,
  deletedPacks: 4,
  deletedBytes: 31 << 20,
  storedBytes: 1 << 20,
  lostChunks: 0,
  removedSnapshots: 3,
  waitingFor: 0,
  durationMs: 1500,
}

function compacting(
  result: Partial<CompactedRepository> = {},
  events: readonly CompactProgress[] = [],
): { operations: Partial<Operations>; calls: unknown[] } {
  const calls: unknown[] = []
  const operations: Partial<Operations> = {
    compact: async () => ({
      compactRepository: async ({ location }, { onProgress, ...options }: CompactRepositoryOptions) => {
        calls.push([location, options])
        for (const event of events) onProgress?.(event)
        return { ...RESULT, ...result }
      },
    }),
  }
  return { operations, calls }
}

describe('cairn compact', () => {
  it('passes its options on', async () => {
    const none = {
      compression: undefined,
      dryRun: undefined,
      maxRepackBytes: undefined,
      threshold: undefined,
      wait: undefined,
    }
    for (const [argv, options] of [
      [['r'], none],
      [['-r', 'r', '-n', '--wait'], { ...none, dryRun: true, wait: true }],
      [['r', '--threshold', '25'], { ...none, threshold: 0.25 }],
      [['r', '--threshold', '2.5%', '--cleanup-commits'], { ...none, threshold: 0.025 }],
      [['r', '--max-repack-size', '2G', '-C', 'lz4'], { ...none, maxRepackBytes: 2 ** 31, compression: 'lz4' }],
    ] as const) {
      const { operations, calls } = compacting()
      const { exitCode, stderr } = await runCli(['compact', ...argv], { operations })
      assert.equal(exitCode, 0, stderr)
      assert.deepEqual(calls, [['r', options]])
    }
    for (const wrong of ['101', '-1', 'a', '1/2']) {
      const { exitCode, stderr } = await runCli(['compact', 'r', `--threshold=${wrong}`], {})
      assert.equal(exitCode, 2)
      assert.match(stderr, /percentage from 0 to 100/)
    }
  })

  it('says in a line what was freed, would be, or has to wait', async () => {
    for (const [argv, result, want] of [
      [[], {}, 'Freed 30.0 MiB in 1.50 s: deleted 4 packs, stored 1.00 MiB for what of them is needed.\n'],
      [[], { deletedPacks: 1, storedBytes: 0 }, 'Freed 31.0 MiB in 1.50 s: deleted 1 pack.\n'],
      [[], { deletedPacks: 0, reclaimableBytes: 0 }, 'There is nothing to free.\n'],
      [['-n'], {}, 'Would free 30.0 MiB: 3 packs of which nothing is needed, 1 pack to be rewritten.\n'],
      [['-n'], { unusedPacks: 0, orphanPacks: 0, fragmentedPacks: 0 }, 'There is nothing to free.\n'],
      [['-q'], {}, ''],
    ] as const) {
      const { operations } = compacting(result)
      const { stdout, stderr } = await runCli(['compact', 'r', ...argv], { operations })
      assert.deepEqual([stdout, stderr], [want, ''])
    }
    const { operations } = compacting({ waitingFor: 2 })
    const { stdout, exitCode } = await runCli(['compact', 'r'], { operations })
    assert.match(stdout, /^Freed 30.0 MiB .*\n2 backups are in progress .* run 'cairn compact' again .*--wait\.\n$/)
    assert.equal(exitCode, 0)
    const lossy = await runCli(['compact', 'r'], { operations: compacting({ lostChunks: 3 }).operations })
    assert.match(lossy.stderr, /^cairn: warning: snapshots refer to chunks that are in no pack .*--repair' looks\n$/)
  })

  it('has all of it as JSON', async () => {
    const { operations } = compacting({}, [{ phase: 'moving', done: 5, total: undefined }])
    const { stdout } = await runCli(['compact', 'r', '--json'], { operations })
    const lines = jsonLines(stdout)
    assert.partialDeepStrictEqual(lines[0], { message_type: 'status', phase: 'moving', bytes_done: 5 })
    assert.deepEqual(lines.at(-1), {
      message_type: 'summary',
      dry_run: false,
      snapshots: 4,
      packs: 9,
      pack_bytes: 100 << 20,
      packs_unused: 2,
      packs_to_repack: 1,
      packs_orphaned: 1,
      reclaimable_bytes: 30 << 20,
      packs_deleted: 4,
      bytes_deleted: 31 << 20,
      chunks_lost: 0,
      bytes_stored: 1 << 20,
      snapshots_removed: 3,
      waiting_for: 0,
      seconds_elapsed: 1.5,
    })
  })
})
