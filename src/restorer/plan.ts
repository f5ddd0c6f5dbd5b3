import { CHUNK_ID_BYTES } from '../base/ids.ts'
import type { ChunkAddress } from '../repository/repository.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import type { SegmentToWrite } from './protocol.ts'

/** A file of the plan; jobs refer to it. */
export interface PlannedFile {
  readonly systemPath: string
  /** Path in the snapshot, for messages. */
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
  readonly sizeBytes: number
  /** Jobs that still have content of it; set by `planRestore`. */
  jobsLeft: number
  failed: boolean
}

export interface PlannedJob {
  readonly packKey: string
  readonly pack: string
  readonly header: Uint8Array
  /** The stretch of the pack to fetch; of length 0 when there is nothing to fetch. */
  readonly offset: number
  readonly length: number
  readonly segments: readonly SegmentToWrite[]
  readonly files: readonly PlannedFile[]
}

/** A stretch is fetched as one when it is not much longer than what is wanted of it. */
const MAX_FETCH_BYTES = 8 << 20
const MAX_GAP_BYTES = 512 << 10
/** Files without content per job. */
const MAX_EMPTY_FILES = 256

interface Write {
  readonly position: number
  readonly id: Uint8Array
  readonly file: PlannedFile
  readonly fileOffset: number
}

interface WantedSegment {
  readonly address: ChunkAddress
  readonly writes: Write[]
}

/** Collects files and their chunks, then plans by pack: every segment is fetched and decoded once, neighbours together. */
export class RestorePlan {
  readonly #segments = new Map<string, WantedSegment>()
  readonly #empty: PlannedFile[] = []
  files = 0
  bytes = 0

  /** Adds a file; `addresses` has one entry for each of `refs`. */
  add(file: PlannedFile, refs: readonly ChunkRef[], addresses: readonly ChunkAddress[]): void {
    this.files++
    this.bytes += file.sizeBytes
    if (refs.length === 0) this.#empty.push(file)
    let fileOffset = 0
    for (const [i, ref] of refs.entries()) {
      const address = addresses[i] as ChunkAddress
      const name = `${address.pack}:${address.segmentOffset}`
      let wanted = this.#segments.get(name)
      if (!wanted) this.#segments.set(name, (wanted = { address, writes: [] }))
      wanted.writes.push({ position: address.position, id: ref.id, file, fileOffset })
      fileOffset += ref.bytes
    }
  }

  /** The jobs for everything added since the last call. */
  take(): PlannedJob[] {
    const byPack = new Map<string, WantedSegment[]>()
    for (const segment of this.#segments.values()) {
      const list = byPack.get(segment.address.pack)
      if (list) list.push(segment)
      else byPack.set(segment.address.pack, [segment])
    }
    const jobs: PlannedJob[] = []
    for (const segments of byPack.values()) {
      segments.sort((a, b) => a.address.segmentOffset - b.address.segmentOffset)
      for (const stretch of stretches(segments)) jobs.push(toJob(stretch))
    }
    for (let i = 0; i < this.#empty.length; i += MAX_EMPTY_FILES)
      jobs.push(emptyJob(this.#empty.slice(i, i + MAX_EMPTY_FILES)))
    for (const job of jobs) for (const file of job.files) file.jobsLeft++
    this.#segments.clear()
    this.#empty.length = 0
    this.files = 0
    this.bytes = 0
    return jobs
  }
}

/** Cuts a pack's wanted segments, in order, into stretches that are fetched as one. */
function* stretches(segments: readonly WantedSegment[]): Generator<WantedSegment[]> {
  let stretch: WantedSegment[] = []
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

function toJob(stretch: readonly WantedSegment[]): PlannedJob {
  const first = (stretch[0] as WantedSegment).address
  const last = (stretch.at(-1) as WantedSegment).address
  const numbers = new Map<PlannedFile, number>()
  const numberOf = (file: PlannedFile): number => {
    const number = numbers.get(file) ?? numbers.size
    numbers.set(file, number)
    return number
  }
  const segments = stretch.map(({ address, writes }): SegmentToWrite => {
    const ids = new Uint8Array(writes.length * CHUNK_ID_BYTES)
    for (const [i, write] of writes.entries()) ids.set(write.id, i * CHUNK_ID_BYTES)
    return {
      offset: address.segmentOffset,
      bytes: address.segmentBytes,
      positions: Uint32Array.from(writes, (write) => write.position),
      ids,
      files: Uint32Array.from(writes, (write) => numberOf(write.file)),
      fileOffsets: Float64Array.from(writes, (write) => write.fileOffset),
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

function emptyJob(files: readonly PlannedFile[]): PlannedJob {
  return { packKey: '', pack: '', header: new Uint8Array(0), offset: 0, length: 0, segments: [], files }
}
