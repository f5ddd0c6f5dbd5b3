import { CairnError } from '../base/errors.ts'
import { compressLz4, decompressLz4 } from './lz4.ts'
import { compressLzma, decompressLzma } from './lzma.ts'
import { compressZlib, compressZstd, decompressZlib, decompressZstd } from './node-zlib.ts'

export type CompressionName = 'none' | 'lz4' | 'zstd' | 'zlib' | 'lzma'

/** How a repository's format names the algorithms; a code never changes its meaning. */
export const COMPRESSION_CODES = { none: 0, lz4: 1, zstd: 2, zlib: 3, lzma: 4 } as const satisfies Record<
  CompressionName,
  number
>

/**
 * zstd's level when none is given. On 300 MB of `/usr/lib` and `/usr/share` in segments of 4 MiB (one core, November 2026,
 * ratio | MB/s): level 1 0.358 | 441, 2 0.339 | 397, 3 0.324 | 288, 4 0.322 | 228. Level 1 and 2 with other hash tables
 * or match lengths gave no more at the same speed.
 */
export const DEFAULT_ZSTD_LEVEL = 2

/** Largest input and output of one call, 1 GiB: no segment comes near, and a damaged length asks for no more memory. */
export const MAX_COMPRESSION_BYTES = 1 << 30

/** An algorithm and how hard it tries. */
export interface Compression {
  readonly name: CompressionName
  /** `undefined` for `none` and `lz4`, which have none, and for the algorithm's default. */
  readonly level: number | undefined
}

interface Levels {
  readonly min: number
  readonly max: number
  readonly default: number
}

/** As the algorithms number their own levels. zstd's fast ones end where they stop paying: -5 is 0.48 at 576 MB/s. */
const LEVELS: Record<CompressionName, Levels | undefined> = {
  none: undefined,
  lz4: undefined,
  zstd: { min: -7, max: 22, default: DEFAULT_ZSTD_LEVEL },
  zlib: { min: 0, max: 9, default: 6 },
  lzma: { min: 0, max: 9, default: 6 },
}

const CHOICES = 'none, lz4, zstd[,-7…22], zlib[,0…9] or lzma[,0…9]'

/** What other programs call it. */
const SYNONYMS = new Map([
  ['off', 'none'],
  ['no', 'none'],
  ['store', 'none'],
  ['lz4hc', 'lz4'],
  ['auto', 'zstd'],
  ['zst', 'zstd'],
  ['zstandard', 'zstd'],
  ['max', 'zstd,19'],
  ['gzip', 'zlib'],
  ['gz', 'zlib'],
  ['deflate', 'zlib'],
  ['xz', 'lzma'],
  ['lzma2', 'lzma'],
])

/**
 * The compression meant by `none`, `lz4`, `zstd`, `zlib` or `lzma`, the last three optionally with a level, as in `zstd,9`
 * (Borg's notation). A level left out becomes the default. Borg's `auto,` in front changes nothing: what does not compress is
 * stored as it is anyway.
 *
 * `lzma` takes all levels that Borg takes, and all give what `xz -6` gives: its encoder has no other strength.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for anything else
 */
export function parseCompression(text: string): Compression {
  const [, word = '', levelText] = /^(?:auto,(?!none))?([a-z0-9]+)(?:,(-?\d{1,3}))?$/.exec(text) ?? []
  if (!isName(word)) {
    const guess = /^[a-z0-9]*/.exec(text.trim().toLowerCase())?.[0] ?? ''
    const meant = SYNONYMS.get(guess) ?? (isName(guess) ? guess : undefined)
    throw invalid(text, meant ? `did you mean ${meant}? The choices are ${CHOICES}` : `want ${CHOICES}`)
  }
  const levels = LEVELS[word]
  if (levelText === undefined) return { name: word, level: levels?.default }
  if (!levels) throw invalid(text, `${word} has no levels`)
  const level = Number(levelText)
  if (level < levels.min || level > levels.max || (word === 'zstd' && level === 0)) {
    const exception = word === 'zstd' ? ' except 0' : ''
    throw invalid(text, `want a level from ${levels.min} to ${levels.max}${exception}`)
  }
  return { name: word, level }
}

/** The text that `parseCompression` reads. */
export function formatCompression(compression: Compression): string {
  return compression.level === undefined ? compression.name : `${compression.name},${compression.level}`
}

/**
 * Compresses `data`; the result may be longer than `data` when it does not compress, and a view of a larger buffer.
 * `none` gives `data` itself. Deterministic for one version of the libraries.
 *
 * @throws {RangeError} when `data` is larger than `MAX_COMPRESSION_BYTES`
 */
export function compress(compression: Compression, data: Uint8Array): Uint8Array {
  if (data.length > MAX_COMPRESSION_BYTES) throw new RangeError(`${data.length} bytes are too many to compress at once`)
  const level = compression.level ?? LEVELS[compression.name]?.default ?? 0
  return CODECS[compression.name].compress(data, level)
}

/**
 * Gives back what `compress` was given, from the algorithm's code and the length that the content had. The result may
 * share memory with `data` (with `none` it is `data`). Damaged or hostile data costs little more than `rawLength` bytes of
 * memory, whatever it claims to contain. Not every damage is noticed: that is the task of the tag around it.
 *
 * @throws {CairnError} `FORMAT_UNSUPPORTED` when the code is unknown
 * @throws {CairnError} `DATA_CORRUPT` unless all of `data` makes exactly `rawLength` bytes
 */
export function decompress(code: number, data: Uint8Array, rawLength: number): Uint8Array {
  const name = NAMES.get(code)
  if (name === undefined) {
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      `Cannot decompress: compression ${code} is unknown, a newer version wrote it`,
    )
  }
  const corrupt = (found: string, cause?: unknown): CairnError =>
    new CairnError('DATA_CORRUPT', `Cannot decompress ${data.length} bytes of ${name} data: ${found}`, { cause })
  if (!Number.isSafeInteger(rawLength) || rawLength < 0 || rawLength > MAX_COMPRESSION_BYTES) {
    throw corrupt(`${rawLength} is no possible length of its content`)
  }
  let raw: Uint8Array
  try {
    raw = CODECS[name].decompress(data, rawLength)
  } catch (error) {
    if (error instanceof CairnError) throw error
    throw corrupt(error instanceof Error ? error.message : String(error), error)
  }
  if (raw.length !== rawLength) throw corrupt(`${raw.length} bytes came out, ${rawLength} were wanted`)
  return raw
}

interface Codec {
  compress(data: Uint8Array, level: number): Uint8Array
  decompress(data: Uint8Array, rawLength: number): Uint8Array
}

const CODECS: Record<CompressionName, Codec> = {
  none: { compress: (data) => data, decompress: (data) => data },
  lz4: { compress: compressLz4, decompress: decompressLz4 },
  zstd: { compress: compressZstd, decompress: decompressZstd },
  zlib: { compress: compressZlib, decompress: decompressZlib },
  lzma: { compress: compressLzma, decompress: decompressLzma },
}

const NAMES = new Map<number, CompressionName>(
  Object.keys(COMPRESSION_CODES)
    .filter(isName)
    .map((name) => [COMPRESSION_CODES[name], name]),
)

function isName(word: string): word is CompressionName {
  return Object.hasOwn(COMPRESSION_CODES, word)
}

function invalid(text: string, hint: string): CairnError {
  return new CairnError('INVALID_ARGUMENT', `Cannot use the compression '${text}': ${hint}`)
}
