import { createHash, type Hash } from 'node:crypto'

/** Digests that people compare files by, under the names that Python and Borg have for them, and what OpenSSL calls them. */
const ALGORITHMS: Readonly<Record<string, string>> = {
  md5: 'md5',
  sha1: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha3_224: 'sha3-224',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
  sha3_512: 'sha3-512',
  blake2b: 'blake2b512',
  blake2s: 'blake2s256',
}

/** The names that `Digests` knows. */
export const DIGESTS: readonly string[] = Object.keys(ALGORITHMS)

/** Several digests of one content, which comes in pieces. Nothing in a repository depends on them. */
export class Digests {
  readonly #hashes: readonly (readonly [name: string, hash: Hash])[]

  /** @param names some of `DIGESTS` */
  constructor(names: readonly string[]) {
    this.#hashes = names.map((name) => [name, createHash(ALGORITHMS[name] ?? name)])
  }

  /** The piece is not kept. */
  update(piece: Uint8Array): void {
    for (const [, hash] of this.#hashes) hash.update(piece)
  }

  /** Hex digits by name; to be called once. */
  end(): Record<string, string> {
    return Object.fromEntries(this.#hashes.map(([name, hash]) => [name, hash.digest('hex')]))
  }
}
