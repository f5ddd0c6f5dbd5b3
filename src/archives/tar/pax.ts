import { damagedArchive } from '../archive-error.ts'

/*
 * Extended headers of pax: records `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record in decimal. A value may hold any
 * bytes.
 */

/** Records by key; keys are text of bytes (latin1), values bytes. */
export type PaxRecords = Map<string, Buffer>

/** More of it no entry needs: a path and all attributes that a kernel takes of one file fit. */
export const MAX_PAX_BYTES = 4 << 20

/**
 * Takes over the records of one extended header; a key that comes again replaces the value, but for the two that are a list in GNU's
 * first sparse format.
 *
 * @throws {CairnError} `ARCHIVE_CORRUPT` when lengths do not add up
 */
export function decodePax(
  bytes: Buffer,
  position: number,
  records: PaxRecords,
  onMapPart: (value: Buffer) => void,
): void {
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at)
    const digits = blank < 0 ? '' : bytes.toString('latin1', at, blank)
    const length = /^\d{1,8}$/.test(digits) ? Number(digits) : 0
    const end = at + length
    const equals = bytes.indexOf(0x3d, blank)
    if (length === 0 || end > bytes.length || bytes[end - 1] !== 0x0a || equals < 0 || equals >= end)
      throw damagedArchive(`the extended header at byte ${position} has a record that is none`)
    const key = bytes.toString('latin1', blank + 1, equals)
    const value = bytes.subarray(equals + 1, end - 1)
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') onMapPart(value)
    // An empty value takes the record back.
    if (value.length === 0 && !key.startsWith('SCHILY.xattr.')) records.delete(key)
    else records.set(key, Buffer.from(value))
    at = end
  }
}

export function encodePax(records: Iterable<readonly [key: string, value: Uint8Array | string]>): Buffer {
  const parts: Buffer[] = []
  for (const [key, value] of records) {
    const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), Buffer.from(value as Uint8Array), Buffer.from('\n')])
    let length = rest.length + 1
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length
    parts.push(Buffer.from(String(length)), rest)
  }
  return Buffer.concat(parts)
}

const DECIMAL = /^(-?)(\d{1,18})(?:\.(\d*))?$/

/** A time like `-12.000000001`, in ns; further digits are left away. `undefined` for anything else. */
export function decodeTime(text: string): bigint | undefined {
  const [, sign, seconds, fraction = ''] = DECIMAL.exec(text) ?? []
  if (seconds === undefined) return undefined
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return sign ? -ns : ns
}

export function encodeTime(ns: bigint): string {
  const magnitude = ns < 0n ? -ns : ns
  const fraction = String(magnitude % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${ns < 0n ? '-' : ''}${magnitude / 1_000_000_000n}${fraction && `.${fraction}`}`
}

/** A number of a record; `undefined` when it is none that counts something. */
export function decodeCount(value: Buffer | string): number | undefined {
  const text = typeof value === 'string' ? value : value.toString('latin1')
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(number) ? number : undefined
}
