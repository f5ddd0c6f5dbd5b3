import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { SessionId } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { FolderKeyFiles } from '../repository/key-files.ts'
import { Repository, openRepository } from '../repository/repository.ts'
import { type TestRepository, ZSTD, answerOnce, keysOf, newWriter, reopen, saveChunks } from '../repository/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { encodeContent } from '../snapshot/content.ts'
import { type Snapshot, encodeSnapshot } from '../snapshot/snapshot.ts'
import { testSnapshot } from '../snapshot/testing.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { TreeWriter } from '../snapshot/tree-writer.ts'
import { REPO_V1_PASSPHRASE } from '../../test/testdata/repo-v1.ts'
import { LocalStorage } from '../storage/local/local-storage.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { type CheckCounts, type CheckOptions, check } from './check.ts'
import { type CompactOptions, type CompactResult, DEFAULT_THRESHOLD, compact } from './compact.ts'
import type { CheckError, CheckNote } from './findings.ts'
import { type RepairOptions, type RepairResult, repair } from './repair.ts'

/** For tests of maintenance: checks with their findings, the repositories of the first version, small snapshots. */

export interface Checked extends Omit<CheckCounts, 'errors'> {
  readonly errors: readonly CheckError[]
  readonly notes: readonly CheckNote[]
}

/** Checks a repository, with one worker, for starting threads takes time. */
export async function checked(repository: Repository, options: Partial<CheckOptions> = {}): Promise<Checked> {
  const errors: CheckError[] = []
  const notes: CheckNote[] = []
  const observer = {
    error: (error: CheckError) => void errors.push(error),
    note: (note: CheckNote) => void notes.push(note),
    progress: () => undefined,
  }
  const counts = await check({ repository, workers: 1, observer, ...options })
  if (counts.errors !== errors.length) throw new Error(`${counts.errors} errors counted, ${errors.length} told`)
  return { ...counts, errors, notes }
}

/** Keys of the objects that have an error. */
export function objectsOf({ errors }: Checked): Set<string> {
  return new Set(errors.map(({ object }) => object))
}

/** A repository of test/testdata/repo-v1 in memory, and how to open a copy of it without deriving its key again. */
export async function loadRepoV1(
  encryption: 'keyfile' | 'none',
): Promise<{ storage: MemoryStorage; open: (storage: Storage) => Repository }> {
  // A copy: opening a local storage sweeps its folder for temporary files.
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-maintenance-'))
  try {
    cpSync('test/testdata/repo-v1', folder, { recursive: true })
    const local = await LocalStorage.open(path.join(folder, encryption))
    const keyFiles = new FolderKeyFiles(path.join(folder, 'keys'))
    const { config, keys } = await openRepository(local, { keyFiles, askPassphrase: answerOnce(REPO_V1_PASSPHRASE) })
    // No turns: thousands of operations in a row, and nobody else to take one.
    const storage = new MemoryStorage({ turn: async () => undefined })
    for (const key of await keysOf(local)) await storage.put(key, await local.get(key))
    return { storage, open: (copy) => new Repository(copy, config, keys) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const PLAIN = { type: 'file', mode: 0o644, uid: 0, gid: 0, user: '', group: '', mtimeNs: 0n } as const

/**
 * A session that stores files as one folder, and its snapshot, to be committed by `commit`.
 *
 * @param fields of each node, of the folder itself and of the snapshot, in place of those it would have
 */
export async function openSnapshot(
  repository: Repository,
  name: string,
  files: Readonly<Record<string, string>>,
  fields: {
    readonly node?: Partial<TreeNode>
    readonly root?: Partial<TreeNode>
    readonly snapshot?: Partial<Snapshot>
  } = {},
): Promise<{ session: WriteSession; commit: () => Promise<void> }> {
  const session = await WriteSession.open(repository)
  await session.claimName(name)
  const trees = newWriter(repository, session, { kind: 'treePack' })
  const writer = new TreeWriter((data) => trees.save(data))
  const names = Object.keys(files).sort()
  const ids = await saveChunks(
    repository,
    session,
    names.map((file) => Buffer.from(files[file] ?? '')),
  )
  for (const [i, file] of names.entries()) {
    const bytes = Buffer.byteLength(files[file] ?? '')
    const id = ids[i]
    if (!id) throw new Error('a chunk without an id')
    writer.add({
      ...PLAIN,
      name: file,
      sizeBytes: bytes,
      content: encodeContent([{ id, bytes }], (data) => trees.save(data)),
      ...fields.node,
    })
  }
  const tree = writer.finish()
  await trees.flush()
  const root: TreeNode = { ...PLAIN, name: 'folder', type: 'dir', mode: 0o755, sizeBytes: 0, tree, ...fields.root }
  const snapshot = testSnapshot({ id: session.id, name, tree, root, ...fields.snapshot })
  return { session, commit: () => session.commit(encodeSnapshot(snapshot)) }
}

/** Contents of files by their names. */
export type Files = Readonly<Record<string, string>>

/** A text that compresses badly, so that sizes tell something, and that is a chunk of its own. */
export function longText(name: string): string {
  return (
    testBytes(name, 4000)
      .toString('latin1')
      .replaceAll(/[^ -~]/g, 'x') + name
  )
}

/** Commits a snapshot from a repository opened anew, as another process would; returns its id. */
export async function commitFiles(made: TestRepository, name: string, files: Files): Promise<SessionId> {
  const { session, commit } = await openSnapshot(await reopen(made), name, files)
  await commit()
  return session.id
}

/** The same repository, in a copy of its store. */
export function copyOf(made: TestRepository): TestRepository {
  return { ...made, storage: (made.storage as MemoryStorage).clone() }
}

/** Reclaims space as the command line does when it is told nothing. */
export async function compacted(repository: Repository, options: Partial<CompactOptions> = {}): Promise<CompactResult> {
  return compact({
    repository,
    dryRun: false,
    threshold: DEFAULT_THRESHOLD,
    maxRepackBytes: Number.POSITIVE_INFINITY,
    compression: ZSTD,
    wait: false,
    ...options,
  })
}

/** What a repair did. */
export interface Repaired extends RepairResult {
  /** Name of the snapshot, path, kind. */
  readonly lost: readonly string[]
}

/** Repairs with one worker, where there is nobody to wait for. */
export async function repaired(repository: Repository, options: Partial<RepairOptions> = {}): Promise<Repaired> {
  const lost: string[] = []
  const result = await repair({
    repository,
    workers: 1,
    compression: ZSTD,
    readData: undefined,
    observer: {
      error: () => undefined,
      note: () => undefined,
      progress: () => undefined,
      lost: (snapshot, path, kind) => void lost.push(`${snapshot.name}:${path}:${kind}`),
      waiting: () => {
        throw new Error('nobody is there to wait for')
      },
    },
    ...options,
  })
  return { ...result, lost: lost.sort() }
}

/** Ends the sessions of this process, which look alive, as a crash would have. */
export async function endSessions({ storage }: TestRepository): Promise<void> {
  for (const key of await keysOf(storage, 'sessions/')) {
    await storage.putIfAbsent(key.replace('sessions/', 'commits/'), Buffer.alloc(0))
    await storage.delete(key)
  }
}
