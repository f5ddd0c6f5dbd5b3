/** Borg's JSON documents: what `create`, `list` and `info` print with `--json`. */
import type { CreateResult } from '../../operations/create.ts'
import type { RepositoryInfo } from '../../operations/info.ts'
import type { RepositoryTotals, SnapshotInfo } from '../../operations/snapshot-info.ts'
import { rawField, rawFields } from '../output/raw-json.ts'
import { fileCount } from '../output/stats-block.ts'
import { isoTime } from './words.ts'

/** A document, laid out as Borg does. */
export function documentText(document: object): string {
  return `${JSON.stringify(document, undefined, 4)}\n`
}

/** What every document says of the repository. */
export function borgRepositoryJson(repository: {
  readonly repositoryId: string
  readonly location: string
  readonly encryption: string
  /** When the repository has snapshots: the end of the last one. */
  readonly lastModified: string | undefined
}): object {
  const { repositoryId, location, encryption, lastModified } = repository
  return {
    encryption: { mode: encryption },
    repository: {
      id: repositoryId,
      last_modified: lastModified === undefined ? null : isoTime(Date.parse(lastModified)),
      ...rawField('location', location),
    },
  }
}

/** `info --json` of a repository, and of snapshots when there are some. */
export function borgInfoJson(info: RepositoryInfo, snapshots?: readonly SnapshotInfo[]): object {
  return {
    ...(snapshots && { archives: snapshots.map((snapshot) => archiveInfo(info, snapshot)) }),
    cache: cacheJson(info.totals),
    ...borgRepositoryJson({ ...info, lastModified: info.lastSnapshot?.endedAt }),
    ...(!snapshots && { security_dir: '' }), // there is none
  }
}

function archiveInfo({ chunkerParams }: RepositoryInfo, snapshot: SnapshotInfo): object {
  return {
    chunker_params: chunkerParams.split(',').map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
    ...archiveJson(snapshot),
    comment: snapshot.comment,
    hostname: snapshot.hostname,
    username: snapshot.username,
  }
}

/** `create --json`. */
export function borgCreateJson(result: CreateResult, location: string): object {
  return {
    archive: archiveJson(result.snapshot),
    cache: cacheJson(result.totals),
    ...borgRepositoryJson({
      repositoryId: result.repositoryId,
      encryption: result.encryption,
      location,
      lastModified: result.snapshot.endedAt,
    }),
  }
}

function archiveJson(snapshot: SnapshotInfo): object {
  const { name, id, startedAt, endedAt, commandLine, stats } = snapshot
  return {
    ...rawFields('command_line', commandLine),
    duration: (Date.parse(endedAt) - Date.parse(startedAt)) / 1000,
    end: isoTime(Date.parse(endedAt)),
    id,
    limits: { max_archive_size: 0 }, // there is none
    name,
    start: isoTime(Date.parse(startedAt)),
    stats: {
      compressed_size: stats.compressedBytes,
      deduplicated_size: stats.deduplicatedBytes,
      nfiles: fileCount(stats),
      original_size: stats.originalBytes,
    },
  }
}

/** Borg keeps these sums in its cache; here they are those of the repository. */
function cacheJson(totals: RepositoryTotals): object {
  return {
    path: '',
    stats: {
      total_chunks: totals.chunksTotal,
      total_csize: totals.compressedBytes,
      total_size: totals.originalBytes,
      total_unique_chunks: totals.chunksUnique,
      unique_csize: totals.deduplicatedBytes,
      unique_size: totals.uniqueBytes,
    },
  }
}
