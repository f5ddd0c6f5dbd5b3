/** Bytes that come one after the other and are read once, by one reader at a time. */
export interface ByteSource {
  /**
   * Puts the next bytes into `target`: as many as it has room for, fewer only at the end. The end comes when whoever makes the
   * bytes has said that they are complete; where that fails, this throws.
   */
  read(target: Uint8Array): Promise<number>
}

/** Bytes that are there already. */
export function sourceOf(bytes: Uint8Array): ByteSource {
  let at = 0
  return {
    async read(target) {
      const piece = bytes.subarray(at, at + target.length)
      target.set(piece)
      at += piece.length
      return piece.length
    },
  }
}

/** Takes bytes one after the other. */
export interface ByteSink {
  /** Takes bytes, which the caller may use for something else when it resolves. Not to be called again before. */
  write(bytes: Uint8Array): Promise<void>
  /** No more come. Resolves when all have gone where they should. */
  end(): Promise<void>
}

/** Bytes that can be read anywhere, as often as one likes. */
export interface RandomSource {
  readonly sizeBytes: number
  /** Puts the bytes from `position` on into `target`; returns how many, fewer than it has room for only at the end. */
  readAt(target: Uint8Array, position: number): Promise<number>
}
