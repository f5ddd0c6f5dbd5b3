import { createHash } from 'node:crypto'

/** SHA-256 of what comes in pieces: the checksum that other programs know (`sha256sum`). Its state has a few hundred bytes. */
export class Sha256 {
  readonly #hash = createHash('sha256')

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }

  /** The hash of everything so far, as hex text. */
  hex(): string {
    return this.#hash.copy().digest('hex')
  }
}
