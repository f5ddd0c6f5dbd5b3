import type { DiffChange } from '../operations/diff.ts'

interface SideTotals {
  files: number
  dirs: number
  others: number
  bytes: number
  readonly entries: number
}

const emptySide = (): SideTotals => ({
  files: 0,
  dirs: 0,
  others: 0,
  bytes: 0,
  get entries() {
    return this.files + this.dirs + this.others
  },
})

/** Adds up the changes between two snapshots, in the groups of restic's `statistics` line. */
export class DiffTotals {
  readonly added = emptySide()
  readonly removed = emptySide()
  /** Entries in both that differ, in content, type or metadata. */
  changed = 0
  /** Those of them whose content differs. */
  changedFiles = 0

  get empty(): boolean {
    return this.added.entries + this.removed.entries + this.changed === 0
  }

  add({ change, before, after, bytesAdded, bytesRemoved }: DiffChange): void {
    this.added.bytes += bytesAdded
    this.removed.bytes += bytesRemoved
    if (change === 'modified') this.changedFiles++
    if (change !== 'added' && change !== 'removed') {
      this.changed++
      return
    }
    const side = change === 'added' ? this.added : this.removed
    const type = (after ?? before)?.type
    if (type === 'file') side.files++
    else if (type === 'dir') side.dirs++
    else side.others++
  }

  json(): object {
    return { changed_files: this.changedFiles, added: sideJson(this.added), removed: sideJson(this.removed) }
  }
}

function sideJson({ files, dirs, others, bytes }: SideTotals): object {
  return { files, dirs, others, bytes }
}
