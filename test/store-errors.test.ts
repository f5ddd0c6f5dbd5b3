/** A store that fails at any of a run's operations, whatever the reason, and what the run and the next one make of it. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { before, describe, it } from 'node:test'
import { fixedClock } from '../src/base/clock.ts'
import { CairnError, type ErrorCode, isCairnError } from '../src/base/errors.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { createSnapshot } from '../src/operations/create.ts'
import { extractSnapshot } from '../src/operations/extract.ts'
import { listSnapshots } from '../src/operations/list.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import { hasPrograms } from '../src/platform/testing.ts'
import { FolderKeyFiles } from '../src/repository/key-files.ts'
import { createRepository } from '../src/repository/create-repository.ts'
import { SILENCE_MS } from '../src/repository/sessions/open-session.ts'
import { MemoryStorage } from '../src/storage/memory/memory-storage.ts'
import type { Storage } from '../src/storage/storage.ts'
import { type Fault, FaultyStorage, type Operation } from '../src/storage/testing.ts'
import { LATER_CLOCK, TestRepository, cairn, expectSound, newFolder, withFault } from './testing.ts'
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

describe('a disk whose system calls fail', () => {
  // Calls that only the store makes; but koffi syncs standard output and error at the end, and waits for ever if the latter fails.
  const faults = ['/^pwrite64', '/^fsync', '/^rename', '/^link'].flatMap((call) =>
    (call === '/^fsync' ? [3, 9] : [1, 3]).flatMap((nth) => [
      `${call}:error=EIO:when=${nth}`,
      `${call}:error=ENOSPC:when=${nth}+`,
      // Not for ever: the callers try again.
      `${call}:error=EINTR:when=${nth}`,
    ]),
  )

  it('never leaves a committed snapshot that does not restore', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const repository = await TestRepository.create({ encryption: 'none' })
    await repository.create([`${source}/sub`], { name: 'old' })
    const statuses: Record<string, number> = {}
    for (const fault of faults) {
      const copy = repository.copy()
      const { status, signal, stderr } = cairn(
        ['create', `${copy.location}::new`, source, '--workers', '1'],
        withFault(fault),
      )
      statuses[String(status)] = (statuses[String(status)] ?? 0) + 1
      assert.ok(signal === null && (status === 0 || status === 1), `${fault}: exit ${status ?? signal}: ${stderr}`)
      assert.match(stderr, status === 0 ? /^$/ : /^cairn: error: Cannot .*(run again|again)[^\n]*\n$/, fault)
      const names = (await listSnapshots(copy.access)).snapshots.map(({ name }) => name)
      assert.deepEqual(names.sort(), status === 0 ? ['new', 'old'] : ['old'], fault)
      if (status === 0) await copy.expectRestored(source, 'new')
      await expectSound(copy)
      const next = await copy.create([source], { name: 'next' })
      assert.deepEqual([next.issues, next.warnings], [0, 0], fault)
      await copy.expectRestored(source, 'next')
      assert.deepEqual(readdirSync(`${copy.location}/.tmp`), [], fault)
      copy.remove()
    }
    t.diagnostic(`${faults.length} faults, exit codes ${JSON.stringify(statuses)}`)
  })
})
