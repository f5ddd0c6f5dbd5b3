import { closeSync, constants, lstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { toSystemPath } from '../base/raw-name.ts'
import { O_PATH } from './long-path.ts'
import { systemError } from './system-error.ts'

/** Directories kept open at most; of deeper chains, every second one is closed and opened again when it is needed. */
const MAX_OPEN = 96
/** The deepest ones stay open: the next step goes up or down from there. */
const KEPT_OPEN = 16

interface Level {
  readonly name: string
  fd: number | undefined
}

/**
 * Directories below one root, opened step by step without ever following a symlink. Between opening a directory and acting in
 * it, somebody who may write there can put a symlink in the place of any name on the way; a path would follow it, a descriptor
 * does not. So every call on what lies in the directory goes through `/proc/self/fd`, and so paths have no length limit either.
 *
 * Where there is no `/proc`, what it gives are plain paths, each part of which was looked at before: that stops symlinks that are
 * there already, not those that come at the wrong moment.
 *
 * One per thread; threads share descriptors, so another one can work below the same `root`.
 */
export class OpenFolders {
  /** What to give to another thread's `new OpenFolders`; good until this one is closed. */
  readonly root: string
  readonly #viaProc: boolean
  readonly #rootFd: number | undefined
  readonly #levels: Level[] = []
  #open = 0
  #path = ''
  #here: string

  /** @param root of another instance, which stays open meanwhile; `open` makes the first one */
  constructor(root: string, rootFd?: number) {
    this.root = root
    this.#here = root
    this.#rootFd = rootFd
    this.#viaProc = root.startsWith(PROC)
  }

  /** Opens the root itself, in whose path symlinks are followed. Throws the system error when it is no directory. */
  static open(path: string): OpenFolders {
    const systemPath = toSystemPath(path)
    if (!statSync(systemPath).isDirectory()) throw systemError('ENOTDIR', 'open', path)
    if (process.platform !== 'linux') return new OpenFolders(path)
    const fd = openSync(systemPath, O_PATH | constants.O_DIRECTORY)
    if (isThere(`${PROC}${fd}/.`)) return new OpenFolders(`${PROC}${fd}`, fd)
    closeSync(fd)
    return new OpenFolders(path)
  }

  /**
   * The path to use for the directory at `path` (below the root, without `/` at either end; `''` is the root): append `/` and a
   * name, or `/.` for the directory itself. Good until the next call. Throws the system error when a part is missing
   * (`ENOENT`) or is no directory, be it a symlink to one (`ENOTDIR`); what was opened before stays usable.
   */
  enter(path: string): string {
    if (path === this.#path) return this.#here
    const names = path === '' ? [] : path.split('/')
    let depth = 0
    while (depth < names.length && this.#levels[depth]?.name === names[depth]) depth++
    this.#closeFrom(depth)
    this.#path = names.slice(0, depth).join('/')
    this.#here = this.#reach(depth)
    for (; depth < names.length; depth++) {
      const name = names[depth] as string
      const at = `${this.#here}/${name}`
      this.#levels.push({ name, fd: this.#openLevel(at) })
      this.#path = this.#path === '' && depth === 0 ? name : `${this.#path}/${name}`
      this.#here = this.#prefix(depth + 1) ?? at
      if (this.#open > MAX_OPEN) this.#thin()
    }
    return this.#here
  }

  /** Which mount the directory entered last lies on, as far as can be told: differs across mount points. */
  mount(): string {
    const fd = this.#levels.length === 0 ? this.#rootFd : this.#levels.at(-1)?.fd
    const info = fd === undefined ? '' : readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
    return /^mnt_id:\s*(\d+)/m.exec(info)?.[1] ?? String(lstatSync(toSystemPath(`${this.#here}/.`)).dev)
  }

  /** Closes what lies at or below `path`: for one that was removed, moved or replaced. */
  forget(path: string): void {
    const names = path.split('/')
    if (names.some((name, i) => this.#levels[i]?.name !== name)) return
    this.#closeFrom(names.length - 1)
    this.#path = names.slice(0, -1).join('/')
    this.#here = this.#reach(names.length - 1)
  }

  close(): void {
    this.#closeFrom(0)
    if (this.#rootFd !== undefined) closeSync(this.#rootFd)
  }

  /** Makes sure that the first `depth` levels can be acted in; some of them may have been closed by `thin`. */
  #reach(depth: number): string {
    let open = depth
    while (open > 0 && this.#viaProc && this.#levels[open - 1]?.fd === undefined) open--
    let here = this.#prefix(open)
    for (; open < depth; open++) {
      const level = this.#levels[open] as Level
      level.fd = this.#openLevel(`${here}/${level.name}`)
      here = this.#prefix(open + 1)
    }
    if (this.#open > MAX_OPEN) this.#thin()
    return here
  }

  #prefix(depth: number): string {
    if (depth === 0) return this.root
    if (!this.#viaProc) return [this.root, ...this.#levels.slice(0, depth).map(({ name }) => name)].join('/')
    return `${PROC}${this.#levels[depth - 1]?.fd}`
  }

  #openLevel(at: string): number | undefined {
    const systemPath = toSystemPath(at)
    if (!this.#viaProc) {
      if (!lstatSync(systemPath).isDirectory()) throw systemError('ENOTDIR', 'open', at)
      return undefined
    }
    const fd = openSync(systemPath, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    this.#open++
    return fd
  }

  #closeFrom(depth: number): void {
    for (const level of this.#levels.splice(depth)) this.#closeLevel(level)
  }

  #closeLevel(level: Level): void {
    if (level.fd === undefined) return
    closeSync(level.fd)
    level.fd = undefined
    this.#open--
  }

  #thin(): void {
    const candidates = this.#levels.slice(0, -KEPT_OPEN).filter(({ fd }) => fd !== undefined)
    for (const [i, level] of candidates.entries()) if (i % 2 === 1) this.#closeLevel(level)
  }
}

const PROC = '/proc/self/fd/'

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
