import type { AbortOptions } from '../base/abort.ts'
import type { CairnError } from '../base/errors.ts'
import { CHUNK_ID_BYTES, type SessionId, toHex } from '../base/ids.ts'
import { ChunkNumbers } from '../repository/chunk-numbers.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import { type IndexedPack, type PackClaim, digestOf, readIndex, segmentsOf } from '../repository/low-level.ts'
import { type Repository, packKey } from '../repository/repository.ts'
import type { CheckNote } from './findings.ts'

/** A pack that the effective index names. */
export interface SurveyedPack extends PackClaim {
  /** Names the pack together with what the index says of it: a damaged index may say two things of one pack. */
  readonly claim: string
  readonly key: string
  /** The index object that names it. */
  readonly indexKey: string
  /** Bytes on the store; `undefined` when it is not there, equal to `sizeBytes` when the store was not looked at. */
  readonly storedBytes: number | undefined
}

/** Where a chunk lies. */
export interface ChunkPlace {
  readonly pack: SurveyedPack
  readonly segmentOffset: number
  readonly segmentBytes: number
  readonly position: number
}

/** What the store said at one moment: its index, and whether the packs are there that it names. */
export interface Survey {
  readonly packs: readonly SurveyedPack[]
  readonly chunks: ChunkCopies
  readonly commits: ReadonlySet<SessionId>
  /** Index objects that should count and cannot be relied on. */
  readonly damagedIndex: readonly { readonly key: string; readonly error: CairnError }[]
  readonly notes: readonly CheckNote[]
  /** Packs on the store that no effective index object names. */
  readonly orphans: readonly { readonly key: string; readonly sizeBytes: number }[]
  /** Keys of the effective index objects: as long as they are the same, nothing has moved. */
  readonly indexKeys: ReadonlySet<string>
}

/**
 * Where each chunk lies, all copies: two runs at once may have stored the same chunk, and any copy serves. The first copies
 * are in one chunk table, the second ones, of which there are few, in another, and so on. All have numbers of one series.
 */
export class ChunkCopies {
  readonly #tables: ChunkTable[]
  readonly #numbers = new ChunkNumbers()
  readonly #packs: SurveyedPack[] = []

  constructor(expectedChunks: number) {
    this.#tables = [ChunkTable.create(expectedChunks)]
  }

  /** Distinct chunks. */
  get size(): number {
    return this.#tables[0]?.size ?? 0
  }

  /** Adds the chunks of a pack, by what the index says of it. */
  add(pack: SurveyedPack, indexed: IndexedPack): void {
    this.#packs.push(pack)
    this.#numbers.beginPack()
    for (const { ids, chunks, sealedBytes } of segmentsOf(indexed)) {
      const first = this.#numbers.addSegment(sealedBytes, chunks)
      for (const table of this.#tables) table.reserve(chunks)
      for (let i = 0; i < chunks; i++) this.#add(first + i, ids, i * CHUNK_ID_BYTES)
    }
  }

  #add(number: number, ids: Uint8Array, offset: number): void {
    for (let copy = 0; ; copy++) {
      const table = (this.#tables[copy] ??= ChunkTable.create(0))
      const before = table.size
      table.add(number, ids, offset)
      if (table.size > before) return
    }
  }

  has(bytes: Uint8Array, offset: number): boolean {
    return this.#tables[0]?.has(bytes, offset) ?? false
  }

  *find(id: Uint8Array): Generator<ChunkPlace> {
    for (const table of this.#tables) {
      const found = this.#numbers.find(table, id)
      const pack = found && this.#packs[found.pack]
      if (!pack) return
      yield { ...found, pack }
    }
  }
}

/** An entry of a pack's table has at least this many bytes a chunk: its id and its length. */
const TABLE_BYTES_PER_CHUNK = CHUNK_ID_BYTES + 1

/**
 * Reads the index, object by object, then lists the packs: what a committed run's index names was on the store before.
 *
 * @param looksAtPacks whether the packs are listed at all
 */
export async function survey(
  repository: Repository,
  looksAtPacks: boolean,
  options: AbortOptions = {},
): Promise<Survey> {
  const { storage, keys } = repository
  const reading = await readIndex(storage, keys, options)
  const stored = new Map<string, number>()
  if (looksAtPacks) {
    for await (const { key, sizeBytes } of storage.list('packs/', options)) stored.set(key, sizeBytes)
  }

  const packs: SurveyedPack[] = []
  const chunks = new ChunkCopies(Math.ceil(reading.effectiveBytes / TABLE_BYTES_PER_CHUNK))
  const damagedIndex: { key: string; error: CairnError }[] = []
  const notes: CheckNote[] = reading.foreignKeys.map((object) => ({
    object,
    message: 'is not named like an object of its folder',
  }))
  const indexKeys = new Set<string>()
  const known = new Set<string>()
  for (const { key: indexKey, isEffective, packs: named, error } of reading.objects()) {
    if (!isEffective) {
      notes.push({
        object: indexKey,
        message: 'belongs to a run that has not committed: it is still going on, or was interrupted',
      })
      continue
    }
    indexKeys.add(indexKey)
    if (error) damagedIndex.push({ key: indexKey, error })
    for (const pack of named) {
      const digest = digestOf(pack)
      const claim = `${pack.id}:${toHex(digest)}`
      if (known.has(claim)) continue // said before, by another object
      known.add(claim)
      const key = packKey(pack.id)
      const { id, sizeBytes } = pack
      const storedBytes = looksAtPacks ? stored.get(key) : sizeBytes
      const header = Buffer.from(pack.header)
      const surveyed: SurveyedPack = { claim, key, indexKey, id, sizeBytes, header, digest, storedBytes }
      packs.push(surveyed)
      chunks.add(surveyed, pack)
    }
  }
  const named = new Set(packs.map(({ key }) => key))
  const orphans = [...stored].flatMap(([key, sizeBytes]) => (named.has(key) ? [] : [{ key, sizeBytes }]))
  return { packs, chunks, commits: reading.commits, damagedIndex, notes, orphans, indexKeys }
}
