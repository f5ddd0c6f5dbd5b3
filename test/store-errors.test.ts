/** A store that fails at any of a run's operations, whatever the reason, and what the run and the next one make of it. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { before, describe, it } from 'node:test'
import { fixedClock } from '../src/base/clock.ts'
import { CairnError, type ErrorCode, isCairnError } from '../src/base/errors.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { createSnapshot } from '../src/operations/create.ts'
import { extractSnapshot } from '../src/operations/extract.ts'
import { listSnapshots } from '../src/operations/list.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import { FolderKeyFiles } from '../src/repository/key-files.ts'
import { createRepository } from '../src/repository/repository.ts'
import { SILENCE_MS } from '../src/repository/sessions/open-session.ts'
import { MemoryStorage } from '../src/storage/memory/memory-storage.ts'
import type { Storage } from '../src/storage/storage.ts'
import { type Fault, FaultyStorage, type Operation } from '../src/storage/testing.ts'
import { LATER_CLOCK, expectSound, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
const ADDED_BYTES = 250_000
/** One snapshot, `old`, of most of the source. */
const clock = fixedClock(LATER_CLOCK.now())
const stored = new MemoryStorage({ clock, turn: async () => undefined })
let operations: readonly Operation[]

const accessTo = (storage: Storage): RepositoryAccess => ({
  location: storage.location,
  keyFolder: '',
  askPassphrase: async () => undefined,
  clock: LATER_CLOCK,
  openStorage: async () => storage,
})

const createIn = (storage: Storage, name: string): ReturnType<typeof createSnapshot> =>
  createSnapshot(accessTo(storage), { name, paths: [source], workers: 1, compression: 'none' })

before(async () => {
  const chunker = { algorithm: 'fastcdc', minBytes: 4096, meanBytes: 16_384, maxBytes: 65_536 } as const
  await createRepository(stored, {
    encryption: 'none',
    passphrase: undefined,
    keyFiles: new FolderKeyFiles(newFolder()),
    chunker,
  })
  mkdirSync(`${source}/sub`)
  for (let i = 0; i < 5; i++) writeFileSync(`${source}/sub/${i}`, testBytes(`old ${i}`, 30_000))
  await createIn(stored, 'old')
  writeFileSync(`${source}/added`, testBytes('added', ADDED_BYTES))
  const faulty = new FaultyStorage(stored.clone())
  await createIn(faulty, 'new')
  operations = faulty.operations
})

/** A run whose store fails as ordered, and the run after it, on a store that is well. */
async function failAndGoOn(fault: Fault, code: ErrorCode): Promise<'saved' | 'failed'> {
  const inner = stored.clone()
  const faulty = new FaultyStorage(inner)
  faulty.fail({ ...fault, error: new CairnError(code, 'Cannot go on: the test ordered this failure') })
  const what = `${code} ${fault.when} operation ${fault.nth}, ${operations[(fault.nth ?? 0) - 1]?.kind}`
  const outcome = await createIn(faulty, 'new').then(
    ({ issues, warnings }) => {
      assert.deepEqual([issues, warnings], [0, 0], what)
      return 'saved' as const
    },
    (error: unknown) => {
      assert.ok(isCairnError(error, code), `${what}: ${String(error)}`)
      return 'failed' as const
    },
  )
  const names = (await listSnapshots(accessTo(inner))).snapshots.map(({ name }) => name)
  // A store that does not answer any more leaves open what became of the last thing it was told.
  const isInDoubt = fault.times === Infinity && fault.when === 'after'
  if (!isInDoubt) assert.deepEqual(names, outcome === 'saved' ? ['old', 'new'] : ['old'], what)

  // This process lives on, so a session object that the run had to leave looks alive.
  clock.set(clock.now() + SILENCE_MS + 1)
  const { issues, warnings } = await createIn(inner, 'next')
  assert.deepEqual([issues, warnings], [0, 0], what)
  await expectSound({ access: accessTo(inner) })
  const target = newFolder()
  await extractSnapshot(accessTo(inner), { snapshot: 'next', paths: [], workers: 1, target })
  assert.deepEqual(digestTree(`${target}${source}`), digestTree(source), what)
  // The pack of which nobody knew whether it was stored may be there twice.
  const bytes = (await packBytes(inner)) - (await packBytes(stored))
  assert.ok(bytes < ADDED_BYTES * (fault.when === 'after' ? 2.1 : 1.1), `${what}: ${bytes} bytes stored`)
  return outcome
}

async function packBytes(storage: Storage): Promise<number> {
  const sizes = await Array.fromAsync(storage.list('packs/'), ({ sizeBytes }) => sizeBytes)
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe('a store that fails once', () => {
  it('at any operation, before or after it took effect, costs that run at most', async (t) => {
    const outcomes = { saved: 0, failed: 0 }
    for (const [i] of operations.entries()) {
      for (const when of ['before', 'after'] as const)
        outcomes[await failAndGoOn({ nth: i + 1, when }, 'STORAGE_UNAVAILABLE')]++
    }
    t.diagnostic(JSON.stringify(outcomes))
    // The commit whose reply is lost, and the session object that cannot be deleted, are no reason to fail.
    assert.ok(outcomes.saved >= 3 && outcomes.failed > 20)
  })
})

describe('a store that fails from one operation on', () => {
  it('and is well again later, costs that run at most', async () => {
    for (const [i, { kind }] of operations.entries()) {
      await failAndGoOn({ nth: i + 1, when: 'before', times: Infinity }, 'STORAGE_DENIED')
      if (kind.startsWith('put'))
        await failAndGoOn({ nth: i + 1, when: 'after', times: Infinity }, 'STORAGE_UNAVAILABLE')
    }
  })

  it('because it is full, costs that run at most', async () => {
    const puts = operations.filter(({ kind }) => kind.startsWith('put'))
    for (const kind of ['put', 'putIfAbsent'] as const)
      for (let nth = 1; nth <= puts.filter((put) => put.kind === kind).length; nth++)
        assert.equal(await failAndGoOn({ kind, nth, when: 'before', times: Infinity }, 'STORAGE_FULL'), 'failed')
  })
})
