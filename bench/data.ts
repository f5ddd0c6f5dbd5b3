/** The data that is backed up: real files of the machine, counted and read once, so that every tool finds them in the page cache. */
import { spawnSync } from 'node:child_process'
import { closeSync, type Dirent, existsSync, lstatSync, openSync, readSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'

export type DataName = 'small' | 'large'

export interface DataSet {
  readonly name: DataName
  /** Absolute paths, given to every tool as they are. */
  readonly paths: readonly string[]
  /** How the report calls it, without any path of the work folder. */
  readonly label: string
  /** Regular files. */
  readonly files: number
  readonly bytes: number
}

/** Default folders of the many small files. */
export const SMALL_FOLDERS = ['/usr/share', '/usr/include']
/** The first that exists is taken for `--quick`. */
export const QUICK_FOLDERS = ['/usr/include/linux', '/usr/share/doc']
const LARGE_FOLDER = '/usr/lib'

/** Counts the regular files below the folders that exist, and reads them. */
export function openSmallData(folders: readonly string[]): DataSet {
  const paths = folders.filter((folder) => existsSync(folder))
  const total = { files: 0, bytes: 0 }
  for (const folder of paths) {
    const { files, bytes } = readAll(folder)
    total.files += files
    total.bytes += bytes
  }
  return { name: 'small', paths, label: paths.map((folder) => `\`${folder}\``).join(' and '), ...total }
}

/** Writes a tar of /usr/lib, cut off at `maxBytes`, as one large file, and reads it. */
export function createLargeData(file: string, maxBytes: number): DataSet {
  // tar's complaints about files it may not read, and about the closed pipe, do not matter here.
  const script = 'tar --sort=name -C / -cf - "$1" 2>/dev/null | head -c "$2" >"$3"'
  spawnSync('/bin/sh', ['-c', script, 'sh', LARGE_FOLDER.slice(1), String(maxBytes), file], { stdio: 'inherit' })
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (bytes === 0) throw new Error(`Cannot make the large file: tar of ${LARGE_FOLDER} gave nothing`)
  readAll(file)
  const cut = bytes < maxBytes ? '' : ', cut off'
  return { name: 'large', paths: [file], label: `a tar of \`${LARGE_FOLDER}\`${cut}`, files: 1, bytes }
}

/** Sum of the sizes of all files below a folder; 0 when it does not exist. */
export function folderBytes(folder: string): number {
  if (!existsSync(folder)) return 0
  let bytes = 0
  for (const file of walk(toBytePath(folder))) bytes += lstatSync(toSystemPath(file)).size
  return bytes
}

function readAll(root: string): { files: number; bytes: number } {
  const block = Buffer.allocUnsafe(1 << 20)
  let files = 0
  let bytes = 0
  for (const file of walk(toBytePath(root))) {
    files++
    let fd: number
    try {
      fd = openSync(toSystemPath(file), 'r')
    } catch {
      continue // counted, but not readable for this user, nor for the tools
    }
    try {
      for (let n = readSync(fd, block); n > 0; n = readSync(fd, block)) bytes += n
    } finally {
      closeSync(fd)
    }
  }
  return { files, bytes }
}

/** The regular files below a path, or the path itself. */
function* walk(root: string): Generator<string> {
  if (lstatSync(toSystemPath(root)).isFile()) yield root
  else yield* walkFolder(root)
}

function* walkFolder(folder: string): Generator<string> {
  for (const entry of listFolder(folder)) {
    const child = path.join(folder, entry.name)
    if (entry.isDirectory()) yield* walkFolder(child)
    else if (entry.isFile()) yield child
  }
}

function listFolder(folder: string): Dirent[] {
  try {
    return readdirSync(toSystemPath(folder), { encoding: 'latin1', withFileTypes: true })
  } catch {
    return [] // not readable for this user, nor for the tools
  }
}

/**
 * Byte paths: names need not be UTF-8, so inside the walks every character of a path stands for one byte of it.
 */
export const toBytePath = (file: string): string => Buffer.from(file).toString('latin1')
/** What `node:fs` wants for a byte path. */
export const toSystemPath = (bytePath: string): Buffer => Buffer.from(bytePath, 'latin1')
