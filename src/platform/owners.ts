import { readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'

/**
 * Names of users and groups from `/etc/passwd` and `/etc/group`, each read once. Accounts that only a directory service
 * knows have no name here: asking it takes a network round trip, and their numbers are kept in any case.
 */

/** Both directions of an account file. The first entry of a number or a name counts, as in the C library. */
export interface Accounts {
  readonly names: ReadonlyMap<number, string>
  readonly ids: ReadonlyMap<string, number>
}

export interface CurrentUser {
  readonly uid: number
  readonly gid: number
  /** The number as text when the user has no name. */
  readonly name: string
}

export function userName(uid: number): string | undefined {
  return getUsers().names.get(uid)
}

export function groupName(gid: number): string | undefined {
  return getGroups().names.get(gid)
}

export function userId(name: string): number | undefined {
  return getUsers().ids.get(name)
}

export function groupId(name: string): number | undefined {
  return getGroups().ids.get(name)
}

/** Who runs this process; both numbers -1 on systems without them. */
export function currentUser(): CurrentUser {
  const uid = process.getuid?.() ?? -1
  const gid = process.getgid?.() ?? -1
  try {
    return { uid, gid, name: userInfo().username }
  } catch {
    return { uid, gid, name: String(uid) } // usual in containers: a number without an account
  }
}

export function hostName(): string {
  return hostname()
}

let users: Accounts | undefined
let groups: Accounts | undefined

function getUsers(): Accounts {
  return (users ??= readAccounts('/etc/passwd'))
}

function getGroups(): Accounts {
  return (groups ??= readAccounts('/etc/group'))
}

/** Accounts in a file; none when it cannot be read. */
export function readAccounts(file: string): Accounts {
  try {
    return parseAccounts(readFileSync(file, 'utf8'))
  } catch {
    return parseAccounts('')
  }
}

/** Accounts in lines `name:password:number:…`; passes over comments, NIS lines (`+…`) and anything damaged. */
export function parseAccounts(text: string): Accounts {
  const names = new Map<number, string>()
  const ids = new Map<string, number>()
  for (const [, name = '', number] of text.matchAll(/^([^\s:#+-][^:\n]*):[^:\n]*:(\d{1,10})(?::.*)?$/gm)) {
    const id = Number(number)
    if (!names.has(id)) names.set(id, name)
    if (!ids.has(name)) ids.set(name, id)
  }
  return { names, ids }
}
