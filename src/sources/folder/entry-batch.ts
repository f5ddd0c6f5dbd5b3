import { FILE_TYPE_CODES, fileTypeOf } from '../../platform/file-type.ts'
import type { FileSystemKind } from '../../platform/file-systems.ts'
import { groupName, userName } from '../../platform/owners.ts'
import type { EntryStat } from '../../platform/statx.ts'
import type { SourceEntry, SourceIssue, SourceXattr } from '../source.ts'

/**
 * Entries on their way from the thread that walks to the main thread, as arrays by column: sending a record for each costs
 * more than finding it.
 */
export interface EntryBatch {
  /** Directories that the entries lie in. */
  readonly folders: readonly BatchFolder[]
  readonly names: readonly string[]
  readonly numbers: Float64Array
  /** Times and inode numbers modulo 2^64. */
  readonly longs: BigInt64Array
  /** What few entries have, with the entry's number. */
  readonly extras: readonly (readonly [number, EntryExtras])[]
  readonly issues: readonly SourceIssue[]
  /** Paths that were left out by a rule, if they are wanted. */
  readonly excluded: readonly string[]
}

export interface BatchFolder {
  readonly systemPath: string
  /** Path inside the snapshot; empty at the top. */
  readonly path: string
  /** Of its entries. */
  readonly depth: number
}

interface EntryExtras {
  linkTarget?: string
  device?: { readonly major: number; readonly minor: number }
  xattrs?: readonly SourceXattr[]
  /** Where 64 bits do not suffice: from the year 2262 on. */
  mtimeNs?: bigint
  atimeNs?: bigint
}

/** Per entry: type, mode, uid, gid, size, link count, flags, folder, file system, bits. */
const NUMBERS = 10
/** Per entry: mtime, ctime, atime, inode. */
const LONGS = 4

const KINDS: readonly FileSystemKind[] = ['local', 'network', 'coarse']
const KIND_BITS = 3
const TENTATIVE_BIT = 4
const SPARSE_BIT = 8

export interface NewEntry {
  readonly stat: EntryStat
  readonly name: string
  readonly folder: BatchFolder
  readonly kind: FileSystemKind
  readonly tentative: boolean
  readonly extras: EntryExtras | undefined
}

/** Fills batches in the thread that walks. */
export class BatchWriter {
  readonly #capacity: number
  #folders: BatchFolder[] = []
  #names: string[] = []
  #numbers: Float64Array
  #longs: BigInt64Array
  #extras: [number, EntryExtras][] = []
  #issues: SourceIssue[] = []
  #excluded: string[] = []

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#numbers = new Float64Array(capacity * NUMBERS)
    this.#longs = new BigInt64Array(capacity * LONGS)
  }

  /** Whether the batch should go out. */
  get full(): boolean {
    return this.#names.length >= this.#capacity || this.#issues.length + this.#excluded.length >= this.#capacity
  }

  add({ stat, name, folder, kind, tentative, extras }: NewEntry): void {
    if (this.#folders.at(-1) !== folder) this.#folders.push(folder)
    const index = this.#names.push(name) - 1
    const numbers = this.#numbers
    const at = index * NUMBERS
    const type = stat.typeCode
    const size = type === FILE_TYPE_CODES.file ? stat.sizeBytes : 0
    // Fewer blocks than the size needs: holes, or compression by the file system.
    const sparse = size > 0 && stat.blocks * 512 < size
    numbers[at] = type
    numbers[at + 1] = stat.mode
    numbers[at + 2] = stat.uid
    numbers[at + 3] = stat.gid
    numbers[at + 4] = size
    numbers[at + 5] = stat.linkCount
    numbers[at + 6] = stat.flags
    numbers[at + 7] = this.#folders.length - 1
    numbers[at + 8] = stat.fileSystem
    numbers[at + 9] = KINDS.indexOf(kind) | (tentative ? TENTATIVE_BIT : 0) | (sparse ? SPARSE_BIT : 0)
    const { mtimeNs, atimeNs } = stat
    const longs = this.#longs
    const long = index * LONGS
    longs[long] = mtimeNs
    longs[long + 1] = stat.ctimeNs
    longs[long + 2] = atimeNs
    longs[long + 3] = stat.inode
    const fits = longs[long] === mtimeNs && longs[long + 2] === atimeNs
    const more = fits ? extras : { ...extras, mtimeNs, atimeNs }
    if (more) this.#extras.push([index, more])
  }

  issue(issue: SourceIssue): void {
    this.#issues.push(issue)
  }

  exclude(path: string): void {
    this.#excluded.push(path)
  }

  /** What was added since the last call. */
  take(): EntryBatch {
    const count = this.#names.length
    const isFull = count >= this.#capacity
    const batch = {
      folders: this.#folders,
      names: this.#names,
      // Many roots of few entries each must not take the memory of many full batches.
      numbers: isFull ? this.#numbers : this.#numbers.slice(0, count * NUMBERS),
      longs: isFull ? this.#longs : this.#longs.slice(0, count * LONGS),
      extras: this.#extras,
      issues: this.#issues,
      excluded: this.#excluded,
    }
    this.#folders = []
    this.#names = []
    if (isFull) {
      this.#numbers = new Float64Array(this.#capacity * NUMBERS)
      this.#longs = new BigInt64Array(this.#capacity * LONGS)
    }
    this.#extras = []
    this.#issues = []
    this.#excluded = []
    return batch
  }
}

/** An entry as the walk found it. */
export interface FoundEntry extends SourceEntry {
  /** Number of names the file has. */
  readonly linkCount: number
  readonly fileSystem: number
  /** A directory that is only wanted if something in it is. */
  readonly tentative: boolean
}

export interface WantedFields {
  /** Access times. */
  readonly atime: boolean
  /** Names of owners. */
  readonly names: boolean
}

/** The entries of a batch. */
export function readBatch(batch: EntryBatch, wanted: WantedFields): FoundEntry[] {
  const { folders, names, numbers, longs } = batch
  const extras = batch.extras.length > 0 ? new Map(batch.extras) : undefined
  return names.map((name, index) => {
    const at = index * NUMBERS
    const long = index * LONGS
    const number = (offset: number): number => numbers[at + offset] as number
    const { systemPath, path, depth } = folders[number(7)] as BatchFolder
    const extra = extras?.get(index)
    const uid = number(2)
    const gid = number(3)
    const bits = number(9)
    return {
      path: path === '' ? name : `${path}/${name}`,
      name,
      depth,
      type: fileTypeOf(number(0)) as SourceEntry['type'],
      mode: number(1),
      uid,
      gid,
      user: (wanted.names && userName(uid)) || '',
      group: (wanted.names && groupName(gid)) || '',
      sizeBytes: number(4),
      mtimeNs: extra?.mtimeNs ?? (longs[long] as bigint),
      ctimeNs: longs[long + 1] as bigint,
      atimeNs: wanted.atime ? (extra?.atimeNs ?? longs[long + 2]) : undefined,
      inode: BigInt.asUintN(64, longs[long + 3] as bigint),
      linkTarget: extra?.linkTarget,
      link: undefined,
      device: extra?.device,
      xattrs: extra?.xattrs,
      flags: number(6),
      systemPath: systemPath.endsWith('/') ? systemPath + name : `${systemPath}/${name}`,
      ancestor: false,
      sparse: (bits & SPARSE_BIT) !== 0,
      fileSystemKind: KINDS[bits & KIND_BITS] as FileSystemKind,
      linkCount: number(5),
      fileSystem: number(8),
      tentative: (bits & TENTATIVE_BIT) !== 0,
    }
  })
}

/** The sizes of the regular files in a batch, for those who only count. */
export function* fileSizes({ names, numbers }: EntryBatch): Generator<number> {
  for (let at = 0; at < names.length * NUMBERS; at += NUMBERS)
    if (numbers[at] === FILE_TYPE_CODES.file) yield numbers[at + 4] as number
}
