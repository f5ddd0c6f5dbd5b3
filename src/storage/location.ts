import { join } from 'node:path'
import { CairnError } from '../base/errors.ts'
import { homeFolder } from '../platform/home-folder.ts'
import { parseRemoteLocation } from './remote-location.ts'
import { type SshOptions, openSshStorage } from './remote/ssh.ts'
import { LocalStorage } from './local/local-storage.ts'
import { SftpStorage } from './sftp/sftp-storage.ts'
import type { Storage } from './storage.ts'

export type { SshOptions }

/** What a user means by `REPO::NAME`, `REPO` or `::NAME`. */
export interface Location {
  /** For `openStorage`; empty when the repository is to be taken from the environment. */
  readonly repository: string
  readonly snapshot: string | undefined
}

// The beginning of a location that may hold `::`: an IPv6 host in brackets, in a URL or before `:path`.
const HOST = String.raw`(?:[a-z][a-z0-9+.-]*:\/\/(?:[^@:/]+@)?\[[0-9a-f:.]+\]|(?:[^@:/]+@)?\[[0-9a-f:.]+\]:(?!:|\/\/|$))`

const LOCATION = new RegExp(String.raw`^(${HOST}?(?:[^:]|:(?!:))*)(?:::([^/]+))?$`, 'is')

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i

/**
 * Splits what a user wrote as Borg does (`Location` in its `helpers/parseformat.py`): the repository ends at the first `::`,
 * so the name may hold colons (`repo::data-2022-10-04T13:23:07`, even `::`) but no `/`. An empty text and `::NAME` leave the
 * repository to the environment. A path that holds `::` can only be given on its own, to `openStorage`.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
export function parseLocation(text: string): Location {
  if (text === '::') return { repository: '', snapshot: undefined }
  const match = LOCATION.exec(text)
  if (!match || /^:(?!:)/.test(text)) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot read the location '${text}': want REPOSITORY or REPOSITORY::NAME, the name not empty and without /`,
    )
  }
  return { repository: match[1] ?? '', snapshot: match[2] }
}

export interface OpenStorageOptions extends SshOptions {
  /** Makes the storage, in a new or empty folder, instead of opening an existing one. */
  readonly create?: boolean | undefined
  /** With `create`: names at the top of an existing folder that are no obstacle, such as those of a repository. */
  readonly mayContain?: readonly string[] | undefined
  /** With `create`: makes the folders above that are missing; on this machine only. */
  readonly makeParents?: boolean | undefined
}

/**
 * Opens the storage at a repository's location: a path, `~/…`, `file:///…`, or one on another machine (`parseRemoteLocation`). The
 * caller closes it.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a location that this version cannot open, or where none can be created
 * @throws {CairnError} `REPOSITORY_NOT_FOUND` | `STORAGE_FULL` | `STORAGE_DENIED` | `STORAGE_UNAVAILABLE`
 */
export async function openStorage(repository: string, options: OpenStorageOptions = {}): Promise<Storage> {
  const remote = parseRemoteLocation(repository)
  if (remote) {
    const { create = false, mayContain = [] } = options
    const request = { ...options, create, mayContain }
    if (remote.scheme === 'sftp') return SftpStorage.open(repository, remote, request)
    return openSshStorage(repository, remote, request)
  }
  const path = localPath(repository)
  return options.create ? LocalStorage.create(path, options) : LocalStorage.open(path)
}

function localPath(repository: string): string {
  if (repository === '') throw new CairnError('INVALID_ARGUMENT', 'Cannot open a repository: its location is empty')
  const scheme = SCHEME.exec(repository)?.[1]?.toLowerCase()
  if (scheme === 'file') return filePath(repository)
  if (scheme !== undefined) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      // Not the whole location: it may hold a password.
      `Cannot open ${scheme}:// locations: want a folder, user@host:path, ssh:// or sftp://`,
    )
  }
  if (!repository.startsWith('~')) return repository
  const home = repository === '~' || repository.startsWith('~/') ? homeFolder() : undefined
  if (home !== undefined) return join(home, repository.slice(1))
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot open the repository at ${repository}: want the full path in place of ${repository.split('/')[0]}`,
  )
}

function filePath(url: string): string {
  const path = /^file:\/\/(?:localhost)?(\/.*)$/is.exec(url)?.[1]
  if (path !== undefined) return path
  throw new CairnError('INVALID_ARGUMENT', `Cannot open the repository at ${url}: want file:/// and a full path`)
}
