import { ByteReader, ByteWriter } from '../base/binary.ts'
import { fromRawName, toRawName } from '../base/raw-name.ts'
import { type ChunkRef, type LoadChunk, type SaveChunk, encodeContent, readContent } from './content.ts'
import { isCut } from './tree-writer.ts'

/**
 * The `hardLink` of all nodes of a snapshot that have one, in the order of a walk: what tells how many names a file has without
 * looking at every node. The first name of a file cannot say so, for a stream does not know yet that more will follow.
 */
export class FurtherNamesWriter {
  readonly #save: SaveChunk
  readonly #names = new ByteWriter(256)
  readonly #refs: ChunkRef[]

  constructor(save: SaveChunk, refs: readonly ChunkRef[] = []) {
    this.#save = save
    this.#refs = [...refs]
  }

  /** @param hardLink of a node */
  add(hardLink: string): void {
    this.#names.bytes(toRawName(hardLink))
    if (isCut(this.#names.length, hardLink)) this.#cut()
  }

  /** Stores what is left, and returns all as encoded content. The writer is used up. */
  finish(): Buffer {
    this.#cut()
    return encodeContent(this.#refs, this.#save)
  }

  /** What there would be if it ended here; the writer goes on. */
  peek(): Buffer {
    const ended = new FurtherNamesWriter(this.#save, this.#refs)
    ended.#names.raw(this.#names.view())
    return ended.finish()
  }

  #cut(): void {
    if (this.#names.length === 0) return
    this.#refs.push({ id: this.#save(this.#names.view()), bytes: this.#names.length })
    this.#names.reset()
  }
}

/** More than five million usual names have; what claims more would only take time. */
const MAX_BYTES = 512 << 20

/**
 * Reads what `FurtherNamesWriter` has made, some names at a time.
 *
 * @throws {CairnError} `DATA_CORRUPT`, and what `load` throws
 */
export async function* readFurtherNames(content: Uint8Array, load: LoadChunk): AsyncGenerator<string[]> {
  const what = 'the further names of files'
  let bytes = 0
  for await (const ref of readContent(content, load, what)) {
    const reader = new ByteReader(await load(ref.id), what)
    bytes += ref.bytes
    if (bytes > MAX_BYTES) throw reader.corrupt(`there are more than ${MAX_BYTES} bytes of them`)
    const names: string[] = []
    while (!reader.done) names.push(fromRawName(reader.bytes()))
    yield names
  }
}
