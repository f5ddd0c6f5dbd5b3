/** What `borg diff` prints of a path, as text and as JSON. */
import type { DiffChange } from '../../operations/diff.ts'
import type { EntryInfo } from '../../operations/snapshot-info.ts'
import { formatMode, formatTime, nsToMs } from '../output/format.ts'
import { rawField } from '../output/raw-json.ts'
import { printable } from '../output/text.ts'
import { borgSize, isoTimeOfNs } from './words.ts'

export interface BorgDiffOptions {
  /** Owner, mode and times do not count. */
  readonly contentOnly?: true
  /** Owners are compared by number. */
  readonly numericIds?: true
}

/** One thing that is different. */
interface Difference {
  readonly json: object
  readonly text: string
}

/** What entries other than files are called. */
const KINDS: Readonly<Record<Exclude<EntryInfo['type'], 'file'>, string>> = {
  dir: 'directory',
  symlink: 'link',
  fifo: 'fifo',
  chardev: 'chrdev',
  blockdev: 'blkdev',
}

/** Columns of what is different, before the path. */
const COLUMNS = 19

/** A line without its end, or `undefined` when nothing that counts is different. */
export function borgDiffLine(change: DiffChange, options: BorgDiffOptions): string | undefined {
  const differences = differencesOf(change, options)
  if (differences.length === 0) return undefined
  return `${differences
    .map(({ text }) => text)
    .join(' ')
    .padEnd(COLUMNS)} ${printable(change.path)}`
}

/** An object of `--json-lines`, or `undefined` as above. */
export function borgDiffJson(change: DiffChange, options: BorgDiffOptions): object | undefined {
  const differences = differencesOf(change, options)
  if (differences.length === 0) return undefined
  return { changes: differences.map(({ json }) => json), ...rawField('path', change.path) }
}

function differencesOf(change: DiffChange, options: BorgDiffOptions): Difference[] {
  const { before, after } = change
  if (before && after) return changesOf(change, before, after, options)
  const entry = after ?? before
  if (!entry) return []
  const verb = after ? 'added' : 'removed'
  if (entry.type !== 'file') {
    const type = `${verb} ${KINDS[entry.type]}`
    return [{ json: { type }, text: type }]
  }
  const size = borgSize(entry.sizeBytes).padStart(after ? 13 : 11)
  return [{ json: { type: verb, size: entry.sizeBytes }, text: `${verb} ${size}` }]
}

function changesOf(
  { change, bytesAdded, bytesRemoved }: DiffChange,
  before: EntryInfo,
  after: EntryInfo,
  { contentOnly, numericIds }: BorgDiffOptions,
): Difference[] {
  const found: Difference[] = []
  if (before.type === 'symlink' && after.type === 'symlink' && before.linkTarget !== after.linkTarget)
    found.push({ json: { type: 'changed link' }, text: 'changed link' })
  if (before.type === 'file' && after.type === 'file' && (change === 'modified' || !contentOnly)) {
    const added = borgSize(bytesAdded, { precision: 1, signed: true }).padStart(9)
    const removed = borgSize(-bytesRemoved, { precision: 1 }).padStart(9)
    found.push({ json: { type: 'modified', added: bytesAdded, removed: bytesRemoved }, text: `${added} ${removed}` })
  }
  if (contentOnly) return found

  const [old, fresh] = [ownerOf(before, numericIds), ownerOf(after, numericIds)]
  if (old.join(':') !== fresh.join(':')) {
    const [old_user, old_group] = old
    const [new_user, new_group] = fresh
    found.push({
      json: { type: 'owner', old_user, old_group, new_user, new_group },
      text: printable(`[${old.join(':')} -> ${fresh.join(':')}]`),
    })
  }
  const [old_mode, new_mode] = [formatMode(before.type, before.mode), formatMode(after.type, after.mode)]
  if (old_mode !== new_mode)
    found.push({ json: { type: 'mode', old_mode, new_mode }, text: `[${old_mode} -> ${new_mode}]` })
  if (before.mtimeNs !== after.mtimeNs) {
    const times = [before, after].map(({ mtimeNs }) => formatTime(nsToMs(mtimeNs)))
    found.push({
      json: { type: 'mtime', old_mtime: isoTimeOfNs(before.mtimeNs), new_mtime: isoTimeOfNs(after.mtimeNs) },
      text: `[mtime: ${times.join(' -> ')}]`,
    })
  }
  return found
}

function ownerOf({ user, group, uid, gid }: EntryInfo, numericIds = false): readonly (string | number)[] {
  return numericIds ? [uid, gid] : [user || uid, group || gid]
}
