import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId } from '../../base/ids.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { openObject, parseObject } from '../sealed-object.ts'
import { RECLAMATION_FIELD } from '../sessions/condemned.ts'
import { commitKey } from '../sessions/open-session.ts'
import { parseIndexKey } from './index-object.ts'

/** An index object as it lies on the store, still sealed. */
export interface IndexObject {
  readonly key: string
  readonly session: SessionId
  readonly object: Uint8Array
}

/** What the store's index said at one moment, before anything is opened. */
export interface StoredIndex {
  /** The index objects that count: of runs that have committed. Who decodes them takes them out, so as not to keep both. */
  readonly effective: IndexObject[]
  /** Those of all other runs. */
  readonly others: readonly IndexObject[]
  /** Keys of the index objects that count. */
  readonly indexKeys: ReadonlySet<string>
  /** How the runs ended that have a register, or had one when the reading began. */
  readonly registers: ReadonlyMap<SessionId, 'committed' | 'aborted'>
  /** Runs that have committed, and whose index objects are all among `objects`. */
  readonly commits: readonly SessionId[]
}

export interface ReadIndexOptions extends AbortOptions {
  /** Is told of keys that are not named like objects of their folder, possibly more than once. */
  readonly onForeignKey?: ((key: string) => void) | undefined
  /** Is told of index objects that cannot be read, and that are missing from the result; without it, the first is thrown. */
  readonly onUnreadable?: ((key: string, error: CairnError) => void) | undefined
  /** Keys of index objects that need not be read again: they come with no bytes. */
  readonly known?: ReadonlySet<string> | undefined
}

const KNOWN = new Uint8Array()

/** Index objects read at the same time; each is at most a few MiB. */
const PARALLEL_READS = 8
/** How often an object may be listed and then not be there, before that is an error of the store. */
const MAX_LISTINGS = 10
/** How often the index is read because reclamations commit meanwhile, before that is an error: each takes longer than a reading. */
const MAX_READINGS = 100

/** Step W2 of docs/concurrency.md but for its first read (sessions/condemned.ts): reads the index, then commits, in this order. */
export async function readStoredIndex(
  storage: Storage,
  keys: RepositoryKeys,
  options: ReadIndexOptions,
): Promise<StoredIndex> {
  // A run that commits while its index objects are already listed would be known, but not where its chunks are: it is left for
  // the next load. What had committed before the listing began had all its index objects on the store.
  let before = await listRegisters(storage, options)
  const read = new Map<string, IndexObject>()
  for (let readings = 1; ; readings++) {
    await readIndexObjects(storage, read, options)
    const registers = await listRegisters(storage, options)
    const newCommits = [...registers.keys()].filter(
      (session) => registers.get(session) === 'committed' && before.get(session) !== 'committed',
    )
    // A listing may have neither what a reclamation put, which came too late for it, nor what it deleted.
    const mayLack = await someReclaimed(storage, keys, newCommits, options)
    const commits = [...registers].flatMap(([session, end]) =>
      end === 'committed' && before.get(session) === 'committed' ? [session] : [],
    )
    // The register of a run goes once its index objects are replaced. Those that were read before count: what they say was so.
    for (const [session, end] of before) if (!registers.has(session)) registers.set(session, end)
    if (!mayLack) {
      const { effective = [], others = [] } = Object.groupBy(read.values(), ({ session }) =>
        registers.get(session) === 'committed' ? 'effective' : 'others',
      )
      return { effective, others, indexKeys: new Set(effective.map(({ key }) => key)), registers, commits }
    }
    if (readings === MAX_READINGS)
      throw new CairnError(
        'STORAGE_UNAVAILABLE',
        'Cannot read the index: space is reclaimed all the time; run it again',
      )
    before = registers
  }
}

/** Whether one of these runs has reclaimed space, or may have: its record is gone or cannot be read. */
async function someReclaimed(
  storage: Storage,
  keys: RepositoryKeys,
  sessions: readonly SessionId[],
  options: ReadIndexOptions,
): Promise<boolean> {
  for (const session of sessions) {
    const key = commitKey(session)
    const object = await getOrError(storage, key, options)
    if (isCairnError(object)) return true
    try {
      if (RECLAMATION_FIELD in parseObject(openObject('commit', keys, key, object), key)) return true
    } catch {
      return true
    }
  }
  return false
}

async function listRegisters(
  storage: Storage,
  options: ReadIndexOptions,
): Promise<Map<SessionId, 'committed' | 'aborted'>> {
  const registers = new Map<SessionId, 'committed' | 'aborted'>()
  for await (const { key, sizeBytes } of storage.list('commits/', options)) {
    const session = asSessionId(key.slice('commits/'.length))
    if (session) registers.set(session, sizeBytes > 0 ? 'committed' : 'aborted')
    else options.onForeignKey?.(key)
  }
  return registers
}

/** Reads what is listed and not among `read` yet, and leaves out of it what is listed no more. */
async function readIndexObjects(
  storage: Storage,
  read: Map<string, IndexObject>,
  options: ReadIndexOptions,
): Promise<void> {
  for (let listings = 1; ; listings++) {
    const listed = new Map<string, SessionId>()
    for await (const { key } of storage.list('index/', options)) {
      const name = parseIndexKey(key)
      if (name) listed.set(key, name.session)
      else options.onForeignKey?.(key)
    }
    for (const key of read.keys()) if (!listed.has(key)) read.delete(key)
    let hasMoved = false
    await forEachAtOnce(listed, PARALLEL_READS, async ([key, session]) => {
      if (read.has(key)) return
      const object = options.known?.has(key) ? KNOWN : await getOrError(storage, key, options)
      // Superseded since it was listed: what it said stands in a newer object, which another look finds.
      if (isCairnError(object, 'NOT_FOUND') && listings < MAX_LISTINGS) hasMoved = true
      else if (!isCairnError(object)) read.set(key, { key, session, object })
      else if (options.onUnreadable) options.onUnreadable(key, object)
      else throw object
    })
    if (!hasMoved) return
  }
}

/** The bytes of an object, or why it cannot be read; the end of the run is thrown. */
export async function getOrError(
  storage: Storage,
  key: string,
  options: AbortOptions = {},
): Promise<Uint8Array | CairnError> {
  try {
    return await storage.get(key, undefined, options)
  } catch (error) {
    throwIfAborted(options.signal)
    if (!isCairnError(error) || error.code === 'INTERNAL' || error.code === 'CANCELLED') throw error
    return error
  }
}

/** Calls `act` for every item, at most `width` at the same time. */
export async function forEachAtOnce<T>(
  items: Iterable<T>,
  width: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const next = Array.from(items).values()
  const lane = async (): Promise<void> => {
    for (const item of next) await act(item)
  }
  await Promise.all(Array.from({ length: width }, lane))
}
