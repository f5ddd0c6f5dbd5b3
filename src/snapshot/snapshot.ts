import { ByteReader, ByteWriter } from '../base/binary.ts'
import { CairnError } from '../base/errors.ts'
import { type ChunkId, type SessionId, asChunkId, asSessionId, toHex } from '../base/ids.ts'
import { fromRawName, toRawName } from '../base/raw-name.ts'
import type { CommitRecord } from '../repository/repository.ts'
import { type TreeNode, decodeNode, encodeNode } from './tree-node.ts'

/** What one run saved and what it cost, as counted by that run. */
export interface SnapshotStats {
  readonly filesNew: number
  readonly filesChanged: number
  readonly filesUnmodified: number
  readonly directories: number
  /** Symlinks and other nodes that are neither files nor directories. */
  readonly otherEntries: number
  /** Bytes of all files in the snapshot. */
  readonly originalBytes: number
  /** Content this run added, before compression. */
  readonly addedBytes: number
  /** What this run added to the store: packs and index. */
  readonly storedBytes: number
  /** Chunks that the snapshot refers to, and how many of them were new. */
  readonly chunksTotal: number
  readonly chunksNew: number
  readonly treeChunksNew: number
}

/** One snapshot: a root tree at one time, and where it came from. Its id is that of the run that committed it. */
export interface Snapshot {
  readonly id: SessionId
  readonly name: string
  /** UTC, ISO 8601. */
  readonly startedAt: string
  readonly endedAt: string
  readonly hostname: string
  readonly username: string
  /** What was backed up; raw-name text. */
  readonly paths: readonly string[]
  readonly comment: string
  readonly tags: readonly string[]
  /** Some source data could not be read; how many issues there were. */
  readonly issues: number
  readonly programVersion: string
  readonly commandLine: readonly string[]
  readonly tree: ChunkId
  /** Encoded content of the stamps (stamps.ts); `undefined` for sources that have none. */
  readonly stamps: Uint8Array | undefined
  /** Encoded content of the samples (stamps.ts); `undefined` where change detection did not use them. */
  readonly samples: Uint8Array | undefined
  /** Encoded content of the further names of files (further-names.ts); `undefined` where nobody has collected them. */
  readonly furtherNames: Uint8Array | undefined
  /** The folder whose content lies at the top; its name means nothing. `undefined` when several paths were backed up, or one by its name. */
  readonly root: TreeNode | undefined
  /** Committed by a run on its way: what is in it is whole, but it ends where the run was. */
  readonly checkpoint: boolean
  /** Kinds of attributes (`xattrs`, `acls`) that no node has since they were not wanted, whatever the entries had. */
  readonly leftOut: readonly string[]
  /** The snapshot this one was compared with while it was made. */
  readonly parent: SessionId | undefined
  /** The snapshot this one was made from: a deleted one that came back, or one of which something was left out. */
  readonly madeFrom: SessionId | undefined
  /** No policy deletes it. Not of the commit record: a mark that comes and goes. */
  readonly pinned: boolean
  readonly stats: SnapshotStats
}

/** The commit record of a snapshot. Raw-name text that is not UTF-8 goes in base64. */
export function encodeSnapshot(snapshot: Snapshot): Record<string, unknown> {
  const { id: _, pinned: __, tree, stamps, samples, furtherNames, root, checkpoint, leftOut, paths, ...rest } = snapshot
  return {
    snapshot: {
      ...rest,
      paths: paths.map((path) => (path.isWellFormed() ? path : { base64: toRawName(path).toString('base64') })),
      tree: toHex(tree),
      stamps: stamps && Buffer.from(stamps).toString('base64'),
      samples: samples && Buffer.from(samples).toString('base64'),
      furtherNames: furtherNames && Buffer.from(furtherNames).toString('base64'),
      root: root && encodeRoot(root),
      checkpoint: checkpoint || undefined,
      leftOut: leftOut.length > 0 ? leftOut : undefined,
    },
  }
}

function encodeRoot(root: TreeNode): string {
  const writer = new ByteWriter()
  encodeNode(root, writer, new ByteWriter())
  return writer.view().toString('base64')
}

/**
 * The snapshot in a commit record; `undefined` when that run committed something else.
 *
 * @throws {CairnError} `DATA_CORRUPT` when a field is missing or of another type
 */
export function decodeSnapshot(record: CommitRecord): Snapshot | undefined {
  const value = record.value['snapshot']
  if (value === undefined) return undefined
  const what = `commits/${record.session}`
  const fields = new Fields(value, what)
  const root = fields.optionalBytes('root')
  return {
    id: record.session,
    name: fields.text('name'),
    startedAt: fields.text('startedAt'),
    endedAt: fields.text('endedAt'),
    hostname: fields.text('hostname'),
    username: fields.text('username'),
    paths: fields.paths('paths'),
    comment: fields.text('comment'),
    tags: fields.texts('tags'),
    issues: fields.number('issues'),
    programVersion: fields.text('programVersion'),
    commandLine: fields.texts('commandLine'),
    tree: asChunkId(fields.hex('tree', 32)),
    stamps: fields.optionalBytes('stamps'),
    samples: fields.optionalBytes('samples'),
    furtherNames: fields.optionalBytes('furtherNames'),
    root: root && decodeNode(new ByteReader(root, what), what),
    checkpoint: fields.optionalFlag('checkpoint'),
    leftOut: fields.optionalTexts('leftOut'),
    parent: fields.optionalSession('parent'),
    madeFrom: fields.optionalSession('madeFrom'),
    pinned: false,
    stats: fields.numbers('stats', STATS),
  }
}

const STATS = [
  'filesNew',
  'filesChanged',
  'filesUnmodified',
  'directories',
  'otherEntries',
  'originalBytes',
  'addedBytes',
  'storedBytes',
  'chunksTotal',
  'chunksNew',
  'treeChunksNew',
] as const satisfies (keyof SnapshotStats)[]

/** Checked access to the fields of a JSON object. */
class Fields {
  readonly #value: Record<string, unknown>
  readonly #what: string

  constructor(value: unknown, what: string) {
    this.#what = what
    if (typeof value !== 'object' || value === null) throw this.#damaged('snapshot')
    this.#value = value as Record<string, unknown>
  }

  text(name: string): string {
    const value = this.#value[name]
    if (typeof value !== 'string') throw this.#damaged(name)
    return value
  }

  optionalText(name: string): string | undefined {
    return this.#value[name] === undefined ? undefined : this.text(name)
  }

  optionalBytes(name: string): Buffer | undefined {
    const value = this.optionalText(name)
    return value === undefined ? undefined : Buffer.from(value, 'base64')
  }

  optionalFlag(name: string): boolean {
    const value = this.#value[name] ?? false
    if (typeof value !== 'boolean') throw this.#damaged(name)
    return value
  }

  number(name: string): number {
    const value = this.#value[name]
    if (typeof value !== 'number') throw this.#damaged(name)
    return value
  }

  list(name: string): unknown[] {
    const value = this.#value[name]
    if (!Array.isArray(value)) throw this.#damaged(name)
    return value
  }

  texts(name: string): string[] {
    return this.list(name).map((value) => {
      if (typeof value !== 'string') throw this.#damaged(name)
      return value
    })
  }

  optionalTexts(name: string): string[] {
    return this.#value[name] === undefined ? [] : this.texts(name)
  }

  paths(name: string): string[] {
    return this.list(name).map((value) => {
      if (typeof value === 'string') return value
      const base64: unknown = (value as { base64?: unknown } | null)?.base64
      if (typeof base64 !== 'string') throw this.#damaged(name)
      return fromRawName(Buffer.from(base64, 'base64'))
    })
  }

  optionalSession(name: string): SessionId | undefined {
    const value = this.optionalText(name)
    if (value === undefined) return undefined
    const session = asSessionId(value)
    if (!session) throw this.#damaged(name)
    return session
  }

  numbers<Name extends string>(name: string, wanted: readonly Name[]): Record<Name, number> {
    const fields = new Fields(this.#value[name], this.#what)
    return Object.fromEntries(wanted.map((field) => [field, fields.number(field)])) as Record<Name, number>
  }

  hex(name: string, bytes: number): Buffer {
    const value = Buffer.from(this.text(name), 'hex')
    if (value.length !== bytes) throw this.#damaged(name)
    return value
  }

  #damaged(name: string): CairnError {
    return new CairnError('DATA_CORRUPT', `Cannot read ${this.#what}: the snapshot's field '${name}' makes no sense`)
  }
}
