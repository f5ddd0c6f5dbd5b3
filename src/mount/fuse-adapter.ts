import type { FuseAttributes, FuseFileSystem, FuseFound, FuseListed } from '../platform/fuse.ts'
import { toInodeFlags } from '../platform/file-flags.ts'
import { systemError } from '../platform/system-error.ts'
import type { NodeXattr } from '../snapshot/attachment.ts'
import type { NodeType } from '../snapshot/tree-node.ts'
import { type Entry, type EntryStat, type Folder, type Listing, isFile, isFolder, isSymlink } from './entry.ts'
import type { FileContent } from './file-content.ts'

/** Type bits of a mode, as of inode(7). */
const TYPE_BITS = {
  file: 0o100000,
  dir: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  chardev: 0o020000,
  blockdev: 0o060000,
} as const satisfies Record<NodeType, number>

/** What a snapshot says does not change; what snapshots there are may. */
const LASTING_S = 86_400
const CHANGING_S = 1

/** Shows a folder, and all that is in it, to the kernel. */
export class FuseAdapter implements FuseFileSystem<Entry, FileContent, Listing> {
  readonly root: Folder
  readonly hasAcls: boolean

  /** @param hasAcls whether the kernel is to apply POSIX ACLs */
  constructor(root: Folder, hasAcls: boolean) {
    this.root = root
    this.hasAcls = hasAcls
  }

  validS(entry: Entry): number {
    return entry.isLasting ? LASTING_S : CHANGING_S
  }

  async find(folder: Entry, name: string): Promise<FuseFound<Entry>> {
    if (!isFolder(folder)) throw systemError('ENOTDIR', 'lookup')
    const entry = await folder.find(name)
    if (!entry) throw systemError('ENOENT', 'lookup')
    return this.get(entry)
  }

  async get(entry: Entry): Promise<FuseFound<Entry>> {
    return toFound(entry, await entry.stat())
  }

  async readLink(entry: Entry): Promise<string> {
    if (!isSymlink(entry)) throw systemError('EINVAL', 'readlink')
    return entry.readTarget()
  }

  async readXattrs(entry: Entry): Promise<readonly NodeXattr[]> {
    return entry.readXattrs()
  }

  async readFlags(entry: Entry): Promise<number> {
    return toInodeFlags(await entry.readFlags())
  }

  async open(entry: Entry): Promise<FileContent> {
    if (!isFile(entry)) throw systemError('EINVAL', 'open')
    return entry.open()
  }

  async read(content: FileContent, offset: number, length: number): Promise<readonly Uint8Array[]> {
    return content.read(offset, length)
  }

  seek(content: FileContent, offset: number, what: 'data' | 'hole'): number | undefined {
    return content.seek(offset, what)
  }

  async openFolder(entry: Entry): Promise<Listing> {
    if (!isFolder(entry)) throw systemError('ENOTDIR', 'opendir')
    return entry.open()
  }

  async list(listing: Listing, position: number): Promise<Iterable<FuseListed<Entry>>> {
    return toFuseListed(await listing.from(position))
  }
}

function* toFuseListed(names: Awaited<ReturnType<Listing['from']>>): Generator<FuseListed<Entry>> {
  for (const { name, entry, inode, next, statNow } of names) {
    const found = (): FuseFound<Entry> | undefined => {
      const known = statNow()
      return known && toFound(entry, known)
    }
    yield { name, inode, next, mode: TYPE_BITS[entry.type], found }
  }
}

function toFound(entry: Entry, stat: EntryStat): FuseFound<Entry> {
  return { node: entry, attributes: toAttributes(stat) }
}

function toAttributes(stat: EntryStat): FuseAttributes {
  const { inode, linkCount, sizeBytes, dataBytes, mtimeNs, atimeNs, device } = stat
  return {
    inode,
    mode: TYPE_BITS[stat.type] | stat.mode,
    linkCount,
    // A damaged node may say anything.
    uid: stat.uid >>> 0,
    gid: stat.gid >>> 0,
    sizeBytes,
    blocks: Math.ceil(dataBytes / 512),
    atimeNs,
    mtimeNs,
    ctimeNs: mtimeNs,
    device,
  }
}
