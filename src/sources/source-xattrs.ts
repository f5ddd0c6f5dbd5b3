import { readXattrs } from '../platform/xattrs.ts'
import type { SourceXattr } from './source.ts'

/** Extended attributes in memory of their own, which can be sent to another thread; `undefined` when there are none. */
export function readSourceXattrs(target: string | number): SourceXattr[] | undefined {
  const xattrs = readXattrs(target)
  return xattrs.length === 0 ? undefined : xattrs.map(({ name, value }) => ({ name, value: new Uint8Array(value) }))
}
