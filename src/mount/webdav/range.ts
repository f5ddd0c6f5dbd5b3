/** Bytes of a file that a request wants. */
export interface WantedRange {
  readonly start: number
  /** Behind the last one. */
  readonly end: number
}

/**
 * What a `Range` header asks for: the bytes, `'none'` when the file has none of them, `undefined` for the whole file, which is also
 * the answer to several ranges and to what makes no sense (RFC 9110, 14.2).
 */
export function parseRange(header: string | undefined, sizeBytes: number): WantedRange | 'none' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '')
    return last === '0' || sizeBytes === 0 ? 'none' : { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= sizeBytes) return 'none'
  return { start, end: last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1) }
}
