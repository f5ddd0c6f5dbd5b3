import { ByteReader, ByteWriter } from '../base/binary.ts'
import { type TreeNode, decodeNode, encodeNode } from '../snapshot/tree-node.ts'
import type { LinkedName } from '../sources/source.ts'

/** What became of the first name of a file, and so will of all others. */
export interface FirstName {
  /** `'omit'` when it could not be read. */
  readonly node: TreeNode | 'omit'
  /** Whether it has a stamp: the next run may take it for unchanged. */
  readonly isStamped: boolean
  /** `NO_SAMPLE` when there is none. */
  readonly sample: bigint
}

/** Those who wait for a first name; afterwards what it became, packed. */
type LinkedFile = ((first: FirstName) => void)[] | string

/**
 * Files with several names: each is read once, under the first of them. Remembers a file until its last name has come, which
 * never happens when other names lie outside of what is backed up, so what is remembered is packed: 170 bytes and not 700.
 */
export class HardLinks {
  readonly #files = new Map<number, LinkedFile>()

  /** To be called for every first name, before anything of its file is known. */
  expect({ file }: LinkedName): void {
    this.#files.set(file, [])
  }

  /**
   * Calls back with what became of the first name of a file, as soon as that is known; `false` when it is not remembered. To be
   * asked for every further name that is to be read.
   */
  whenSettled({ file }: LinkedName, use: (first: FirstName) => void): boolean {
    const known = this.#files.get(file)
    if (typeof known === 'string') use(unpack(known))
    else known?.push(use)
    return known !== undefined
  }

  /** Tells what became of a first name. */
  settle({ file }: LinkedName, first: FirstName): void {
    const waiting = this.#files.get(file)
    if (typeof waiting === 'string') return
    this.#files.set(file, pack(first))
    for (const use of waiting ?? []) use(first)
  }

  /** To be called for every further name when its node is known. */
  passed({ file, isLast }: LinkedName): void {
    if (isLast) this.#files.delete(file)
  }
}

const writer = new ByteWriter(256)
const scratch = new ByteWriter(256)

function pack({ node, isStamped, sample }: FirstName): string {
  if (node === 'omit') return ''
  writer.reset()
  writer.u8(isStamped ? 1 : 0)
  writer.u64(sample)
  encodeNode(node, writer, scratch)
  return writer.view().toString('latin1')
}

function unpack(packed: string): FirstName {
  if (packed === '') return { node: 'omit', isStamped: false, sample: 0n }
  const reader = new ByteReader(Buffer.from(packed, 'latin1'), 'a file with several names')
  const isStamped = reader.u8() === 1
  const sample = reader.u64()
  return { node: decodeNode(reader, 'a file with several names'), isStamped, sample }
}
