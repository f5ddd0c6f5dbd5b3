import type { SourceEntry } from './source.ts'

/** Arrays of entries read ahead at most: with those of a folder about 30,000 entries, 20 MB. */
const MAX_BATCHES = 64

/**
 * Starts a walk now, so that it goes on while the caller still waits for something else, such as the derivation of a key. The
 * result is walked once, as the source would be; an error of the walk comes when its place is reached.
 */
export function readAhead(entries: AsyncIterable<SourceEntry[]>): AsyncIterable<SourceEntry[]> {
  const walk = entries[Symbol.asyncIterator]()
  const ahead: Promise<IteratorResult<SourceEntry[]>>[] = []
  let room = MAX_BATCHES

  const fill = async (): Promise<void> => {
    for (; room > 0; room--) {
      const next = walk.next()
      ahead.push(next)
      // An error is reported when its place is reached.
      if ((await next.catch(() => undefined))?.done !== false) return
      await new Promise((resolve) => setImmediate(resolve)) // what the caller waits for comes first
    }
  }
  void fill()

  return {
    async *[Symbol.asyncIterator]() {
      room = 0
      for (;;) {
        const { value, done } = await (ahead.shift() ?? walk.next())
        if (done) return
        yield value
      }
    },
  }
}
