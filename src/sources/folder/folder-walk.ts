import { errnoOf } from '../../base/errors.ts'
import { type FileStat, describeSystemError, listDirectory, readLink, statFile } from '../../platform/files.ts'
import { groupName, userName } from '../../platform/owners.ts'
import type { SourceEntry, SourceIssue } from '../source.ts'

/** Entries an array of the walk has at most: enough to make waiting cheap, few enough to keep the main thread responsive. */
const BATCH_ENTRIES = 512

interface Frame {
  readonly systemPath: string
  readonly path: string
  readonly depth: number
  readonly names: readonly string[]
  next: number
}

/** What a walk starts from: a system path, and the path it has in the snapshot (empty: its content lies at the top). */
export interface WalkRoot {
  readonly systemPath: string
  readonly path: string
}

/** Walks one root depth first without recursion, so that neither depth nor width costs more than the open directories. */
export class FolderWalk {
  readonly #stack: Frame[] = []
  readonly #onIssue: (issue: SourceIssue) => void
  #root: WalkRoot | undefined

  constructor(root: WalkRoot, onIssue: (issue: SourceIssue) => void) {
    this.#root = root
    this.#onIssue = onIssue
  }

  /** The next entries; an empty array at the end. */
  next(): SourceEntry[] {
    const batch: SourceEntry[] = []
    const root = this.#root
    if (root) {
      this.#root = undefined
      if (root.path === '') this.#openDirectory(root.systemPath, '', 0)
      else this.#visit(root.systemPath, root.path, batch)
    }
    while (batch.length < BATCH_ENTRIES) {
      const frame = this.#stack.at(-1)
      if (!frame) break
      const name = frame.names[frame.next++]
      if (name === undefined) this.#stack.pop()
      else
        this.#visit(
          join(frame.systemPath, name),
          frame.path === '' ? name : `${frame.path}/${name}`,
          batch,
          name,
          frame.depth + 1,
        )
    }
    return batch
  }

  #visit(
    systemPath: string,
    path: string,
    batch: SourceEntry[],
    name = lastPart(path),
    depth = countParts(path),
  ): void {
    try {
      const stat = statFile(systemPath)
      if (stat.type === 'socket') {
        this.#onIssue({ path, systemPath, message: 'sockets cannot be backed up; it is left out', code: 'SKIPPED' })
        return
      }
      batch.push(toEntry(stat, systemPath, path, name, depth))
      if (stat.type === 'dir') this.#openDirectory(systemPath, path, depth)
    } catch (error) {
      // Gone between listing and looking: nothing is missing that could have been saved.
      const isRoot = this.#stack.length === 0
      if (isRoot || errnoOf(error) !== 'ENOENT') this.#report(path, systemPath, error)
    }
  }

  #openDirectory(systemPath: string, path: string, depth: number): void {
    try {
      this.#stack.push({ systemPath, path, depth, names: listDirectory(systemPath), next: 0 })
    } catch (error) {
      this.#report(path, systemPath, error)
    }
  }

  #report(path: string, systemPath: string, error: unknown): void {
    this.#onIssue({ path, systemPath, message: describeSystemError(error), code: errnoOf(error) ?? 'INTERNAL' })
  }
}

function toEntry(stat: FileStat, systemPath: string, path: string, name: string, depth: number): SourceEntry {
  return {
    path,
    name,
    depth,
    type: stat.type as SourceEntry['type'],
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    user: userName(stat.uid) ?? '',
    group: groupName(stat.gid) ?? '',
    sizeBytes: stat.type === 'file' ? stat.sizeBytes : 0,
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    inode: stat.inode,
    linkTarget: stat.type === 'symlink' ? readLink(systemPath) : undefined,
    systemPath,
    ancestor: false,
  }
}

function join(folder: string, name: string): string {
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function countParts(path: string): number {
  return path.split('/').length
}
