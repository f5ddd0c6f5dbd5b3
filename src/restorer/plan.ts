import { CHUNK_ID_BYTES } from '../base/ids.ts'
import type { ChunkAddress } from '../repository/repository.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import type { SegmentToWrite } from './protocol.ts'

/** What a plan has to know of a file that its jobs refer to. */
export interface PlannedFile {
  /**
   * What still has content of it: jobs, the plan, and whoever may add more. As long as it is above 0 the file is not
   * complete.
   */
  jobsLeft: number
  /** Serial number of the plan that has it; set by the plan, 0 at first. */
  plan: number
}

export interface PlannedJob<File> {
  readonly packKey: string
  readonly pack: string
  readonly header: Uint8Array
  /** The stretch of the pack to fetch; of length 0 when there is nothing to fetch. */
  readonly offset: number
  readonly length: number
  readonly segments: readonly SegmentToWrite[]
  readonly files: readonly File[]
}

/** A stretch is fetched as one when it is not much longer than what is wanted of it. */
const MAX_FETCH_BYTES = 8 << 20
const MAX_GAP_BYTES = 512 << 10
/** Files without content per job. */
const MAX_EMPTY_FILES = 256

interface Write<File> {
  readonly position: number
  readonly ref: ChunkRef
  readonly file: File
  readonly contentOffset: number
}

interface WantedSegment<File> {
  readonly address: ChunkAddress
  readonly writes: Write<File>[]
}

/** Collects chunks of files, then plans by pack: every segment is fetched and decoded once, neighbours together. */
export class RestorePlan<File extends PlannedFile> {
  readonly #segments = new Map<string, WantedSegment<File>>()
  readonly #empty: File[] = []
  #files: File[] = []
  #serial = 1
  /** Entries that take memory until the next `take`, and the bytes they will write. */
  entries = 0
  bytes = 0

  /** Adds a file that has no content. */
  addEmpty(file: File): void {
    this.#hold(file)
    this.#empty.push(file)
  }

  /** Adds a chunk; its content begins at byte `contentOffset` of the file's. */
  add(file: File, ref: ChunkRef, address: ChunkAddress, contentOffset: number): void {
    this.#hold(file)
    this.bytes += ref.bytes
    const name = `${address.pack}:${address.segmentOffset}`
    let wanted = this.#segments.get(name)
    if (!wanted) this.#segments.set(name, (wanted = { address, writes: [] }))
    wanted.writes.push({ position: address.position, ref, file, contentOffset })
  }

  #hold(file: File): void {
    this.entries++
    if (file.plan === this.#serial) return
    file.plan = this.#serial
    file.jobsLeft++
    this.#files.push(file)
  }

  /** The jobs for everything added since the last call. */
  take(): PlannedJob<File>[] {
    const byPack = new Map<string, WantedSegment<File>[]>()
    for (const segment of this.#segments.values()) {
      const list = byPack.get(segment.address.pack)
      if (list) list.push(segment)
      else byPack.set(segment.address.pack, [segment])
    }
    const jobs: PlannedJob<File>[] = []
    for (const segments of byPack.values()) {
      segments.sort((a, b) => a.address.segmentOffset - b.address.segmentOffset)
      for (const stretch of stretches(segments)) jobs.push(toJob(stretch))
    }
    for (let i = 0; i < this.#empty.length; i += MAX_EMPTY_FILES)
      jobs.push(emptyJob(this.#empty.slice(i, i + MAX_EMPTY_FILES)))
    for (const job of jobs) for (const file of job.files) file.jobsLeft++
    for (const file of this.#files) file.jobsLeft--
    this.#files = []
    this.#serial++
    this.#segments.clear()
    this.#empty.length = 0
    this.entries = 0
    this.bytes = 0
    return jobs
  }
}

/** Cuts a pack's wanted segments, in order, into stretches that are fetched as one. */
function* stretches<File>(segments: readonly WantedSegment<File>[]): Generator<WantedSegment<File>[]> {
  let stretch: WantedSegment<File>[] = []
  let start = 0
  let end = 0
  for (const segment of segments) {
    const { segmentOffset, segmentBytes } = segment.address
    if (
      stretch.length > 0 &&
      (segmentOffset - end > MAX_GAP_BYTES || segmentOffset + segmentBytes - start > MAX_FETCH_BYTES)
    ) {
      yield stretch
      stretch = []
    }
    if (stretch.length === 0) start = segmentOffset
    stretch.push(segment)
    end = segmentOffset + segmentBytes
  }
  if (stretch.length > 0) yield stretch
}

function toJob<File>(stretch: readonly WantedSegment<File>[]): PlannedJob<File> {
  const first = (stretch[0] as WantedSegment<File>).address
  const last = (stretch.at(-1) as WantedSegment<File>).address
  const numbers = new Map<File, number>()
  const numberOf = (file: File): number => {
    const number = numbers.get(file) ?? numbers.size
    numbers.set(file, number)
    return number
  }
  const segments = stretch.map(({ address, writes }): SegmentToWrite => {
    const ids = new Uint8Array(writes.length * CHUNK_ID_BYTES)
    for (const [i, write] of writes.entries()) ids.set(write.ref.id, i * CHUNK_ID_BYTES)
    return {
      offset: address.segmentOffset,
      bytes: address.segmentBytes,
      positions: Uint32Array.from(writes, (write) => write.position),
      ids,
      lengths: Float64Array.from(writes, (write) => write.ref.bytes),
      files: Uint32Array.from(writes, (write) => numberOf(write.file)),
      contentOffsets: Float64Array.from(writes, (write) => write.contentOffset),
    }
  })
  const offset = first.segmentOffset
  return {
    packKey: first.packKey,
    pack: first.pack,
    header: first.header,
    offset,
    length: last.segmentOffset + last.segmentBytes - offset,
    segments,
    files: [...numbers.keys()],
  }
}

function emptyJob<File>(files: readonly File[]): PlannedJob<File> {
  return { packKey: '', pack: '', header: new Uint8Array(0), offset: 0, length: 0, segments: [], files }
}
