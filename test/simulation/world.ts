import assert from 'node:assert/strict'
import type { Clock } from '../../src/base/clock.ts'
import { type ErrorCode, isCairnError } from '../../src/base/errors.ts'
import { type SessionId, toHex } from '../../src/base/ids.ts'
import { compact } from '../../src/maintenance/compact.ts'
import type { RepositoryAccess } from '../../src/operations/repository-access.ts'
import { rewriteSnapshots } from '../../src/operations/rewrite.ts'
import { undeleteSnapshot } from '../../src/operations/undelete.ts'
import { Repository } from '../../src/repository/repository.ts'
import { ZSTD, newTestRepository, newWriter, saveChunks } from '../../src/repository/testing.ts'
import { WriteSession } from '../../src/repository/write-session.ts'
import { loadDeletedSnapshots, loadSnapshots } from '../../src/snapshot/catalog.ts'
import { encodeContent, readContent } from '../../src/snapshot/content.ts'
import { type Snapshot, encodeSnapshot } from '../../src/snapshot/snapshot.ts'
import { testSnapshot } from '../../src/snapshot/testing.ts'
import { readTree } from '../../src/snapshot/tree-reader.ts'
import { TreeWriter } from '../../src/snapshot/tree-writer.ts'
import { MemoryStorage } from '../../src/storage/memory/memory-storage.ts'
import type { Storage } from '../../src/storage/storage.ts'

const PLAIN = { type: 'file', mode: 0o644, uid: 0, gid: 0, user: '', group: '', mtimeNs: 0n } as const

/** How an operation on a snapshot may end which others delete, by a run which others may take for dead: then packs go that it reads. */
const ENDS: readonly ErrorCode[] = ['NOT_FOUND', 'SESSION_FENCED', 'DATA_CORRUPT']

/** A view of a store for one client. */
export type View = (storage: MemoryStorage) => Storage

/** One clock for the store and all machines. */
export class SimulatedClock implements Clock {
  nowMs = Date.UTC(2026, 0, 1)

  now(): number {
    return this.nowMs++
  }
}

/** A repository whose runs are given views of its store, and what each of its snapshots must hold. */
export class World {
  readonly storage: MemoryStorage
  readonly #template: Repository
  /** What committed snapshots hold, by name. */
  readonly expected = new Map<string, readonly string[]>()
  /** The time by the store's clock. */
  readonly clock: SimulatedClock

  private constructor(storage: MemoryStorage, template: Repository, clock: SimulatedClock) {
    this.storage = storage
    this.#template = template
    this.clock = clock
  }

  static async create(): Promise<World> {
    const clock = new SimulatedClock()
    const storage = new MemoryStorage({ turn: async () => undefined, clock })
    const { repository } = await newTestRepository({ encryption: 'none', storage })
    return new World(storage, repository, clock)
  }

  /** The repository as another process would open it. */
  open(view: Storage): Repository {
    return new Repository(view, this.#template.config, this.#template.keys)
  }

  /** One run of the real code for writing: saves texts as files of a snapshot, and commits. `false` when it was fenced. */
  async backUp(view: Storage, name: string, texts: readonly string[], chance: () => number): Promise<boolean> {
    const repository = this.open(view)
    const session = await WriteSession.open(repository, { clock: this.clock })
    try {
      const writer = newWriter(repository, session)
      const trees = newWriter(repository, session, { kind: 'treePack' })
      const files: { name: string; text: string; id: ReturnType<typeof writer.save> }[] = []
      const saveTree = async (): Promise<ReturnType<TreeWriter['finish']>> => {
        await writer.flush()
        const tree = new TreeWriter((data) => trees.save(data))
        for (const { name, text, id } of files) {
          const content = encodeContent([{ id, bytes: text.length }], (data) => trees.save(data))
          tree.add({ ...PLAIN, name, sizeBytes: text.length, content })
        }
        const id = tree.finish()
        await trees.flush()
        return id
      }
      for (const [i, text] of texts.entries()) {
        repository.table.reserve(10)
        files.push({ name: fileName(i), text, id: writer.save(Buffer.from(text)) })
        if (chance() < 0.3) await writer.flush() // more packs
        if (chance() < 0.1) {
          const tree = await saveTree()
          const saved = texts.slice(0, i + 1)
          await session.commitCheckpoint((id) => this.#record(id, `${name} until ${i}`, tree, saved))
        }
      }
      const tree = await saveTree()
      await session.commit(this.#record(session.id, name, tree, texts))
      return true
    } catch (error) {
      await session.abandon()
      if (isCairnError(error, 'SESSION_FENCED')) return false
      throw error
    }
  }

  #record(id: SessionId, name: string, tree: Snapshot['tree'], texts: readonly string[]): Record<string, unknown> {
    this.expected.set(name, texts)
    // The time puts snapshots in an order that does not depend on their ids, which are random.
    return encodeSnapshot(testSnapshot({ id, name, tree, startedAt: new Date(this.clock.now()).toISOString() }))
  }

  /** Reads some snapshot wholly, as a restore does; one that is deleted meanwhile may go. */
  async restore(view: Storage, chance: () => number): Promise<void> {
    const repository = this.open(view)
    await repository.loadIndex()
    const snapshots = await loadSnapshots(repository)
    const snapshot = snapshots[Math.floor(chance() * snapshots.length)]
    if (!snapshot) return
    try {
      this.#expectWhole(snapshot, await readFiles(repository, snapshot))
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
      assert.ok(await this.isForgotten(snapshot.id), `${snapshot.name} was lost under the hands of a restore`)
    }
  }

  /** Whether a snapshot was deleted, be it that nothing is left of it. */
  async isForgotten(id: SessionId): Promise<boolean> {
    const keys = new Set((await Array.fromAsync(this.storage.list(''))).map(({ key }) => key))
    return keys.has(`forgotten/${id}`) || !keys.has(`commits/${id}`)
  }

  /** Deletes some snapshot. */
  async deleteOne(view: Storage, chance: () => number): Promise<void> {
    const repository = this.open(view)
    await repository.loadIndex()
    const snapshots = await loadSnapshots(repository)
    const snapshot = snapshots[Math.floor(chance() * snapshots.length)]
    if (snapshot) await repository.forget(snapshot.id)
  }

  /** Deletes the snapshot of this name. */
  async deleteNamed(view: Storage, name: string): Promise<void> {
    const repository = this.open(view)
    await repository.loadIndex()
    for (const snapshot of await loadSnapshots(repository))
      if (snapshot.name === name) await repository.forget(snapshot.id)
  }

  /** A run that stores a text in a pack and ends without a commit. */
  async leaveOrphan(text: string): Promise<void> {
    const repository = this.open(this.storage)
    const session = await WriteSession.open(repository, { clock: this.clock })
    await saveChunks(repository, session, [Buffer.from(text)])
    await session.abandon()
  }

  /** Reclaims space. */
  async compact(view: Storage, threshold: number): Promise<void> {
    try {
      await compact({
        repository: this.open(view),
        dryRun: false,
        threshold,
        maxRepackBytes: Number.POSITIVE_INFINITY,
        compression: ZSTD,
        wait: false,
        clock: this.clock,
      })
    } catch (error) {
      if (!isCairnError(error, 'SESSION_FENCED')) throw error
    }
  }

  /** Brings some deleted snapshot back, under this name, by the real operation; it may be gone by then. */
  async undelete(view: Storage, name: string, chance: () => number): Promise<void> {
    const repository = this.open(view)
    await repository.loadIndex()
    const snapshots = await loadDeletedSnapshots(repository)
    const snapshot = snapshots[Math.floor(chance() * snapshots.length)]
    if (!snapshot) return
    this.expected.set(name, this.expected.get(snapshot.name) ?? [])
    await unless(ENDS, undeleteSnapshot(this.#access(view), { wanted: snapshot.id, name }))
  }

  /** Leaves the first file out of some snapshot, by the real operation; there may be no other, or the snapshot be gone by then. */
  async rewrite(view: Storage, chance: () => number): Promise<void> {
    const repository = this.open(view)
    await repository.loadIndex()
    const snapshots = await loadSnapshots(repository)
    const snapshot = snapshots[Math.floor(chance() * snapshots.length)]
    if (!snapshot) return
    const selection = { wanted: [snapshot.id] }
    const patterns = [{ kind: 'exclude', value: fileName(0) }] as const
    await unless(
      [...ENDS, 'INVALID_ARGUMENT', 'SNAPSHOT_EXISTS'],
      rewriteSnapshots(this.#access(view), { selection, patterns }),
    )
  }

  #access(view: Storage): RepositoryAccess {
    return {
      location: view.location,
      keyFolder: '/nonexistent',
      askPassphrase: async () => undefined,
      clock: this.clock,
      openStorage: async () => view,
    }
  }

  /** Fails unless every committed snapshot can be read wholly, by the real code, at this moment. Returns how many there are. */
  async verify(): Promise<number> {
    const repository = this.open(this.storage)
    await repository.loadIndex()
    const snapshots = await loadSnapshots(repository)
    for (const snapshot of snapshots) {
      const found = await readFiles(repository, snapshot).catch((error: unknown) => String(error))
      this.#expectWhole(snapshot, found)
    }
    return snapshots.length
  }

  #expectWhole({ name, tree, madeFrom }: Snapshot, found: ReadonlyMap<string, string> | string): void {
    const files = new Map((this.expected.get(name) ?? []).map((text, i) => [fileName(i), text]))
    // One that was rewritten lacks the first.
    if (madeFrom && typeof found !== 'string' && !found.has(fileName(0))) files.delete(fileName(0))
    assert.deepEqual(found, files, `snapshot ${name} of ${toHex(tree)}`)
  }
}

function fileName(number: number): string {
  return `file ${String(number).padStart(3, '0')}`
}

/** Waits for an operation, which may fail in these ways. */
async function unless(codes: readonly ErrorCode[], operation: Promise<unknown>): Promise<void> {
  await operation.catch((error: unknown) => {
    if (!isCairnError(error) || !codes.includes(error.code)) throw error
  })
}

/** The texts of a snapshot's files, by their names. */
async function readFiles(repository: Repository, snapshot: Snapshot): Promise<Map<string, string>> {
  const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id)
  const texts = new Map<string, string>()
  for await (const nodes of readTree(snapshot.tree, load)) {
    for (const { content, name } of nodes) {
      const pieces: Uint8Array[] = []
      if (content) for await (const { id } of readContent(content, load, name)) pieces.push(await load(id))
      texts.set(name, Buffer.concat(pieces).toString('utf8'))
    }
  }
  return texts
}
