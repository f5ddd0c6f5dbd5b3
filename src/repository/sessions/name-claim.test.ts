import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fixedClock } from '../../base/clock.ts'
import { isCairnError } from '../../base/errors.ts'
import { type SessionId, toHex } from '../../base/ids.ts'
import { randomBytes } from '../../codec/random.ts'
import { deriveRepositoryKeys } from '../keys.ts'
import { MemoryStorage } from '../../storage/memory/memory-storage.ts'
import { FaultyStorage } from '../../storage/testing.ts'
import type { Storage } from '../../storage/storage.ts'
import { claimName } from './name-claim.ts'
import {
  SILENCE_MS,
  type SessionRecord,
  commitKey,
  encodeSession,
  forgottenKey,
  ownSession,
  sessionKey,
} from './open-session.ts'

const KEYS = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
)

/** A process of this machine that is no more. */
const DEAD_PID = spawnSync(process.execPath, ['--version']).pid
const ALIVE: SessionRecord = ownSession(0)
const DEAD: SessionRecord = { ...ALIVE, pid: DEAD_PID }
const ELSEWHERE: SessionRecord = { ...DEAD, host: `not-${hostname()}` }

async function openSession(storage: Storage, record = ALIVE): Promise<SessionId> {
  const session = toHex(randomBytes(16)) as SessionId
  await storage.put(sessionKey(session), encodeSession(KEYS, session, record))
  return session
}

function claim(storage: Storage, session: SessionId, name = 'daily'): Promise<void> {
  return claimName(storage, KEYS, name, session, {})
}

async function claimAnew(storage: Storage, name?: string): Promise<SessionId> {
  const session = await openSession(storage)
  await claim(storage, session, name)
  return session
}

async function commit(storage: Storage, session: SessionId): Promise<boolean> {
  const won = await storage.putIfAbsent(commitKey(session), Buffer.from('committed'))
  await storage.delete(sessionKey(session))
  return won
}

const TAKEN = { code: 'SNAPSHOT_EXISTS' }

describe('claimName()', () => {
  it('gives a name to one run only, as long as that is open or committed', async () => {
    const storage = new MemoryStorage()
    const first = await claimAnew(storage)
    await assert.rejects(claimAnew(storage), { ...TAKEN, message: /'daily': a run in progress has it/ })
    await commit(storage, first)
    await assert.rejects(claimAnew(storage), { ...TAKEN, message: /'daily': a snapshot has it/ })
    await claimAnew(storage, 'weekly')
  })

  it('says nothing of the name to who can only read the store', async () => {
    const storage = new MemoryStorage()
    await claimAnew(storage, 'payroll')
    const objects = await Array.fromAsync(storage.list('names/'))
    assert.match(objects[0]?.key ?? '', /^names\/[0-9a-f]{64}-1$/)
    const otherKeys = deriveRepositoryKeys(Buffer.alloc(32, 9), 'aes-256-gcm')
    const other = new MemoryStorage()
    await claimName(other, otherKeys, 'payroll', await openSession(other), {})
    assert.notEqual((await Array.fromAsync(other.list('names/')))[0]?.key, objects[0]?.key)
  })

  it('takes any text for a name, and tells texts apart', async () => {
    const storage = new MemoryStorage()
    const names = [
      'a',
      'A',
      ' a',
      'a ',
      'a\0',
      'a\n',
      'é',
      'e\u0301',
      '😀',
      '../../etc/passwd',
      '-1',
      'x'.repeat(10_000),
    ]
    for (const name of names) await claimAnew(storage, name)
    for (const name of names) await assert.rejects(claimAnew(storage, name), TAKEN)
  })

  it('passes over claims of runs that were abandoned or fenced, without deleting them', async () => {
    const storage = new MemoryStorage()
    const abandoned = await claimAnew(storage)
    await storage.delete(sessionKey(abandoned))
    const fenced = await claimAnew(storage)
    await storage.putIfAbsent(commitKey(fenced), Buffer.alloc(0))
    const last = await claimAnew(storage)
    const claims = await Array.fromAsync(storage.list('names/'))
    assert.deepEqual(claims.map(({ key }) => key.replace(/^.*-/, '')).sort(), ['1', '2', '3'])
    await commit(storage, last)
    await assert.rejects(claimAnew(storage), TAKEN)
  })

  it('counts beyond nine claims', async () => {
    const storage = new MemoryStorage()
    for (let i = 0; i < 12; i++) await storage.delete(sessionKey(await claimAnew(storage)))
    await claimAnew(storage)
    await assert.rejects(claimAnew(storage), TAKEN)
  })

  it('knows a claim of its own whose answer was lost', async () => {
    const storage = new MemoryStorage()
    const session = await claimAnew(storage)
    await claim(storage, session)
    const faulty = new FaultyStorage(storage)
    faulty.fail({ kind: 'putIfAbsent', prefix: 'names/', when: 'after' })
    const other = await openSession(faulty)
    await assert.rejects(claim(faulty, other, 'weekly'), { code: 'STORAGE_UNAVAILABLE' })
    await claim(faulty, other, 'weekly')
    await assert.rejects(claimAnew(storage, 'weekly'), TAKEN)
  })
})

describe('a claim', () => {
  it('of a forgotten snapshot is passed over', async () => {
    const storage = new MemoryStorage()
    const first = await claimAnew(storage)
    await commit(storage, first)
    await assert.rejects(claimAnew(storage), TAKEN)
    await storage.put(forgottenKey(first), new Uint8Array())
    await commit(storage, await claimAnew(storage))
    await assert.rejects(claimAnew(storage), TAKEN)
  })

  it('that is damaged stops nobody, whatever it holds', async () => {
    for (const damaged of ['', 'x', 'f'.repeat(32), 'F'.repeat(32), 'f'.repeat(33), '\0'.repeat(32), '../../config']) {
      const storage = new MemoryStorage()
      await commit(storage, await claimAnew(storage))
      const [claimed] = await Array.fromAsync(storage.list('names/'))
      await storage.put(claimed?.key ?? '', Buffer.from(damaged))
      await claimAnew(storage)
      await assert.rejects(claimAnew(storage), TAKEN)
    }
  })

  it('under a name that no run gives it is no claim', async () => {
    const storage = new MemoryStorage()
    await commit(storage, await claimAnew(storage))
    const [claimed] = await Array.fromAsync(storage.list('names/'))
    const prefix = (claimed?.key ?? '').slice(0, -1)
    for (const number of ['0', '01', 'x', '9'.repeat(30), '1e3', '2-1'])
      await storage.put(`${prefix}${number}`, Buffer.from('f'.repeat(32)))
    await assert.rejects(claimAnew(storage), TAKEN)
  })
})

describe('a run that holds a name', () => {
  it('is fenced when its process on this machine is gone', async () => {
    const storage = new MemoryStorage()
    const dead = await openSession(storage, DEAD)
    await claim(storage, dead)
    await claimAnew(storage)
    const register = await storage.get(commitKey(dead))
    assert.equal(register.length, 0)
    await storage.get(sessionKey(dead)) // leads the next run to what it stored
    assert.equal(await commit(storage, dead), false)
    await assert.rejects(storage.get(sessionKey(dead)), { code: 'NOT_FOUND' })
  })

  it('is not fenced while it lives, or when nothing is known of it', async () => {
    for (const record of [ALIVE, ELSEWHERE, { ...ALIVE, pid: 1 }]) {
      const storage = new MemoryStorage()
      const holder = await openSession(storage, record)
      await claim(storage, holder)
      await assert.rejects(claimAnew(storage), TAKEN)
      assert.equal(await commit(storage, holder), true)
    }
  })

  it('is fenced after half an hour of silence by the clock of the store, and not before', async () => {
    for (const record of [ELSEWHERE, ALIVE]) {
      const clock = fixedClock(1_000_000)
      const storage = new MemoryStorage({ clock })
      const silent = await openSession(storage, record)
      await claim(storage, silent)
      clock.set(1_000_000 + SILENCE_MS)
      await assert.rejects(claimAnew(storage), TAKEN)
      clock.set(1_000_001 + SILENCE_MS)
      await claimAnew(storage)
      assert.equal(await commit(storage, silent), false)
    }
  })

  it('is not fenced when a heartbeat came in time', async () => {
    const clock = fixedClock(0)
    const storage = new MemoryStorage({ clock })
    const holder = await openSession(storage, ELSEWHERE)
    await claim(storage, holder)
    for (let hours = 1; hours < 5; hours++) {
      clock.set(hours * 3_600_000 - SILENCE_MS / 2)
      await storage.put(sessionKey(holder), encodeSession(KEYS, holder, ELSEWHERE))
      clock.set(hours * 3_600_000)
      await assert.rejects(claimAnew(storage), TAKEN)
    }
  })

  it('whose session object is damaged or of a newer version is fenced by silence alone', async () => {
    const newer = encodeSession(KEYS, '0'.repeat(32) as SessionId, DEAD)
    newer[5] = 2
    for (const object of [Buffer.from('damaged'), Buffer.alloc(0), newer]) {
      const clock = fixedClock(0)
      const storage = new MemoryStorage({ clock })
      const holder = await claimAnew(storage)
      await storage.put(sessionKey(holder), object)
      await assert.rejects(claimAnew(storage), TAKEN)
      clock.set(SILENCE_MS + 1)
      await claimAnew(storage)
    }
  })

  it('that commits just before it would be fenced keeps the name', async () => {
    const storage = new MemoryStorage()
    const dead = await openSession(storage, DEAD)
    await claim(storage, dead)
    const faulty = new FaultyStorage(storage)
    const putIfAbsent = faulty.putIfAbsent.bind(faulty)
    faulty.putIfAbsent = async (key, ...rest) => {
      if (key === commitKey(dead)) await commit(storage, dead)
      return putIfAbsent(key, ...rest)
    }
    await assert.rejects(claim(faulty, await openSession(faulty)), { ...TAKEN, message: /a snapshot has it/ })
  })
})

/** What a run does with the name: claim it, perhaps after others died with it, then commit or give up. */
async function run(storage: Storage, end: 'commit' | 'abandon' | 'die'): Promise<'committed' | 'taken' | 'over'> {
  const session = await openSession(storage, end === 'die' ? DEAD : ALIVE)
  try {
    await claim(storage, session)
  } catch (error) {
    if (!isCairnError(error, 'SNAPSHOT_EXISTS')) throw error
    await storage.delete(sessionKey(session))
    return 'taken'
  }
  if (end === 'commit') return (await commit(storage, session)) ? 'committed' : 'over'
  if (end === 'abandon') await storage.delete(sessionKey(session))
  return 'over'
}

describe('runs with one name at the same time', () => {
  it('never both commit, in any order of their operations', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.constantFrom('commit', 'abandon', 'die'), { minLength: 2, maxLength: 5 }),
        async (scheduler, ends) => {
          const storage = new MemoryStorage({ turn: () => scheduler.schedule(Promise.resolve()) })
          const outcomes = await scheduler.waitFor(Promise.all(ends.map((end) => run(storage, end))))
          const committed = outcomes.filter((outcome) => outcome === 'committed').length
          assert.ok(committed <= 1, `${committed} runs committed`)
          // Where nobody gave up and nobody died, somebody must have got it.
          if (ends.every((end) => end === 'commit')) assert.equal(committed, 1)
          // And with all of them gone, the next one gets it unless a snapshot has it.
          const next = await scheduler.waitFor(run(storage, 'commit'))
          assert.equal(next, committed === 1 ? 'taken' : 'committed')
        },
      ),
      { numRuns: 120 },
    )
  })
})
