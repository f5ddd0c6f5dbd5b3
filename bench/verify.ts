/** Compares what a tool restored with the source: a restore that is fast and wrong must not count. */
import { closeSync, existsSync, lstatSync, openSync, readSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import path from 'node:path'
import { toBytePath, toSystemPath } from './data.ts'

/**
 * The first difference as text, or `undefined` when everything is there: names, types, permission bits, modification times to
 * the second (all that tar keeps), link targets, contents. What this user may not read at the source is passed over.
 *
 * @param target where the tool restored to; it may have put the path there whole (`usr/share`) or by its last name (`share`)
 */
export function findDifference(source: string, target: string): string | undefined {
  const restored = [path.join(target, source), path.join(target, path.basename(source))].find((place) =>
    existsSync(place),
  )
  if (restored === undefined) return `${source} is missing`
  return compare(toBytePath(source), toBytePath(restored))
}

function compare(source: string, restored: string): string | undefined {
  const name = toSystemPath(source).toString()
  const wanted = lstatSync(toSystemPath(source))
  const found = lstatSync(toSystemPath(restored), { throwIfNoEntry: false })
  if (!found) return mayRead(source, wanted) ? `${name} is missing` : undefined
  if (typeOf(wanted) !== typeOf(found)) return `${name} is restored as a ${typeOf(found)}, not a ${typeOf(wanted)}`
  if (wanted.isSymbolicLink()) {
    return readLink(source) === readLink(restored) ? undefined : `the target of the link ${name} differs`
  }
  if ((wanted.mode & 0o777) !== (found.mode & 0o777)) return `the mode of ${name} differs`
  if (Math.floor(wanted.mtimeMs / 1000) !== Math.floor(found.mtimeMs / 1000)) return `the time of ${name} differs`
  if (!mayRead(source, wanted)) return undefined
  if (wanted.isFile()) return sameContent(source, restored) ? undefined : `the content of ${name} differs`
  return wanted.isDirectory() ? compareFolders(source, restored) : undefined
}

function compareFolders(source: string, restored: string): string | undefined {
  const wanted = new Set(readFolder(source))
  const extra = readFolder(restored).find((name) => !wanted.has(name))
  if (extra !== undefined) return `${toSystemPath(path.join(source, extra)).toString()} is not at the source`
  for (const name of wanted) {
    const difference = compare(path.join(source, name), path.join(restored, name))
    if (difference !== undefined) return difference
  }
  return undefined
}

const first = Buffer.allocUnsafe(1 << 20)
const second = Buffer.allocUnsafe(1 << 20)

function sameContent(a: string, b: string): boolean {
  const fdA = openSync(toSystemPath(a), 'r')
  const fdB = openSync(toSystemPath(b), 'r')
  try {
    for (;;) {
      const lengthA = readSync(fdA, first)
      const lengthB = readSync(fdB, second)
      if (lengthA !== lengthB || first.compare(second, 0, lengthB, 0, lengthA) !== 0) return false
      if (lengthA === 0) return true
    }
  } finally {
    closeSync(fdA)
    closeSync(fdB)
  }
}

function mayRead(file: string, stats: Stats): boolean {
  if (!stats.isFile() && !stats.isDirectory()) return true
  try {
    closeSync(openSync(toSystemPath(file), 'r'))
    return true
  } catch {
    return false
  }
}

function typeOf(stats: Stats): string {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'folder'
  return stats.isSymbolicLink() ? 'link' : 'special file'
}

const readFolder = (folder: string): string[] => readdirSync(toSystemPath(folder), 'latin1')
const readLink = (link: string): string => readlinkSync(toSystemPath(link), 'latin1')
