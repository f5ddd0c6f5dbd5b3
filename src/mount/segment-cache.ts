import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { CHUNK_ID_BYTES } from '../base/ids.ts'
import { release } from '../codec/release.ts'
import { workerScript } from '../platform/installation.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import { getPackRange } from '../repository/pack-range.ts'
import type { ChunkAddress, Repository } from '../repository/repository.ts'
import { type SealedSegment, chunkAt } from '../repository/segment-reader.ts'
import type { DecodeInit, DecodedSegment } from './worker.ts'

/** Decoded segments of content that are kept; of 4 MiB each, as a rule. */
const MAX_BYTES = 64 << 20
/** Segments read ahead that nobody has asked for yet. */
const MAX_AHEAD = 6
/** Segments that are being fetched or decoded, sealed and in plain, whoever waits for more: 8 MiB each at most, as a rule. */
const MAX_FETCHES = 8

interface Cached {
  readonly segment: Promise<DecodedSegment>
  /** Its memory once it is there. */
  bytes: Uint8Array | undefined
  /** Read ahead, and not asked for since. */
  isAhead: boolean
  /** Leases that hold it. */
  holders: number
  isDropped: boolean
}

/** Keeps what was read by it in memory until it is ended. */
export class SegmentLease {
  readonly #held: Cached[] = []

  /** For `SegmentCache`. */
  hold(cached: Cached): void {
    cached.holders++
    this.#held.push(cached)
  }

  end(): void {
    for (const cached of this.#held.splice(0)) {
      cached.holders--
      letGo(cached)
    }
  }
}

export interface SegmentCacheOptions extends AbortOptions {
  readonly repository: Repository
  readonly workers: number
}

/** Chunks of content, from segments that worker threads fetch the plain text of; those used last are kept. */
export class SegmentCache implements AsyncDisposable {
  readonly #options: SegmentCacheOptions
  readonly #pool: WorkerPool<SealedSegment, DecodedSegment>
  readonly #cached = new Map<string, Cached>()
  readonly #fetches = new Slots(MAX_FETCHES)
  readonly #workers: Slots
  #bytes = 0
  #ahead = 0

  constructor(options: SegmentCacheOptions) {
    this.#options = options
    this.#pool = new WorkerPool({
      script: workerScript('mount/worker'),
      count: options.workers,
      init: { keys: options.repository.keys } satisfies DecodeInit,
    })
    this.#workers = new Slots(options.workers)
  }

  /**
   * The verified plaintext of a chunk: a view that nobody may write to, and that is good until the lease ends.
   *
   * @throws {CairnError} as `Repository.readChunk`
   */
  async read(id: Uint8Array, lease: SegmentLease): Promise<Uint8Array> {
    const { repository, signal } = this.#options
    const address = repository.addressOf(id)
    try {
      if (address) {
        const cached = this.#segment(address, false)
        lease.hold(cached)
        return verified(await cached.segment, id, address)
      }
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT')) throw error
    }
    // It knows of other copies, and of chunks that have moved; or says what is wrong.
    return repository.readChunk(id, { signal })
  }

  /** Begins to fetch a chunk that will be read soon, unless much has been read ahead already: whether it did not refuse. */
  readAhead(id: Uint8Array): boolean {
    const address = this.#options.repository.addressOf(id)
    if (!address || this.#cached.has(nameOf(address))) return true
    if (this.#ahead >= MAX_AHEAD) return false
    this.#segment(address, true)
    return true
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool.close()
  }

  #segment(address: ChunkAddress, isAhead: boolean): Cached {
    const name = nameOf(address)
    const cached = this.#cached.get(name) ?? this.#fetch(address, name, isAhead)
    if (cached.isAhead && !isAhead) {
      cached.isAhead = false
      this.#ahead--
    }
    this.#cached.delete(name)
    this.#cached.set(name, cached) // used last
    return cached
  }

  #fetch(address: ChunkAddress, name: string, isAhead: boolean): Cached {
    if (isAhead) this.#ahead++
    const cached: Cached = {
      segment: this.#decode(address),
      bytes: undefined,
      isAhead,
      holders: 0,
      isDropped: false,
    }
    cached.segment.then(
      ({ bytes }) => {
        cached.bytes = bytes
        this.#bytes += bytes.length
        this.#makeRoom()
      },
      () => this.#drop(name), // whoever reads it is told
    )
    return cached
  }

  #decode({ pack, packKey, header, segmentOffset, segmentBytes }: ChunkAddress): Promise<DecodedSegment> {
    const { repository, signal } = this.#options
    const range = { offset: segmentOffset, length: segmentBytes }
    return this.#fetches.use(async () => {
      const bytes = await getPackRange(repository.storage, { pack, packKey }, range, { signal })
      const isWhole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength
      const transfer = isWhole && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : []
      return this.#workers.use((worker) =>
        this.#pool.run(worker, { pack, header, offset: segmentOffset, bytes }, { transfer }),
      )
    })
  }

  #makeRoom(): void {
    for (const [name, { bytes }] of this.#cached) {
      if (this.#bytes <= MAX_BYTES) return
      if (bytes) this.#drop(name)
    }
  }

  #drop(name: string): void {
    const cached = this.#cached.get(name)
    if (!cached) return
    this.#cached.delete(name)
    this.#bytes -= cached.bytes?.length ?? 0
    if (cached.isAhead) this.#ahead--
    cached.isDropped = true
    letGo(cached)
  }
}

/** Lets so many do something at a time, in the order in which they come. */
class Slots {
  readonly #free: number[]
  readonly #waiting: ((slot: number) => void)[] = []

  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, slot) => slot)
  }

  async use<T>(action: (slot: number) => Promise<T>): Promise<T> {
    const slot = this.#free.pop() ?? (await new Promise<number>((resolve) => this.#waiting.push(resolve)))
    try {
      return await action(slot)
    } finally {
      const next = this.#waiting.shift()
      if (next) next(slot)
      else this.#free.push(slot)
    }
  }
}

/** Frees the memory of what nobody has or wants any more: left to the garbage collector, that takes as long as the decoding. */
function letGo({ bytes, holders, isDropped }: Cached): void {
  if (bytes && isDropped && holders === 0) release(bytes)
}

function nameOf({ pack, segmentOffset }: ChunkAddress): string {
  return `${pack}:${segmentOffset}`
}

function verified(segment: DecodedSegment, id: Uint8Array, { position, pack }: ChunkAddress): Uint8Array {
  const start = position * CHUNK_ID_BYTES
  const found = chunkAt(segment, position)
  if (found && Buffer.compare(segment.ids.subarray(start, start + CHUNK_ID_BYTES), id) === 0) return found
  throw new CairnError('DATA_CORRUPT', `Cannot read pack ${pack}: it holds other bytes in the place of a chunk`)
}
