import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'

/** What to leave out of a digest. */
export interface DigestOptions {
  /** Owner and group: only root can restore them. */
  readonly withoutOwners?: boolean
}

/**
 * Everything a restore must bring back, one line for every entry at or below `root`: raw path, type, mode, owner, mtime in ns,
 * link target, device numbers, content, the other names of the same file, attributes, flags and holes. Two folders are the same
 * exactly if their digests are. Shares no code with what it checks; attributes, flags and holes are read by Python, and are left
 * out where there is none.
 */
export function digestTree(root: string | Buffer, options: DigestOptions = {}): string[] {
  const lines: string[] = []
  const top = Buffer.from(root)
  const rare = rareThings(top)
  const names = new Map<string, string[]>()
  const linked: { readonly line: number; readonly inode: string }[] = []
  const pending: Buffer[] = [Buffer.alloc(0)]
  for (let relative = pending.pop(); relative; relative = pending.pop()) {
    const path = relative.length > 0 ? Buffer.concat([top, Buffer.from('/'), relative]) : top
    const stats = lstatSync(path, { bigint: true })
    const fields = [stats.mode.toString(8), stats.mtimeNs]
    if (!options.withoutOwners) fields.push(`${stats.uid}:${stats.gid}`)
    if (stats.isSymbolicLink()) fields.push(`-> ${printable(readlinkSync(path, 'buffer'))}`)
    if (stats.isFile()) fields.push(stats.size, hashOf(path))
    if (stats.isCharacterDevice() || stats.isBlockDevice()) fields.push(`device ${stats.rdev}`)
    if (stats.nlink > 1n && !stats.isDirectory()) {
      const inode = `${stats.dev}:${stats.ino}`
      linked.push({ line: lines.length, inode })
      names.set(inode, [...(names.get(inode) ?? []), printable(relative)])
    }
    fields.push(...(rare.get(relative.toString('latin1')) ?? []))
    lines.push(`${printable(relative)} ${fields.join(' ')}`)
    if (!stats.isDirectory()) continue
    for (const name of readdirSync(path, 'buffer'))
      pending.push(relative.length > 0 ? Buffer.concat([relative, Buffer.from('/'), name]) : name)
  }
  for (const { line, inode } of linked) lines[line] += ` = ${names.get(inode)?.sort()[0]}`
  return lines.sort()
}

const READ_RARE = `
import os, sys, fcntl, struct, stat
top = bytes.fromhex(sys.argv[1])
def read(path, mode):
    fields = []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if name == 'security.selinux': continue
        fields.append('%s=%s' % (os.fsencode(name).hex(), os.getxattr(path, name, follow_symlinks=False).hex()))
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        try: fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError: return fields
        try:
            flags = struct.unpack('i', fcntl.ioctl(fd, 0x80086601, b'\\0' * 4))[0] & 0x70
            if flags: fields.append('flags=%x' % flags)
        except OSError: pass
        if stat.S_ISREG(mode):
            at, size = 0, os.fstat(fd).st_size
            while at < size:
                hole = os.lseek(fd, at, os.SEEK_HOLE)
                if hole >= size: break
                try: at = os.lseek(fd, hole, os.SEEK_DATA)
                except OSError: at = size
                fields.append('hole=%d-%d' % (hole, at))
        os.close(fd)
    return fields
def tell(path, relative, mode):
    fields = read(path, mode)
    if fields: print(relative.hex() + ' ' + ' '.join(fields))
mode = os.lstat(top).st_mode
if not stat.S_ISDIR(mode): tell(top, b'', mode)
else:
    for folder, below, others, fd in os.fwalk(top):
        relative = folder[len(top):].lstrip(b'/')
        here = b'/proc/self/fd/%d/' % fd
        tell(here + b'.', relative, stat.S_IFDIR)
        for name in below + others:
            mode = os.lstat(here + name).st_mode
            if not stat.S_ISDIR(mode): tell(here + name, relative + b'/' + name if relative else name, mode)
`

/** Attributes, flags and holes by raw path; only of entries that have some. */
function rareThings(top: Buffer): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  const { status, stdout, stderr, error } = spawnSync('python3', ['-I', '-S', '-c', READ_RARE, top.toString('hex')], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (error) return found
  if (status !== 0) throw new Error(stderr)
  for (const line of stdout.split('\n').filter(Boolean)) {
    const [path = '', ...fields] = line.split(' ')
    found.set(Buffer.from(path, 'hex').toString('latin1'), fields)
  }
  return found
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
