import type { StreamCompression } from '../codec/stream-compression.ts'
import { BLOCK_BYTES, isHeader } from './tar/header.ts'

export type ArchiveFormat = 'tar' | 'zip'

/** How a tar archive is compressed: by ourselves, or by a program that is run. */
export type TarFilter =
  | StreamCompression
  | { readonly compress: readonly string[]; readonly decompress: readonly string[] }

const XZ: TarFilter = { compress: ['xz', '-c'], decompress: ['xz', '-dc'] }
const BZIP2: TarFilter = { compress: ['bzip2', '-c'], decompress: ['bzip2', '-dc'] }
const LZ4: TarFilter = { compress: ['lz4', '-c'], decompress: ['lz4', '-dc'] }

const FILTERS_BY_ENDING: readonly (readonly [ending: string, filter: TarFilter | undefined])[] = [
  ['.tar', undefined],
  ['.tar.gz', 'gzip'],
  ['.tgz', 'gzip'],
  ['.tar.zst', 'zstd'],
  ['.tar.zstd', 'zstd'],
  ['.tzst', 'zstd'],
  ['.tar.xz', XZ],
  ['.txz', XZ],
  ['.tar.bz2', BZIP2],
  ['.tbz', BZIP2],
  ['.tbz2', BZIP2],
  ['.tar.lz4', LZ4],
]

/** What a file of this name should be; `undefined` for one that says nothing. */
export function formatOfName(name: string): { format: ArchiveFormat; filter: TarFilter | undefined } | undefined {
  const lower = name.toLowerCase()
  if (lower.endsWith('.zip')) return { format: 'zip', filter: undefined }
  const known = FILTERS_BY_ENDING.find(([ending]) => lower.endsWith(ending))
  return known && { format: 'tar', filter: known[1] }
}

/** How many bytes `formatOfContent` wants to see. */
export const MAGIC_BYTES = BLOCK_BYTES

const MAGICS: readonly (readonly [magic: RegExp, filter: TarFilter])[] = [
  [/^1f8b/, 'gzip'],
  [/^28b52ffd|^5.2a4d18/, 'zstd'], // a frame, or one that is passed over, as pzstd has them
  [/^fd377a585a00/, XZ],
  [/^425a68/, BZIP2],
  [/^04224d18/, LZ4],
]

/** What something is that begins with these bytes: tar unless it is something else. */
export function formatOfContent(bytes: Buffer): { format: ArchiveFormat; filter: TarFilter | undefined } {
  // It begins with a name, and that may begin with anything.
  if (bytes.length >= BLOCK_BYTES && isHeader(bytes)) return { format: 'tar', filter: undefined }
  // 'PK' and a local header, or the end of an empty archive.
  if (/^504b(0304|0506|0708)/.test(bytes.toString('hex', 0, 4))) return { format: 'zip', filter: undefined }
  const start = bytes.toString('hex', 0, 8)
  return { format: 'tar', filter: MAGICS.find(([magic]) => magic.test(start))?.[1] }
}
