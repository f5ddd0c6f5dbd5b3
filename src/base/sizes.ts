import { CairnError } from './errors.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const

/** Human text of a size in bytes with binary units: `0 B`, `1.50 KiB`, `12.0 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  if (unit === 0) return `${value} B`
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** Exact text of a size in bytes that `parseBytes` reads: `2G`, `1536M`, `1000`. */
export function formatExactBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value !== 0 && value % 1024 === 0 && unit < 6) {
    value /= 1024
    unit++
  }
  return `${value}${['', 'K', 'M', 'G', 'T', 'P', 'E'][unit]}`
}

/**
 * Bytes meant by text like `4096`, `512K`, `64MiB` or `2g`; all units are binary, as in Borg and restic.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for anything else
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtpe]?)(?:i?b)?$/i.exec(text.trim())
  const bytes = match ? Number(match[1]) * 1024 ** ' kmgtpe'.indexOf((match[2] || ' ').toLowerCase()) : Number.NaN
  if (!Number.isSafeInteger(Math.round(bytes))) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot read the size '${text}': want a number with K, M, G or T, like 64M`,
    )
  }
  return Math.round(bytes)
}
