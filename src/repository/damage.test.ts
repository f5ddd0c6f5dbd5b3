import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError, type ErrorCode } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { EncryptionMode } from './repository.ts'
import { ALL_MODES, type TestRepository, keysOf, newTestRepository, reopen, saveChunks } from './testing.ts'
import { WriteSession } from './write-session.ts'

/*
 * Every object of a small repository is damaged at many places, and everything is read: what comes out is right, or it is an
 * error that names the object. Nothing is ever wrong, and no stranger is ever thrown.
 */

/** What damage may end in. */
const CODES = new Set<ErrorCode>([
  'DATA_CORRUPT',
  'FORMAT_UNSUPPORTED',
  'WRONG_PASSWORD',
  'NOT_FOUND',
  'REPOSITORY_NOT_FOUND',
])

/** Places per object that are damaged. Key files differ from slots inside the repository in nothing that is read here. */
const SAMPLES: Readonly<Record<EncryptionMode, number>> = { repokey: 24, keyfile: 6, none: 24 }

interface Subject extends TestRepository {
  /** All objects by key. */
  readonly objects: ReadonlyMap<string, Uint8Array>
  readonly chunks: readonly { readonly id: Uint8Array; readonly data: Uint8Array }[]
}

/** Two commits with data and tree packs in two compressions, and a session that is still open. */
async function makeSubject(encryption: EncryptionMode): Promise<Subject> {
  const made = await newTestRepository({ encryption })
  const chunks: { id: Uint8Array; data: Uint8Array }[] = []
  const save = async (run: number): Promise<WriteSession> => {
    const repository = await reopen(made)
    const session = await WriteSession.open(repository)
    await session.claimName(`run ${run}`)
    for (const [kind, name] of [
      ['dataPack', 'zstd'],
      ['treePack', 'none'],
    ] as const) {
      const saved = [
        testBytes(`${run} ${kind}`, 300),
        Buffer.alloc(3000, `${run} ${kind} `),
        Buffer.from(`${run}${kind}`),
      ]
      const ids = await saveChunks(repository, session, saved, { kind, compression: { name, level: undefined } })
      chunks.push(...saved.map((data, i) => ({ id: ids[i] as Uint8Array, data })))
    }
    return session
  }
  for (const run of [1, 2]) await (await save(run)).commit({ run })
  const saved = chunks.slice()
  await (await save(3)).flushIndex()
  const objects = new Map<string, Uint8Array>()
  for (const key of await keysOf(made.storage)) objects.set(key, await made.storage.get(key))
  return { ...made, objects, chunks: saved }
}

/** Reads everything of the subject with some objects replaced; checks what comes out, and returns what was refused. */
async function readAll(subject: Subject, changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<CairnError[]> {
  const storage = new MemoryStorage({ turn: async () => undefined })
  for (const [key, bytes] of subject.objects) {
    const changed = changes.has(key) ? changes.get(key) : bytes
    if (changed) await storage.put(key, changed)
  }
  const refused: CairnError[] = []
  const attempt = async (read: () => Promise<void>): Promise<boolean> => {
    try {
      await read()
      return true
    } catch (error) {
      if (!(error instanceof CairnError) || !CODES.has(error.code)) throw error
      refused.push(error)
      return false
    }
  }
  await attempt(async () => {
    const repository = await reopen(subject, storage)
    assert.deepEqual(repository.config, subject.repository.config)
    assert.deepEqual(repository.keys, subject.repository.keys)
    await repository.loadIndex()
    const runs: unknown[] = []
    for (const session of repository.index.commits)
      await attempt(async () => void runs.push((await repository.loadCommit(session)).value))
    for (const value of runs) assert.ok([1, 2].includes((value as { run: number }).run), JSON.stringify(value))
    for (const { id, data } of subject.chunks)
      await attempt(async () => assert.deepEqual(toHex(await repository.readChunk(id)), toHex(data)))
  })
  return refused
}

/** Whether one of the errors tells which object is to blame. */
function isNamed(key: string, refused: readonly CairnError[]): boolean {
  const name = key.startsWith('packs/') ? key.slice('packs/xx/'.length) : key.replace(/-[0-9a-f]{64}$/, '')
  return refused.some(({ message }) => message.includes(name))
}

function sampledOffsets(length: number, samples: number): number[] {
  const step = Math.max(1, length / samples)
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => Math.min(length - 1, Math.floor(i * step)))
}

function flipped(bytes: Uint8Array, offset: number, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[offset] = (changed[offset] as number) ^ (1 << bit)
  return changed
}

/** What reading everything depends on: every bit of it. Of a pack it is the segments; the rest repeats the index. */
const MUST_REFUSE = /^(?:config|commits\/|index\/)/

for (const encryption of ALL_MODES) {
  describe(`a damaged repository (${encryption})`, async () => {
    const subject = await makeSubject(encryption)
    /** The index object of the run that is still open counts for nothing, nor do its packs. */
    const committed = (await subject.repository.loadIndex(), new Set<string>(subject.repository.index.commits))
    const counts = (key: string): boolean => !key.startsWith('index/') || committed.has(key.slice(6, 38))
    const livePacks = new Set(subject.repository.index.packs.map(({ id }) => `packs/${id.slice(0, 2)}/${id}`))

    it('is read whole when nothing is damaged', async () => {
      assert.deepEqual(await readAll(subject, new Map()), [])
      assert.equal(livePacks.size, 4)
      assert.equal(subject.chunks.length, 12)
    })

    it('gives right data or an error that names the object, whichever bit is flipped', async () => {
      const refusedPacks = new Set<string>()
      for (const [key, bytes] of subject.objects) {
        for (const [i, offset] of sampledOffsets(bytes.length, SAMPLES[encryption]).entries()) {
          const refused = await readAll(subject, new Map([[key, flipped(bytes, offset, i % 8)]]))
          const what = `bit ${i % 8} of byte ${offset} of ${key}`
          if (MUST_REFUSE.test(key) && counts(key)) assert.ok(refused.length > 0, `${what} went unnoticed`)
          if (key.startsWith('packs/') && refused.length > 0) refusedPacks.add(key)
          if (refused.length > 0 && !/^(?:config|keys)/.test(key)) assert.ok(isNamed(key, refused), what)
          if (/^(?:names|sessions)\//.test(key)) assert.equal(refused.length, 0, what)
        }
      }
      assert.deepEqual(refusedPacks, livePacks)
    })

    it('gives right data or an error that names the object, wherever it is cut short', async () => {
      for (const [key, bytes] of subject.objects) {
        for (const length of sampledOffsets(bytes.length, SAMPLES[encryption])) {
          const refused = await readAll(subject, new Map([[key, bytes.subarray(0, length)]]))
          const what = `${key} cut to ${length} of ${bytes.length} bytes`
          // A commit of no bytes at all is a run that was aborted; a config needs no line feed at its end.
          const isHarmless =
            (key.startsWith('commits/') && length === 0) || (key === 'config' && length === bytes.length - 1)
          if (MUST_REFUSE.test(key) && counts(key) && !isHarmless) assert.ok(refused.length > 0, what)
          if (refused.length > 0 && !isHarmless && !/^(?:config|keys)/.test(key)) assert.ok(isNamed(key, refused), what)
        }
      }
    })

    it('says what is missing when an object is gone', async () => {
      for (const key of subject.objects.keys()) {
        const refused = await readAll(subject, new Map([[key, undefined]]))
        const codes = new Set(refused.map(({ code }) => code))
        const [folder] = key.split('/')
        if (folder === 'config') assert.deepEqual(codes, new Set(['REPOSITORY_NOT_FOUND']))
        else if (folder === 'keys') assert.deepEqual(codes, new Set(['WRONG_PASSWORD']))
        else if (livePacks.has(key)) {
          assert.deepEqual(codes, new Set(['DATA_CORRUPT']))
          assert.ok(isNamed(key, refused))
          assert.equal(refused.length, 3)
        } else if ((folder === 'index' && counts(key)) || folder === 'commits') {
          assert.deepEqual(codes, new Set(['NOT_FOUND'])) // of each chunk, by its id
          assert.equal(refused.length, 6)
        } else assert.deepEqual(codes, new Set())
      }
    })

    it('takes no object for another of its kind', async () => {
      const keys = [...subject.objects.keys()]
      for (const a of keys) {
        for (const b of keys) {
          if (a === b || a.split('/')[0] !== b.split('/')[0]) continue
          const [one, other] = [subject.objects.get(a), subject.objects.get(b)]
          const refused = await readAll(
            subject,
            new Map([
              [a, other],
              [b, one],
            ]),
          )
          if (!/^(?:packs|index|commits)\//.test(a) || (!counts(a) && !counts(b))) assert.equal(refused.length, 0)
          else if (!a.startsWith('packs/') || livePacks.has(a))
            assert.ok(isNamed(a, refused) || (!a.startsWith('packs/') && isNamed(b, refused)), `${a} and ${b}`)
        }
      }
    })

    it('takes no object for one of another kind', async () => {
      for (const [a] of subject.objects) {
        for (const [b, other] of subject.objects) {
          if (a.split('/')[0] === b.split('/')[0] || !MUST_REFUSE.test(a) || !counts(a)) continue
          const refused = await readAll(subject, new Map([[a, other]]))
          assert.ok(refused.length > 0, `${b} in the place of ${a}`)
        }
      }
    })
  })
}
