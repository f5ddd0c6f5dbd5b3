import { CairnError } from '../base/errors.ts'
import { parseBytes } from '../base/sizes.ts'

/** Content-defined chunks: a byte inserted anywhere changes only the chunks around it. For everything but block devices. */
export interface FastCdcParams {
  readonly algorithm: 'fastcdc'
  /** Smallest chunk, except the last of a file. At least 64 bytes, less than the mean. */
  readonly minBytes: number
  /** Where the search becomes easier; a power of two, 4 KiB to 16 MiB. Random data gives chunks of about 1.14 times this. */
  readonly meanBytes: number
  /** Largest chunk. More than the mean, at most 32 MiB. */
  readonly maxBytes: number
}

/** Chunks of equal length: for disk images and databases, which change in place and never shift. */
export interface FixedParams {
  readonly algorithm: 'fixed'
  /** Length of every chunk but the last of a file; 4 KiB to 32 MiB. */
  readonly blockBytes: number
}

/** How a repository cuts files into chunks; chosen at `init`, never changed: other cut points deduplicate nothing. */
export type ChunkerParams = FastCdcParams | FixedParams

/** Mean of 1 MiB as restic (doc/design.rst); the bounds as FastCDC's paper suggests, a quarter and four times of it. */
export const DEFAULT_CHUNKER_PARAMS: FastCdcParams = {
  algorithm: 'fastcdc',
  minBytes: 256 * 1024,
  meanBytes: 1024 * 1024,
  maxBytes: 4096 * 1024,
}

/** Largest chunk that any parameters allow: bounds the buffers of everyone who handles chunks. */
export const MAX_CHUNK_BYTES = 32 * 1024 * 1024

const MIN_CHUNK_BYTES = 64 // twice the window of the rolling hash, so that no window begins before its chunk
const MIN_MEAN_BYTES = 4096
const MAX_MEAN_BYTES = 16 * 1024 * 1024

/**
 * Parameters meant by the text of `--chunker-params`: `fastcdc,MIN,MEAN,MAX` or `fixed,SIZE`, sizes as in `parseBytes`.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for anything else and for sizes out of bounds
 */
export function parseChunkerParams(text: string): ChunkerParams {
  const [algorithm, ...sizes] = text.split(',').map((part) => part.trim())
  let params: ChunkerParams
  if (algorithm === 'fastcdc' && sizes.length === 3) {
    const [minBytes = 0, meanBytes = 0, maxBytes = 0] = sizes.map(parseBytes)
    params = { algorithm, minBytes, meanBytes, maxBytes }
  } else if (algorithm === 'fixed' && sizes.length === 1) {
    params = { algorithm, blockBytes: parseBytes(sizes[0] ?? '') }
  } else {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot read the chunker parameters '${text}': want fastcdc,MIN,MEAN,MAX (like fastcdc,256K,1M,4M) or fixed,SIZE (like fixed,4M)`,
    )
  }
  const problem = findProblem(params)
  if (problem) throw new CairnError('INVALID_ARGUMENT', `Cannot use the chunker parameters '${text}': ${problem}`)
  return params
}

/** Text that `parseChunkerParams` reads back as the same parameters. */
export function formatChunkerParams(params: ChunkerParams): string {
  if (params.algorithm === 'fixed') return `fixed,${formatSize(params.blockBytes)}`
  return ['fastcdc', ...[params.minBytes, params.meanBytes, params.maxBytes].map(formatSize)].join(',')
}

/**
 * Checks parameters read from a repository before memory is reserved by them. Fields that are not known are dropped.
 *
 * @throws {CairnError} `DATA_CORRUPT` when they are not parameters that `parseChunkerParams` could have given
 */
export function validateChunkerParams(value: unknown): ChunkerParams {
  const found = (typeof value === 'object' && value !== null ? value : {}) as RawParams
  const problem = findProblem(found)
  if (problem) throw new CairnError('DATA_CORRUPT', `Cannot use the chunker parameters of the repository: ${problem}`)
  const params = found as ChunkerParams
  if (params.algorithm === 'fixed') return { algorithm: 'fixed', blockBytes: params.blockBytes }
  const { minBytes, meanBytes, maxBytes } = params
  return { algorithm: 'fastcdc', minBytes, meanBytes, maxBytes }
}

/** Parameters before the check: any field may be missing or of any type. */
type RawParams = { readonly [K in keyof FastCdcParams | keyof FixedParams]?: unknown }

/** What is wrong with the parameters, as the end of a sentence. */
function findProblem({ algorithm, blockBytes, minBytes, meanBytes, maxBytes }: RawParams): string | undefined {
  if (algorithm === 'fixed') {
    if (isWithin(blockBytes, MIN_MEAN_BYTES, MAX_CHUNK_BYTES)) return undefined
    return `the block size is ${String(blockBytes)}, want 4K to 32M`
  }
  if (algorithm !== 'fastcdc') return `the algorithm is '${String(algorithm)}', want fastcdc or fixed`
  if (!isWithin(meanBytes, MIN_MEAN_BYTES, MAX_MEAN_BYTES) || !Number.isInteger(Math.log2(meanBytes)))
    return `the mean is ${String(meanBytes)}, want a power of two from 4K to 16M`
  if (!isWithin(minBytes, MIN_CHUNK_BYTES, meanBytes - 1))
    return `the minimum is ${String(minBytes)}, want at least ${MIN_CHUNK_BYTES} and less than the mean`
  if (!isWithin(maxBytes, meanBytes + 1, MAX_CHUNK_BYTES))
    return `the maximum is ${String(maxBytes)}, want more than the mean and at most 32M`
  return undefined
}

function isWithin(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}

function formatSize(bytes: number): string {
  if (bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}M`
  return bytes % 1024 === 0 ? `${bytes / 1024}K` : `${bytes}`
}
