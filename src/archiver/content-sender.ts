import type { ByteSource } from '../base/byte-stream.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import { type ArchiveResult, BATCH_BYTES, BATCH_FILES, type ContentRange, RANGE_BYTES } from './protocol.ts'
import { RangeStarts } from './range-starts.ts'
import { decodeRefs, refBytes } from './refs.ts'
import type { TaskQueue } from './task-queue.ts'

/** Content that arrives, and who wants to know what it became. */
export interface ArrivingContent {
  readonly content: ByteSource
  /** Its length, if it is known. */
  readonly sizeBytes: number | undefined
  readonly done: (refs: readonly ChunkRef[]) => void
  /** Is told of every stretch of a long content, so that people see that it goes on. */
  readonly onBytes: (bytes: number) => void
}

type Waiting = (refs: readonly ChunkRef[]) => void

/**
 * Sends contents to worker threads as they arrive: short ones together in batches, long ones in stretches, each of which begins
 * with the end of the one before it, so that the cuts are those of a sequential pass. All of them travel in the same few pieces
 * of memory, which go back and forth; whoever sends waits for one.
 */
export class ContentSender {
  readonly #queue: TaskQueue
  readonly #memoryBytes: number
  readonly #spare: ArrayBuffer[] = []
  /** Pieces that may still be made. */
  #left: number
  #batch: ArrayBuffer | undefined
  #used = 0
  #ends: number[] = []
  #waiting: Waiting[] = []

  constructor(queue: TaskQueue, maxChunkBytes: number) {
    this.#queue = queue
    this.#memoryBytes = RANGE_BYTES + maxChunkBytes
    this.#left = queue.size + 2
  }

  /**
   * Reads content to its end, and has it saved some time; `done` is called exactly once, unless something fails as a whole.
   *
   * @throws what reading, a worker or the store threw
   */
  async send(arriving: ArrivingContent): Promise<void> {
    if (arriving.sizeBytes === 0) return arriving.done([])
    const { sizeBytes = Number.POSITIVE_INFINITY } = arriving
    if (sizeBytes > RANGE_BYTES) {
      this.#sendBatch()
      return this.#sendLong(arriving)
    }
    if (this.#used + sizeBytes > this.#memoryBytes) this.#sendBatch()
    this.#batch ??= await this.#takeMemory()
    const target = new Uint8Array(this.#batch, this.#used, sizeBytes)
    this.#used += await arriving.content.read(target)
    this.#ends.push(this.#used)
    this.#waiting.push(arriving.done)
    if (this.#used >= BATCH_BYTES || this.#ends.length >= BATCH_FILES) this.#sendBatch()
  }

  /** Has everything saved that was sent, and stored durably. */
  async finish(): Promise<void> {
    this.#sendBatch()
    while (this.#queue.busy) await this.#queue.turn()
    await this.#queue.flush()
  }

  #sendBatch(): void {
    const memory = this.#batch
    if (!memory) return
    const waiting = this.#waiting
    this.#queue.push({
      work: { kind: 'save', contents: { memory, ends: Float64Array.from(this.#ends), range: undefined } },
      transfer: [memory],
      finished: (result) => {
        this.#giveBack(result)
        let first = 0
        for (const [i, done] of waiting.entries()) {
          const end = first + (result.counts[i] as number)
          done(decodeRefs(result.refs, first, end))
          first = end
        }
      },
    })
    this.#batch = undefined
    this.#used = 0
    this.#ends = []
    this.#waiting = []
  }

  async #sendLong({ content, done, onBytes }: ArrivingContent): Promise<void> {
    const results: Uint8Array[] = []
    let left = 0
    let isComplete = false
    let start = RangeStarts.create(1).memory
    let memory = await this.#takeMemory()
    let carried = 0
    for (let number = 0; !isComplete; number++) {
      const bytes = carried + (await content.read(new Uint8Array(memory, carried)))
      isComplete = bytes < memory.byteLength
      // What the next stretch begins with is copied before this one leaves for another thread.
      const following = isComplete ? undefined : await this.#takeMemory()
      carried = bytes - RANGE_BYTES
      if (following) new Uint8Array(following).set(new Uint8Array(memory, RANGE_BYTES, carried))
      const range: ContentRange = { final: isComplete, start, next: new SharedArrayBuffer(8) }
      left++
      this.#queue.push({
        work: { kind: 'save', contents: { memory, ends: Float64Array.of(bytes), range } },
        transfer: [memory],
        finished: (result) => {
          this.#giveBack(result)
          results[number] = result.refs
          onBytes(refBytes(result.refs))
          left--
          if (isComplete && left === 0) done(results.flatMap((refs) => decodeRefs(refs)))
        },
      })
      start = range.next
      if (following) memory = following
    }
  }

  async #takeMemory(): Promise<ArrayBuffer> {
    for (;;) {
      const spare = this.#spare.pop()
      if (spare) return spare
      if (this.#left > 0) {
        this.#left--
        return new ArrayBuffer(this.#memoryBytes)
      }
      await this.#queue.turn()
    }
  }

  #giveBack({ memory }: ArchiveResult): void {
    if (memory) this.#spare.push(memory)
  }
}
