import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import type { Repository } from '../repository/repository.ts'
import { type Segment, SegmentReader, chunkAt } from '../repository/segment-reader.ts'
import type { CheckedIndex } from './checked-index.ts'
import type { Findings } from './findings.ts'
import type { ChunkPlace } from './survey.ts'

/** Decoded segments kept, as in repository.ts: trees are read in the order they were written. */
const CACHED_SEGMENTS = 24

/**
 * Reads the chunks that trees and lists consist of, from any copy that can be read, and reports the packs of those that
 * cannot.
 */
export class TreeChunks {
  readonly #repository: Repository
  readonly #index: CheckedIndex
  readonly #findings: Findings
  readonly #options: AbortOptions
  readonly #reader: SegmentReader
  readonly #segments = new Map<string, Segment>()

  constructor(repository: Repository, index: CheckedIndex, findings: Findings, options: AbortOptions) {
    this.#repository = repository
    this.#index = index
    this.#findings = findings
    this.#options = options
    this.#reader = new SegmentReader(repository.keys)
  }

  /** The verified plaintext of a chunk. @throws {CairnError} `DATA_CORRUPT` when no copy of it can be read */
  readonly load = async (id: Uint8Array): Promise<Uint8Array> => {
    for (;;) {
      const place = this.#index.find(id)
      if (!place) {
        if (await this.#index.refresh()) continue
        throw lostChunk(id)
      }
      const chunk = await this.#read(place, id)
      if (chunk) return chunk
    }
  }

  /** Whether a chunk is where the index says, as far as is known without reading it. */
  async has(id: Uint8Array): Promise<boolean> {
    while (!this.#index.has(id)) if (!(await this.#index.refresh())) return false
    return true
  }

  /** The chunk from this place; `undefined` after noting in the index why it cannot be read there. */
  async #read(place: ChunkPlace, id: Uint8Array): Promise<Uint8Array | undefined> {
    const { pack, segmentOffset, position } = place
    let segment: Segment | undefined
    try {
      segment = await this.#segment(place)
      return this.#reader.verify(chunkAt(segment, position), id, pack.id)
    } catch (error) {
      throwIfAborted(this.#options.signal)
      if (!isCairnError(error) || error.code === 'INTERNAL') throw error
      const isMissing = error.code === 'NOT_FOUND'
      if (isMissing && (await this.#index.refresh())) return undefined
      this.#index.lose(pack, isMissing ? 'all' : [{ segmentOffset, position: segment && position }])
      const message = isMissing ? `Cannot use pack ${pack.id}: it is missing` : error.message
      this.#findings.packError(pack.key, pack.id, isMissing ? 'DATA_CORRUPT' : error.code, message)
      return undefined
    }
  }

  async #segment({ pack, segmentOffset, segmentBytes }: ChunkPlace): Promise<Segment> {
    const name = `${pack.claim}:${segmentOffset}`
    const cached = this.#segments.get(name)
    this.#segments.delete(name)
    let segment = cached
    if (!segment) {
      const range = { offset: segmentOffset, length: segmentBytes }
      const bytes = await this.#repository.storage.get(pack.key, range, this.#options)
      this.#findings.bytesRead += bytes.length
      segment = this.#reader.read({ pack: pack.id, header: pack.header, offset: segmentOffset, bytes })
    }
    this.#segments.set(name, segment) // most recently used last
    if (this.#segments.size > CACHED_SEGMENTS) this.#segments.delete(this.#segments.keys().next().value as string)
    return segment
  }
}

/** The error of a chunk of which there is no copy that can be read. */
export function lostChunk(id: Uint8Array): CairnError {
  return new CairnError('DATA_CORRUPT', `chunk ${toHex(id)} is lost: no sound pack in the index holds it`)
}
