import { toRawName } from '../base/raw-name.ts'
import { ChunkHasher } from '../codec/hash.ts'

/**
 * Numbers of entries: 64 bits of a hash of the number above and the name. So they are the same whenever the same snapshot is
 * mounted, nothing has to be remembered of what was told, and one for each of ten million entries are all different but with a
 * probability of 3 in a million.
 */
export const NO_ID = 0n

const hasher = new ChunkHasher()

/** The number of what is called `name` in the folder with the number `parent`. Hot path: 1 µs. */
export function childId(parent: bigint, name: string): bigint {
  const raw = toRawName(name)
  const input = Buffer.allocUnsafe(8 + raw.length)
  input.writeBigUInt64LE(parent, 0)
  raw.copy(input, 8)
  const id = hasher.hash(input).readBigUInt64LE(0)
  return id > ROOT_ID ? id : id + 2n
}

/** 0 means nothing, and 1 the root of every mount, to the kernel. */
const ROOT_ID = 1n
