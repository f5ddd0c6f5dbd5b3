import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../../base/errors.ts'
import { type SessionId, toHex } from '../../base/ids.ts'
import { randomBytes } from '../../codec/random.ts'
import { MemoryStorage } from '../../storage/memory/memory-storage.ts'
import type { Storage } from '../../storage/storage.ts'
import { FaultyStorage } from '../../storage/testing.ts'
import { deriveRepositoryKeys } from '../keys.ts'
import { loadLabel, putLabel } from './label-log.ts'
import { claimAndRename, claimName } from './name-claim.ts'
import { commitKey, encodeSession, forgottenKey, ownSession, sessionKey } from './open-session.ts'

const KEYS = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
)
const DEAD_PID = spawnSync(process.execPath, ['--version']).pid
const TAKEN = { code: 'SNAPSHOT_EXISTS' }

/** Names that snapshots were committed with. */
type Committed = Map<SessionId, string>

async function create(
  storage: Storage,
  name: string,
  committed: Committed,
  options: { isDead?: boolean; inPlaceOf?: SessionId } = {},
): Promise<SessionId> {
  const session = toHex(randomBytes(16)) as SessionId
  const record = options.isDead ? { ...ownSession(0), pid: DEAD_PID } : ownSession(0)
  await storage.put(sessionKey(session), encodeSession(KEYS, session, record))
  try {
    await claimName(storage, KEYS, name, session, { inPlaceOf: options.inPlaceOf })
    committed.set(session, name) // whether it comes to that is for the register to say
    await storage.putIfAbsent(commitKey(session), Buffer.from('committed'))
  } finally {
    await storage.delete(sessionKey(session))
  }
  return session
}

function rename(storage: Storage, snapshot: SessionId, name: string): Promise<void> {
  return claimAndRename(storage, KEYS, name, snapshot, {})
}

/** Names of the snapshots that are there. */
async function namesOf(storage: Storage, committed: Committed): Promise<string[]> {
  const names: string[] = []
  for (const [session, name] of committed) {
    const [register] = await Array.fromAsync(storage.list(commitKey(session)))
    const [forgotten] = await Array.fromAsync(storage.list(forgottenKey(session)))
    if (!register?.sizeBytes || forgotten) continue
    names.push((await loadLabel(storage, KEYS, session, {})).label.name ?? name)
  }
  return names.sort()
}

describe('claimAndRename()', () => {
  it('gives a snapshot a name that is free, and gives up the old one', async () => {
    const storage = new MemoryStorage()
    const committed: Committed = new Map()
    const first = await create(storage, 'a', committed)
    await rename(storage, first, 'b')
    await assert.rejects(create(storage, 'b', committed), { ...TAKEN, message: /'b': a snapshot has it/ })
    const second = await create(storage, 'a', committed)
    await assert.rejects(rename(storage, first, 'a'), TAKEN)
    await rename(storage, second, 'c')
    await rename(storage, first, 'a')
    await rename(storage, second, 'b')
    assert.deepEqual(await namesOf(storage, committed), ['a', 'b'])
    await assert.rejects(rename(storage, second, 'b'), TAKEN)
  })

  it('frees the name of what is forgotten, and keeps other fields of the label', async () => {
    const storage = new MemoryStorage()
    const committed: Committed = new Map()
    const [first, second] = [await create(storage, 'a', committed), await create(storage, 'b', committed)]
    await rename(storage, first, 'c')
    const head = await loadLabel(storage, KEYS, second, {})
    await putLabel(storage, KEYS, second, { ...head, value: { later: 1 } }, { tags: ['t'] }, {})
    await storage.put(forgottenKey(first), new Uint8Array())
    await rename(storage, second, 'c')
    const { label, value } = await loadLabel(storage, KEYS, second, {})
    assert.deepEqual([label, value['later']], [{ name: 'c', comment: undefined, tags: ['t'] }, 1])
  })

  it('knows its label when the reply was lost', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    const committed: Committed = new Map()
    const first = await create(storage, 'a', committed)
    const head = await loadLabel(storage, KEYS, first, {})
    assert.equal(await putLabel(storage, KEYS, first, head, { name: 'b' }, {}), true)
    assert.equal(await putLabel(storage, KEYS, first, head, { name: 'c' }, {}), false)
    // Where the reply to the claim is lost, the next try passes it over.
    storage.fail({ kind: 'putIfAbsent', prefix: 'names/', when: 'after' })
    await assert.rejects(rename(storage, first, 'd'), { code: 'STORAGE_UNAVAILABLE' })
    await rename(storage, first, 'd')
    assert.deepEqual(await namesOf(storage, committed), ['d'])
  })

  it('changes nothing until it changes all, wherever it is stopped, and bars no name', async () => {
    for (let nth = 1; ; nth++) {
      const storage = new MemoryStorage()
      const committed: Committed = new Map()
      const first = await create(storage, 'a', committed)
      await rename(storage, first, 'b')
      await rename(storage, first, 'a') // so that there are claims to look at
      const faulty = new FaultyStorage(storage)
      faulty.crashAt(nth, 'before')
      const isDone = await rename(faulty, first, 'b').then(
        () => true,
        () => false,
      )
      assert.deepEqual(await namesOf(storage, committed), [isDone ? 'b' : 'a'])
      await create(storage, isDone ? 'a' : 'b', committed)
      await assert.rejects(rename(storage, first, isDone ? 'a' : 'b'), TAKEN)
      assert.deepEqual(await namesOf(storage, committed), ['a', 'b'])
      if (!isDone) continue
      assert.ok(nth > 2)
      return
    }
  })

  it('passes over a label that is damaged', async () => {
    const storage = new MemoryStorage()
    const committed: Committed = new Map()
    const first = await create(storage, 'a', committed)
    await rename(storage, first, 'b')
    await rename(storage, first, 'c')
    await storage.put(`labels/${first}-2`, Buffer.from('damaged'))
    await assert.rejects(loadLabel(storage, KEYS, first, {}), { code: 'DATA_CORRUPT' })
    const damaged: unknown[] = []
    const head = await loadLabel(storage, KEYS, first, { onDamaged: ({ details }) => damaged.push(details['object']) })
    assert.deepEqual([head.number, head.label.name, damaged], [2, 'b', [`labels/${first}-2`]])
    await assert.rejects(create(storage, 'b', committed), TAKEN)
    await create(storage, 'c', committed)
    await rename(storage, first, 'd')
    assert.deepEqual(await namesOf(storage, committed), ['c', 'd'])
  })
})

describe('a claim in place of a snapshot', () => {
  it('counts for the one or the other', async () => {
    const storage = new MemoryStorage()
    const committed: Committed = new Map()
    const first = await create(storage, 'a', committed)
    await assert.rejects(create(storage, 'a', committed, { inPlaceOf: 'f'.repeat(32) as SessionId }), TAKEN)
    // A run that dies on the way: the name is that of the first still, and another may replace it.
    const dead = toHex(randomBytes(16)) as SessionId
    await storage.put(sessionKey(dead), encodeSession(KEYS, dead, { ...ownSession(0), pid: DEAD_PID }))
    await claimName(storage, KEYS, 'a', dead, { inPlaceOf: first })
    await assert.rejects(create(storage, 'a', committed), TAKEN)
    const next = await create(storage, 'a', committed, { inPlaceOf: first })
    await assert.rejects(create(storage, 'a', committed), TAKEN)
    await storage.put(forgottenKey(first), new Uint8Array())
    await assert.rejects(create(storage, 'a', committed), TAKEN)
    await storage.put(forgottenKey(next), new Uint8Array())
    await create(storage, 'a', committed)
  })

  it('bars the name while its run is open', async () => {
    const storage = new MemoryStorage()
    const committed: Committed = new Map()
    const first = await create(storage, 'a', committed)
    const open = toHex(randomBytes(16)) as SessionId
    await storage.put(sessionKey(open), encodeSession(KEYS, open, ownSession(0)))
    await claimName(storage, KEYS, 'a', open, { inPlaceOf: first })
    await assert.rejects(create(storage, 'a', committed, { inPlaceOf: first }), { ...TAKEN, message: /in progress/ })
    await storage.put(forgottenKey(first), new Uint8Array())
    await assert.rejects(create(storage, 'a', committed), TAKEN)
  })
})

/** A storage that does something else just before the first operation of a kind on keys that begin so. */
function interrupted(
  inner: Storage,
  kind: 'list' | 'putIfAbsent',
  prefix: string,
  interrupt: () => Promise<unknown>,
): Storage {
  const storage = new FaultyStorage(inner)
  let isDue = true
  const once = async (key: string): Promise<void> => {
    if (!isDue || !key.startsWith(prefix)) return
    isDue = false
    await interrupt()
  }
  const [list, putIfAbsent] = [storage.list.bind(storage), storage.putIfAbsent.bind(storage)]
  if (kind === 'list') {
    storage.list = async function* (key, options) {
      await once(key)
      yield* list(key, options)
    }
  } else {
    storage.putIfAbsent = async (key, ...rest) => {
      await once(key)
      return putIfAbsent(key, ...rest)
    }
  }
  return storage
}

describe('a run that takes the name while a snapshot is being renamed', () => {
  const at = [
    ['before the claim', 'putIfAbsent', 'names/'],
    ['between the claim and the look at the label', 'list', 'labels/'],
    ['between the look at the claims and the label', 'putIfAbsent', 'labels/'],
  ] as const
  for (const [when, kind, prefix] of at) {
    it(`gets it, and the renaming changes nothing, when it comes ${when}`, async () => {
      const storage = new MemoryStorage()
      const committed: Committed = new Map()
      const first = await create(storage, 'a', committed)
      const meanwhile = interrupted(storage, kind, prefix, () => create(storage, 'b', committed))
      await assert.rejects(rename(meanwhile, first, 'b'), TAKEN)
      assert.deepEqual(await namesOf(storage, committed), ['a', 'b'])
    })

    it(`leaves it free to the next when it dies after its claim, ${when}`, async () => {
      const storage = new MemoryStorage()
      const committed: Committed = new Map()
      const first = await create(storage, 'a', committed)
      const meanwhile = interrupted(storage, kind, prefix, async () => {
        const dying = new FaultyStorage(storage)
        dying.crashAt(2, 'after')
        await assert.rejects(create(dying, 'b', new Map(), { isDead: true }))
        await create(storage, 'b', committed)
      })
      await assert.rejects(rename(meanwhile, first, 'b'), TAKEN)
      assert.deepEqual(await namesOf(storage, committed), ['a', 'b'])
    })
  }

  it('gets nothing when the label is there before it has looked', async () => {
    const storage = new MemoryStorage()
    const committed: Committed = new Map()
    const first = await create(storage, 'a', committed)
    const [labelIsDue, claimed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const slow = interrupted(storage, 'putIfAbsent', 'labels/', async () => {
      labelIsDue.resolve()
      await claimed.promise
    })
    const renaming = rename(slow, first, 'b')
    await labelIsDue.promise
    // The run passes over the claim, and looks at the label only when that has come.
    const late = new FaultyStorage(storage)
    const putIfAbsent = late.putIfAbsent.bind(late)
    late.putIfAbsent = async (key, ...rest) => {
      const won = await putIfAbsent(key, ...rest)
      if (key.startsWith('names/')) {
        claimed.resolve()
        await renaming
      }
      return won
    }
    await assert.rejects(create(late, 'b', committed), { ...TAKEN, message: /has just got it/ })
    await renaming
    assert.deepEqual(await namesOf(storage, committed), ['b'])
    await assert.rejects(create(storage, 'b', committed), TAKEN)
    await create(storage, 'a', committed)
  })
})

const anyName = fc.constantFrom('a', 'b', 'c')
/** What somebody does: creates a snapshot, or renames one of the two that there are; the process may die at some operation. */
const anyDeed = fc.record({
  name: anyName,
  renames: fc.constantFrom(undefined, 0, 1),
  diesAt: fc.constantFrom(undefined, undefined, 1, 2, 3),
})

describe('any number of runs and renamings at once', () => {
  it('never give two snapshots one name, in any order of their operations, whoever dies', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(anyDeed, { minLength: 2, maxLength: 5 }), async (scheduler, deeds) => {
        let isQuiet = true
        const storage = new MemoryStorage({
          turn: async () => (isQuiet ? undefined : scheduler.schedule(Promise.resolve())),
        })
        const committed: Committed = new Map()
        const snapshots = [await create(storage, 'a', committed), await create(storage, 'b', committed)]
        isQuiet = false
        const act = async ({ name, renames, diesAt }: (typeof deeds)[number]): Promise<boolean> => {
          const own = new FaultyStorage(storage)
          if (diesAt !== undefined) own.crashAt(diesAt, 'after')
          try {
            if (renames === undefined) await create(own, name, committed, { isDead: diesAt !== undefined })
            else await rename(own, snapshots[renames] as SessionId, name)
            return true
          } catch (error) {
            if (!own.crashed && !isCairnError(error, 'SNAPSHOT_EXISTS')) throw error
            return false
          }
        }
        await scheduler.waitFor(Promise.all(deeds.map(act)))
        isQuiet = true
        const names = await namesOf(storage, committed)
        assert.deepEqual(names, [...new Set(names)])
        // Whatever went on, a name is free if and only if nobody has it.
        for (const name of ['a', 'b', 'c']) {
          const isFree = await create(storage, name, new Map()).then(
            () => true,
            () => false,
          )
          assert.equal(isFree, !names.includes(name), name)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('lose no change of a label', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        let isQuiet = true
        const storage = new MemoryStorage({
          turn: async () => (isQuiet ? undefined : scheduler.schedule(Promise.resolve())),
        })
        const first = await create(storage, 'a', new Map())
        isQuiet = false
        const addTag = async (tag: string): Promise<void> => {
          for (;;) {
            const head = await loadLabel(storage, KEYS, first, {})
            const tags = [...(head.label.tags ?? []), tag]
            if (await putLabel(storage, KEYS, first, head, { tags }, {})) return
          }
        }
        await scheduler.waitFor(Promise.all([addTag('x'), addTag('y'), rename(storage, first, 'b'), addTag('z')]))
        isQuiet = true
        const { label } = await loadLabel(storage, KEYS, first, {})
        assert.deepEqual([label.name, label.tags?.toSorted()], ['b', ['x', 'y', 'z']])
      }),
      { numRuns: 50 },
    )
  })
})
