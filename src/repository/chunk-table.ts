import { CHUNK_ID_BYTES } from '../base/ids.ts'
import { CairnError } from '../base/errors.ts'

/** The memory of a chunk table, to be posted to worker threads; all of them then work on the same table. */
export type SharedChunkTable = readonly SharedArrayBuffer[]

/*
 * A slot is 6 words of 32 bits: state, and 5 words of the chunk id. 160 bits of the id leave an attacker who may choose contents,
 * in an unencrypted repository, 2^80 work for a collision, as in git's SHA-1 names; restores verify all 256.
 */
const SLOT_WORDS = 6
const ID_WORDS = 5
const HEADER_WORDS = 4
const COUNT = 0

const EMPTY = 0
/** A thread is writing the id of this slot. */
const BUSY = 1
/** Claimed by this session; it has no number. */
const CLAIMED = 2
/** States from here on are numbers of chunks. */
const FIRST_NUMBER = 3

/** Numbers of chunks are below it: a slot keeps one in 31 bits. */
export const MAX_CHUNK_NUMBERS = 2 ** 31 - FIRST_NUMBER

/** Share of slots in use at most; linear probing then looks at about 10 slots for an absent id. */
const MAX_LOAD = 0.8
const MIN_LEVEL_SLOTS = 1 << 14

interface Level {
  readonly words: Int32Array
  readonly slots: number
}

/**
 * The index in memory: chunk id → number, by open addressing in shared memory, so that all threads look up and claim ids without
 * messages. Where a chunk lies follows from its number (`ChunkNumbers`). 24 bytes a slot, 30 bytes a chunk after loading.
 *
 * It grows by levels, each a table of its own: `reserve` adds one, and other threads see it once they `attach` the memory
 * posted to them. A thread that lacks the newest level may claim a chunk somebody else claimed there: the chunk is then stored
 * twice, which costs space and nothing else.
 */
export class ChunkTable {
  readonly #levels: Level[] = []

  /** @param expected how many chunks will be added before the first `reserve` */
  static create(expected: number): ChunkTable {
    const table = new ChunkTable()
    table.#addLevel(expected)
    return table
  }

  /** The same table in another thread. */
  static attach(shared: SharedChunkTable): ChunkTable {
    const table = new ChunkTable()
    table.attach(shared)
    return table
  }

  /** Takes over levels that were added since, from memory posted by the thread that owns the table. */
  attach(shared: SharedChunkTable): void {
    for (const memory of shared.slice(this.#levels.length)) this.#levels.push(levelOf(memory))
  }

  share(): SharedChunkTable {
    return this.#levels.map((level) => level.words.buffer as SharedArrayBuffer)
  }

  /** Chunks in the table, over all levels. */
  get size(): number {
    return this.#levels.reduce((sum, level) => sum + Atomics.load(level.words, COUNT), 0)
  }

  get memoryBytes(): number {
    return this.#levels.reduce((sum, level) => sum + level.words.byteLength, 0)
  }

  /** Makes room for `count` more chunks. Only the owning thread may call it; returns whether there is new memory to share. */
  reserve(count: number): boolean {
    const last = this.#last()
    if (Atomics.load(last.words, COUNT) + count <= last.slots * MAX_LOAD) return false
    this.#addLevel(Math.max(count, last.slots))
    return true
  }

  /** Whether a chunk is stored or claimed; its id is the 32 bytes from `offset` on. */
  has(bytes: Uint8Array, offset = 0): boolean {
    const words = idWords(bytes, offset)
    for (const level of this.#levels) if (findSlot(level, words) >= 0) return true
    return false
  }

  /** Places of all levels together; `slotOf` is below it. Grows with `reserve`. */
  get slots(): number {
    return this.#levels.reduce((sum, level) => sum + level.slots, 0)
  }

  /** The place of a chunk in this table, a number for those who keep a bit a chunk; -1 when it is not there. */
  slotOf(bytes: Uint8Array, offset = 0): number {
    const words = idWords(bytes, offset)
    let base = 0
    for (const level of this.#levels) {
      const at = findSlot(level, words)
      if (at >= 0) return base + (at - HEADER_WORDS) / SLOT_WORDS
      base += level.slots
    }
    return -1
  }

  /** The number a chunk was added with; -1 for an unknown id and for one claimed only. The id is the 32 bytes from `offset` on. */
  numberOf(bytes: Uint8Array, offset = 0): number {
    const words = idWords(bytes, offset)
    for (const level of this.#levels) {
      const at = findSlot(level, words)
      if (at < 0) continue
      const state = Atomics.load(level.words, at)
      if (state >= FIRST_NUMBER) return state - FIRST_NUMBER
    }
    return -1
  }

  /**
   * Claims an id for storing: true means this caller, alone among all threads, must store the chunk; false that it is stored
   * or somebody is about to. Lock-free but for the few instructions in which another thread writes the same slot.
   */
  claim(id: Uint8Array): boolean {
    const words = idWords(id)
    for (let i = 0; i < this.#levels.length - 1; i++) if (findSlot(this.#levels[i] as Level, words) >= 0) return false
    return this.#insert(words, CLAIMED) < 0
  }

  /**
   * Gives a chunk its number, below `MAX_CHUNK_NUMBERS`: one just loaded from an index, or one claimed before; its id is the
   * 32 bytes from `offset` on. The first number given is kept.
   */
  add(number: number, bytes: Uint8Array, offset = 0): void {
    const id = idWords(bytes, offset)
    const state = FIRST_NUMBER + number
    for (let i = 0; i < this.#levels.length - 1; i++) {
      const level = this.#levels[i] as Level
      const at = findSlot(level, id)
      if (at < 0) continue
      Atomics.compareExchange(level.words, at, CLAIMED, state)
      return
    }
    const at = this.#insert(id, state)
    if (at >= 0) Atomics.compareExchange(this.#last().words, at, CLAIMED, state)
  }

  /** Takes a slot in the last level and returns -1; or the word offset of the slot where the id is already. */
  #insert(id: Int32Array, state: number): number {
    const { words, slots } = this.#last()
    let slot = firstSlot(id, slots)
    for (let probes = 0; probes < slots;) {
      const at = HEADER_WORDS + slot * SLOT_WORDS
      // Looked at first: an exchange costs far more than a load, and most slots on the way are taken.
      let found = Atomics.load(words, at)
      if (found === EMPTY && (found = Atomics.compareExchange(words, at, EMPTY, BUSY)) === EMPTY) {
        for (let i = 0; i < ID_WORDS; i++) words[at + 1 + i] = id[i] as number
        Atomics.store(words, at, state)
        Atomics.add(words, COUNT, 1)
        return -1
      }
      if (found === BUSY) continue
      if (sameId(words, at, id)) return at
      probes++
      slot = slot + 1 === slots ? 0 : slot + 1
    }
    throw new CairnError('INTERNAL', `The chunk table is full: ${slots} slots`)
  }

  #last(): Level {
    return this.#levels[this.#levels.length - 1] as Level
  }

  #addLevel(expected: number): void {
    const slots = Math.max(MIN_LEVEL_SLOTS, Math.ceil(expected / MAX_LOAD) + 1)
    this.#levels.push(levelOf(new SharedArrayBuffer((HEADER_WORDS + slots * SLOT_WORDS) * 4)))
  }
}

function levelOf(memory: SharedArrayBuffer): Level {
  const words = new Int32Array(memory)
  return { words, slots: (words.length - HEADER_WORDS) / SLOT_WORDS }
}

// One scratch buffer a thread: ids are read word by word on every lookup, and an allocation each would cost more than the lookup.
const scratch = new Int32Array(ID_WORDS)
const scratchBytes = new Uint8Array(scratch.buffer)

function idWords(bytes: Uint8Array, offset = 0): Int32Array {
  if (bytes.length < offset + CHUNK_ID_BYTES)
    throw new RangeError(`A chunk id has ${CHUNK_ID_BYTES} bytes, not ${bytes.length - offset}`)
  for (let i = 0; i < ID_WORDS * 4; i++) scratchBytes[i] = bytes[offset + i] as number
  return scratch
}

/** Ids are uniform, so their first word scaled to the table is as good as any hash, and keeps sorted input cache-friendly. */
function firstSlot(id: Int32Array, slots: number): number {
  return Math.floor((((id[0] as number) >>> 0) / 0x1_0000_0000) * slots)
}

function findSlot(level: Level, id: Int32Array): number {
  const { words, slots } = level
  let slot = firstSlot(id, slots)
  for (let probes = 0; probes < slots;) {
    const at = HEADER_WORDS + slot * SLOT_WORDS
    const state = Atomics.load(words, at)
    if (state === EMPTY) return -1
    if (state === BUSY) continue
    if (sameId(words, at, id)) return at
    probes++
    slot = slot + 1 === slots ? 0 : slot + 1
  }
  return -1
}

function sameId(words: Int32Array, at: number, id: Int32Array): boolean {
  return (
    words[at + 1] === id[0] &&
    words[at + 2] === id[1] &&
    words[at + 3] === id[2] &&
    words[at + 4] === id[3] &&
    words[at + 5] === id[4]
  )
}
