import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fixedClock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import { newTestRepository, reopen } from '../repository/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { loadSnapshots } from '../snapshot/catalog.ts'
import { type Snapshot, encodeSnapshot } from '../snapshot/snapshot.ts'
import { testSnapshot } from '../snapshot/testing.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import { FaultyStorage } from '../storage/testing.ts'
import { type PruneEvent, type PruneOptions, type PruneResult, planPrune, pruneSnapshots } from './prune.ts'
import type { RepositoryAccess } from './repository-access.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const DAY_MS = 86_400_000
const DAILY_2 = { policy: { kind: 'borg', counts: { daily: 2 } } } as const

interface Pruned extends PruneResult {
  readonly events: readonly PruneEvent[]
}

interface Pruning {
  readonly storage: FaultyStorage
  readonly access: RepositoryAccess
  /** Names of the snapshots there are, oldest first. */
  readonly names: () => Promise<string[]>
  readonly prune: (options: PruneOptions) => Promise<Pruned>
}

/** A repository in memory with these snapshots. */
async function repositoryWith(snapshots: readonly Partial<Snapshot>[]): Promise<Pruning> {
  const made = await newTestRepository({ storage: new MemoryStorage(), encryption: 'none' })
  const storage = new FaultyStorage(made.storage)
  for (const fields of snapshots) {
    const repository = await reopen(made)
    const session = await WriteSession.open(repository)
    await session.commit(encodeSnapshot(testSnapshot(fields)))
  }
  const access: RepositoryAccess = {
    location: 'memory',
    keyFolder: '/nowhere',
    askPassphrase: async () => undefined,
    clock: fixedClock(NOW),
    openStorage: async () => storage,
  }
  return {
    storage,
    access,
    async names() {
      const repository = await reopen(made)
      await repository.loadIndex()
      return (await loadSnapshots(repository)).map(({ name }) => name)
    },
    async prune(options) {
      const events: PruneEvent[] = []
      const result = await pruneSnapshots(access, { onEvent: (event) => events.push(event), ...options })
      return { ...result, events }
    },
  }
}

/** One a day, the first now, called `PREFIX-0`, `PREFIX-1` … */
function daily(prefix: string, count: number, fields: Partial<Snapshot> = {}): Partial<Snapshot>[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `${prefix}-${i}`,
    startedAt: new Date(NOW - i * DAY_MS).toISOString(),
    ...fields,
  }))
}

function told(events: readonly PruneEvent[]): string[] {
  return events.map((event) => {
    if (event.type === 'group') return `group ${JSON.stringify(event.group)}`
    if (event.type === 'warning') return `warning ${event.code}`
    const { name } = event.snapshot
    if (event.type === 'remove') return `remove ${name} ${event.number}/${event.total} ${event.because}`
    return `keep ${name} ${event.reasons.map(({ rule }) => rule).join(' ')}`
  })
}

describe('planPrune()', () => {
  it('decides for all together, or for each group by itself', () => {
    const snapshots = [...daily('vm', 4), ...daily('nas', 4, { hostname: 'nas' })].map(testSnapshot)
    const together = planPrune(snapshots, DAILY_2, NOW)
    assert.deepEqual([together.kept, together.removed, together.groups.length], [2, 6, 1])
    const apart = planPrune(snapshots, { ...DAILY_2, groupBy: ['host'] }, NOW)
    assert.deepEqual([apart.kept, apart.removed, apart.groups.length], [4, 4, 2])
    const nas = planPrune(snapshots, { ...DAILY_2, filter: { hosts: ['nas'] } }, NOW)
    assert.deepEqual([nas.kept, nas.removed, nas.groups.length], [2, 2, 1])
    const none = planPrune(snapshots, { ...DAILY_2, filter: { prefix: 'x' } }, NOW)
    assert.deepEqual(none, { groups: [], kept: 0, removed: 0 })
  })

  it('refuses a policy without rules, also where there is nothing to decide', () => {
    const policy = { kind: 'borg', counts: {} } as const
    assert.throws(() => planPrune([], { policy }, NOW), { code: 'INVALID_ARGUMENT', message: /at least one/ })
  })
})

describe('pruneSnapshots()', () => {
  it('deletes what no rule keeps, newest first, and tells why', async () => {
    const { prune, names } = await repositoryWith([...daily('s', 4), { ...daily('c', 2)[1], checkpoint: true }])
    const { kept, removed, events } = await prune(DAILY_2)
    assert.deepEqual([kept, removed], [2, 3])
    assert.deepEqual(told(events), [
      'keep s-0 daily',
      'keep s-1 daily',
      'remove c-1 1/3 superseded',
      'remove s-2 2/3 no-rule',
      'remove s-3 3/3 no-rule',
    ])
    assert.deepEqual(await names(), ['s-1', 's-0'])
  })

  it('leaves the archives of other hosts alone', async () => {
    const { prune, names } = await repositoryWith([...daily('vm', 3), ...daily('vm2', 3), ...daily('nas', 3)])
    await prune({ policy: { kind: 'borg', counts: { last: 1 } }, filter: { prefix: 'vm-' } })
    assert.deepEqual((await names()).sort(), ['nas-0', 'nas-1', 'nas-2', 'vm-0', 'vm2-0', 'vm2-1', 'vm2-2'])
  })

  it('tells of each group before its decisions', async () => {
    const { prune, names } = await repositoryWith([...daily('vm', 2), ...daily('nas', 2, { hostname: 'nas' })])
    const { events } = await prune({ policy: { kind: 'kopia', counts: { latest: 1 } }, groupBy: ['host'] })
    assert.deepEqual(told(events), [
      'group {"host":"host"}',
      'keep vm-0 latest',
      'remove vm-1 1/2 no-rule',
      'group {"host":"nas"}',
      'keep nas-0 latest',
      'remove nas-1 2/2 no-rule',
    ])
    assert.deepEqual((await names()).sort(), ['nas-0', 'vm-0'])
  })

  it('leaves as many of each volume as a rule counts, when grouped by paths', async () => {
    const volumes = ['db', 'web'].flatMap((name) => daily(name, 4, { paths: [`/var/lib/docker/volumes/${name}`] }))
    const { prune, names } = await repositoryWith(volumes)
    await prune({ policy: { kind: 'kopia', counts: { latest: 3 } }, groupBy: ['paths'] })
    assert.deepEqual((await names()).sort(), ['db-0', 'db-1', 'db-2', 'web-0', 'web-1', 'web-2'])
  })

  it('writes nothing in a dry run, and tells the same', async () => {
    const { prune, names, storage } = await repositoryWith(daily('s', 4))
    const before = storage.countMutations()
    const dry = await prune({ ...DAILY_2, dryRun: true })
    assert.equal(storage.countMutations(), before)
    assert.equal((await names()).length, 4)
    assert.deepEqual(dry, await prune(DAILY_2))
  })

  it('deletes nothing at all when nothing would be left of a group, unless that is allowed', async () => {
    const old = daily('old', 2, { hostname: 'old' }).map((fields) => ({
      ...fields,
      startedAt: '2025-01-01T00:00:00.000Z',
    }))
    const { prune, names, storage } = await repositoryWith([...daily('s', 4), ...old])
    const options = { policy: { kind: 'borg', withinMs: 2 * DAY_MS, counts: {} }, groupBy: ['host'] } as const
    const before = storage.countMutations()
    await assert.rejects(prune(options), {
      code: 'INVALID_ARGUMENT',
      message: /any of 2 snapshots.*'old-1'.*--allow-delete-all/,
    })
    assert.equal(storage.countMutations(), before)
    const { events } = await prune({ ...options, dryRun: true })
    assert.equal(told(events).at(-1), 'warning INVALID_ARGUMENT')
    const { kept, removed } = await prune({ ...options, allowDeleteAll: true })
    assert.deepEqual([kept, removed], [2, 4])
    assert.deepEqual(await names(), ['s-1', 's-0'])
  })

  it('does nothing to an empty repository', async () => {
    const { prune } = await repositoryWith([])
    const { kept, removed, reclaimableBytes, events } = await prune(DAILY_2)
    assert.deepEqual(
      { kept, removed, reclaimableBytes, events },
      { kept: 0, removed: 0, reclaimableBytes: 0, events: [] },
    )
  })

  it('leaves the rest when the store fails, and says how many were deleted', async () => {
    const { prune, names, storage } = await repositoryWith(daily('s', 7))
    storage.fail({ kind: 'put', prefix: 'forgotten/', nth: 3 })
    await assert.rejects(prune(DAILY_2), {
      code: 'STORAGE_UNAVAILABLE',
      message: /^Cannot prune the rest, after 2 of 5 snapshots were deleted: /,
    })
    assert.deepEqual(await names(), ['s-6', 's-5', 's-4', 's-1', 's-0'])
    storage.fail({ kind: 'put', prefix: 'forgotten/' })
    await assert.rejects(prune(DAILY_2), (error: Error) => !error.message.includes('the rest'))
    assert.equal((await prune(DAILY_2)).removed, 3)
    assert.deepEqual(await names(), ['s-1', 's-0'])
  })

  it('can be interrupted between two snapshots', async () => {
    const { access, names } = await repositoryWith(daily('s', 5))
    const controller = new AbortController()
    const reason = new CairnError('CANCELLED', 'Interrupted by SIGTERM', { details: { exitCode: 143 } })
    const pruning = pruneSnapshots(
      { ...access, signal: controller.signal },
      { ...DAILY_2, onEvent: (event) => event.type === 'remove' && controller.abort(reason) },
    )
    await assert.rejects(pruning, {
      code: 'CANCELLED',
      message: 'Cannot prune the rest, after 1 of 3 snapshots were deleted: Interrupted by SIGTERM',
      details: { exitCode: 143, deleted: 1 },
    })
    assert.deepEqual(await names(), ['s-4', 's-3', 's-1', 's-0'])
  })

  it('touches nothing where a snapshot cannot be read', async () => {
    const { prune, storage } = await repositoryWith(daily('s', 4))
    const commits = await Array.fromAsync(storage.list('commits/'))
    storage.flipBit(commits[0]?.key as string, 20)
    const before = storage.countMutations()
    await assert.rejects(prune(DAILY_2), { code: 'DATA_CORRUPT', message: /commits\// })
    assert.equal(storage.countMutations(), before)
  })
})
