import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'

/** What to leave out of a digest. */
export interface DigestOptions {
  /** Owner and group: only root can restore them. */
  readonly withoutOwners?: boolean
}

/**
 * Everything a restore must bring back, one line for every entry at or below `root`: raw path, type, mode, owner, mtime in ns,
 * link target, content. Two folders are the same exactly if their digests are. Shares no code with what it checks.
 */
export function digestTree(root: string | Buffer, options: DigestOptions = {}): string[] {
  const lines: string[] = []
  const top = Buffer.from(root)
  const pending: Buffer[] = [Buffer.alloc(0)]
  for (let relative = pending.pop(); relative; relative = pending.pop()) {
    const path = relative.length > 0 ? Buffer.concat([top, Buffer.from('/'), relative]) : top
    const stats = lstatSync(path, { bigint: true })
    const fields = [stats.mode.toString(8), stats.mtimeNs]
    if (!options.withoutOwners) fields.push(`${stats.uid}:${stats.gid}`)
    if (stats.isSymbolicLink()) fields.push(`-> ${printable(readlinkSync(path, 'buffer'))}`)
    if (stats.isFile()) fields.push(stats.size, hashOf(path))
    lines.push(`${printable(relative)} ${fields.join(' ')}`)
    if (!stats.isDirectory()) continue
    for (const name of readdirSync(path, 'buffer'))
      pending.push(relative.length > 0 ? Buffer.concat([relative, Buffer.from('/'), name]) : name)
  }
  return lines.sort()
}

/** Bytes as text that differs wherever the bytes do. */
function printable(bytes: Uint8Array): string {
  return JSON.stringify(Buffer.from(bytes).toString('latin1'))
}

const buffer = Buffer.allocUnsafe(1 << 20)

function hashOf(path: Buffer): string {
  const hash = createHash('sha256')
  const fd = openSync(path, 'r')
  try {
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
      hash.update(buffer.subarray(0, count))
  } finally {
    closeSync(fd)
  }
  return hash.digest('base64')
}
