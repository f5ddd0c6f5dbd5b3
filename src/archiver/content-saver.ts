import type { Cutter } from './cutter.ts'
import { type ArchiveResult, type ContentBatch, type ContentRange, NOTHING, RANGE_BYTES } from './protocol.ts'
import { RangeStarts } from './range-starts.ts'

/** Saves contents that arrived in memory, in a worker thread. */
export class ContentSaver {
  readonly #cutter: Cutter

  constructor(cutter: Cutter) {
    this.#cutter = cutter
  }

  async save({ memory, ends, range }: ContentBatch): Promise<Omit<ArchiveResult, 'stats'>> {
    const { refs } = this.#cutter
    const counts = new Uint32Array(ends.length)
    let begin = 0
    for (const [index, end] of ends.entries()) {
      const before = refs.count
      const content = new Uint8Array(memory, begin, end - begin)
      if (range) await this.#saveRange(content, range)
      else if (content.length > 0) await this.#saveWhole(content)
      counts[index] = refs.count - before
      begin = end
    }
    return { ...NOTHING, refs: refs.take(), counts, memory }
  }

  async #saveWhole(content: Uint8Array): Promise<void> {
    const { writer, refs, buffer, minBytes } = this.#cutter
    if (content.length <= minBytes) {
      refs.add(writer.save(content), content.length)
      await writer.ready()
      return
    }
    buffer.set(content)
    await this.#cutter.save({ bytes: content.length, end: content.length, final: true, first: 0 })
  }

  async #saveRange(content: Uint8Array, { final, start, next }: ContentRange): Promise<void> {
    this.#cutter.buffer.set(content)
    const stretch = {
      bytes: content.length,
      end: final ? content.length : RANGE_BYTES,
      final,
      first: new RangeStarts(start).wait(0),
    }
    await this.#cutter.save(stretch, (cut) =>
      new RangeStarts(next).set(0, cut === undefined ? undefined : cut - RANGE_BYTES),
    )
  }
}
