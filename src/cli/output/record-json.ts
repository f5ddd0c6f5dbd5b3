import type { RepositoryTotals } from '../../operations/snapshot-info.ts'
import type { EntryInfo, SnapshotInfo } from '../../operations/snapshot-info.ts'
import { formatMode, formatNsTime } from './format.ts'
import { rawField, rawFields } from './raw-json.ts'
import { fileCount } from './stats-block.ts'

/** A snapshot with restic's field names, and ours where restic has none. */
export function snapshotJson(snapshot: SnapshotInfo): Record<string, unknown> {
  const { stats } = snapshot
  return {
    time: snapshot.startedAt,
    tree: snapshot.tree,
    ...rawFields('paths', snapshot.paths),
    hostname: snapshot.hostname,
    username: snapshot.username,
    tags: snapshot.tags,
    program_version: `cairn ${snapshot.programVersion}`,
    summary: {
      backup_start: snapshot.startedAt,
      backup_end: snapshot.endedAt,
      files_new: stats.filesNew,
      files_changed: stats.filesChanged,
      files_unmodified: stats.filesUnmodified,
      data_blobs: stats.chunksNew,
      tree_blobs: stats.treeChunksNew,
      data_added: stats.addedBytes,
      data_added_packed: stats.deduplicatedBytes,
      total_files_processed: fileCount(stats),
      total_bytes_processed: stats.originalBytes,
    },
    name: snapshot.name,
    comment: snapshot.comment,
    incomplete: snapshot.incomplete,
    checkpoint: snapshot.checkpoint,
    pinned: snapshot.pinned,
    ...(snapshot.madeFrom === undefined ? {} : { original: snapshot.madeFrom }),
    ...rawFields('command_line', snapshot.commandLine),
    id: snapshot.id,
    short_id: snapshot.id.slice(0, 8),
  }
}

/** The sizes of a whole repository, in bytes, and its chunks. */
export function totalsJson(totals: RepositoryTotals): Record<string, number> {
  return {
    original_size: totals.originalBytes,
    compressed_size: totals.compressedBytes,
    deduplicated_size: totals.deduplicatedBytes,
    unique_chunks: totals.chunksUnique,
    total_chunks: totals.chunksTotal,
  }
}

/** An entry as a `node` line of `restic ls --json`; `path` has no leading `/`, as everywhere in Cairn. */
export function nodeJson(entry: EntryInfo): Record<string, unknown> {
  const name = entry.path.slice(entry.path.lastIndexOf('/') + 1)
  return {
    message_type: 'node',
    ...rawField('name', name),
    type: entry.type,
    ...rawField('path', entry.path),
    uid: entry.uid,
    gid: entry.gid,
    user: entry.user,
    group: entry.group,
    size: entry.sizeBytes,
    mode: entry.mode,
    permissions: formatMode(entry.type, entry.mode),
    mtime: formatNsTime(entry.mtimeNs),
    ...(entry.atimeNs === undefined ? {} : { atime: formatNsTime(entry.atimeNs) }),
    ...(entry.linkTarget === undefined ? {} : rawField('linktarget', entry.linkTarget)),
    ...(entry.hardLink === undefined ? {} : rawField('hard_link', entry.hardLink)),
    ...(entry.device === undefined ? {} : { device: entry.device }),
    ...(entry.flags.length === 0 ? {} : { flags: entry.flags }),
    ...(entry.hasXattrs ? { has_xattrs: true } : {}),
    ...(entry.changed ? { changed: true } : {}),
  }
}
