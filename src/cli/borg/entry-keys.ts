import { toPrintable } from '../../base/raw-name.ts'
import { toRawName } from '../../base/raw-name.ts'
import type { DetailedEntry } from '../../operations/list.ts'
import { DIGESTS } from '../../operations/list.ts'
import type { EntryInfo, SnapshotInfo } from '../../operations/snapshot-info.ts'
import { formatMode, nsToMs } from '../output/format.ts'
import { printable } from '../output/text.ts'
import { applyFormat, type FormatPart, type FormatValue, type Moment } from './format-string.ts'
import { isoTimeOfNs } from './words.ts'

type KeyFunction = (entry: DetailedEntry, snapshot: SnapshotInfo) => FormatValue

/** What chattr(1) sets, by the numbers of BSD, as Borg keeps it. */
const FLAG_BITS: Readonly<Record<string, number>> = { nodump: 1, immutable: 2, append: 4 }

/** What the keys of Borg's `list --format` for the contents of an archive stand for. */
const KEYS: Readonly<Record<string, KeyFunction>> = {
  type: ({ type, mode }) => formatMode(type, mode).slice(0, 1),
  mode: modeOf,
  uid: ({ uid }) => uid,
  gid: ({ gid }) => gid,
  user: ({ user, uid }) => printable(user) || uid,
  group: ({ group, gid }) => printable(group) || gid,
  path: ({ path }) => printable(path),
  bpath: ({ path }) => path,
  source: (entry) => printable(sourceOf(entry)),
  linktarget: (entry) => printable(sourceOf(entry)),
  flags: flagsOf,
  size: sizeOf,
  num_chunks: ({ chunks = 0 }) => chunks,
  mtime: ({ mtimeNs }) => moment(mtimeNs),
  // What is not stored is the mtime, as in archives that Borg made without them.
  ctime: ({ mtimeNs }) => moment(mtimeNs),
  atime: ({ atimeNs, mtimeNs }) => moment(atimeNs ?? mtimeNs),
  isomtime: ({ mtimeNs }) => isoTimeOfNs(mtimeNs),
  isoctime: ({ mtimeNs }) => isoTimeOfNs(mtimeNs),
  isoatime: ({ atimeNs, mtimeNs }) => isoTimeOfNs(atimeNs ?? mtimeNs),
  archiveid: (_, { id }) => id,
  archivename: (_, { name }) => printable(name),
  extra: (entry) => extraOf(entry),
  health: () => 'healthy', // what is damaged is left out by a repair
}

export const ENTRY_KEYS = [...Object.keys(KEYS), ...DIGESTS]

/** `borg list REPO::NAME` without options. */
export const ENTRY_FORMAT = '{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}{NL}'

/** What a format writes for an entry; raw-name text, for `bpath` is a path as it is. */
export function formatEntry(entry: DetailedEntry, snapshot: SnapshotInfo, parts: readonly FormatPart[]): string {
  return applyFormat(parts, (key) => KEYS[key]?.(entry, snapshot) ?? entry.digests?.[key] ?? '')
}

/** Keys of `list --json-lines` that are there only when the format uses them. */
const ON_DEMAND = new Set(
  ENTRY_KEYS.slice(ENTRY_KEYS.indexOf('size')).filter((key) => !/^archive|^extra$|^health$/.test(key)),
)

/** An entry as a line of `list --json-lines`; `path` may be lossy, `path_b64` then has the bytes. */
export function borgEntryJson(entry: DetailedEntry, snapshot: SnapshotInfo, keys: ReadonlySet<string>): object {
  const { type, mode, uid, gid, user, group, path } = entry
  const source = toPrintable(sourceOf(entry))
  const demanded = [...keys].filter((key) => ON_DEMAND.has(key))
  return {
    type: formatMode(type, mode).slice(0, 1),
    mode: modeOf(entry),
    user: user === '' ? uid : toPrintable(user),
    group: group === '' ? gid : toPrintable(group),
    uid,
    gid,
    path: toPrintable(path),
    ...(path.isWellFormed() ? {} : { path_b64: toRawName(path).toString('base64') }),
    healthy: true,
    source,
    linktarget: source,
    flags: flagsOf(entry),
    ...Object.fromEntries(demanded.map((key) => [key, jsonOf(entry, snapshot, key)])),
  }
}

function jsonOf(entry: DetailedEntry, snapshot: SnapshotInfo, key: string): unknown {
  const value = KEYS[key]?.(entry, snapshot) ?? entry.digests?.[key] ?? ''
  return typeof value === 'object' ? KEYS[`iso${key}`]?.(entry, snapshot) : value
}

function modeOf({ type, mode, hardLink }: EntryInfo): string {
  const text = formatMode(type, mode)
  return hardLink === undefined ? text : `h${text.slice(1)}`
}

/** Borg gives a link the number of characters of its target, and all names of a file but the first none. */
function sizeOf({ linkTarget, hardLink, sizeBytes }: EntryInfo): number {
  if (linkTarget !== undefined) return Array.from(linkTarget).length
  return hardLink === undefined ? sizeBytes : 0
}

function sourceOf({ linkTarget, hardLink = '' }: EntryInfo): string {
  return linkTarget ?? hardLink
}

function extraOf(entry: EntryInfo): string {
  const source = sourceOf(entry)
  if (source === '') return ''
  return `${entry.linkTarget === undefined ? ' link to' : ' ->'} ${printable(source)}`
}

function flagsOf({ flags }: EntryInfo): number {
  return flags.reduce((sum, flag) => sum + (FLAG_BITS[flag] ?? 0), 0)
}

function moment(ns: bigint): Moment {
  return { timeMs: nsToMs(ns) }
}
