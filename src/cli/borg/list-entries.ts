import { toRawName } from '../../base/raw-name.ts'
import { DIGESTS, type EntryVisitor, type ListEntriesOptions } from '../../operations/list.ts'
import type { SnapshotInfo } from '../../operations/snapshot-info.ts'
import type { Output } from '../output/output.ts'
import { borgEntryJson, ENTRY_FORMAT, ENTRY_KEYS, formatEntry } from './entry-keys.ts'
import { keysOf, parseFormat } from './format-string.ts'

/**
 * Prints the entries of a snapshot as Borg does: by a format, or as JSON. `needs` is what has to be found out about entries for
 * that.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a format that makes no sense
 */
export function borgEntries(
  output: Output,
  { format, short, jsonLines }: { readonly format?: string; readonly short?: true; readonly jsonLines?: true },
): { readonly visitor: EntryVisitor; readonly needs: ListEntriesOptions } {
  const parts = parseFormat(format ?? (short ? '{path}{NL}' : ENTRY_FORMAT), ENTRY_KEYS)
  const keys = keysOf(parts)
  let found: SnapshotInfo
  const visitor: EntryVisitor = {
    onSnapshot(snapshot) {
      found = snapshot
    },
    async onEntry(entry) {
      if (jsonLines) output.json(borgEntryJson(entry, found, keys))
      else {
        const text = formatEntry(entry, found, parts)
        if (text.isWellFormed()) output.text(text)
        else await output.bytes(toRawName(text)) // a path as it is
      }
      await output.ready()
    },
  }
  return { visitor, needs: { withChunks: keys.has('num_chunks'), digests: DIGESTS.filter((name) => keys.has(name)) } }
}
