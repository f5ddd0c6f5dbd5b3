import { CairnError } from '../base/errors.ts'

/** A repository on another machine. */
export interface RemoteLocation {
  readonly scheme: 'ssh' | 'sftp'
  readonly user: string | undefined
  /** A name, an alias of `~/.ssh/config` or an address; IPv6 without brackets. */
  readonly host: string
  readonly port: number | undefined
  /** On that machine: absolute, or below the user's home folder. */
  readonly path: string
}

const URL_SYNTAX = /^(ssh|sftp):\/\/(?:([^@/]+)@)?(?:\[([0-9a-f:.]+)\]|([^:/[\]@]+))(?::(\d+))?(\/.*)$/is

// user@host:path; nothing with a slash before the colon, so `./host:path` is a local folder. `sftp:` before it is restic's.
const SCP_SYNTAX = /^(sftp:)?(?:([^@:/]+)@)?(?:\[([0-9a-f:.]+)\]|([^[:/][^:/]*(?<!\]))):(?!\/\/)(.+)$/is

/**
 * Takes a location on another machine apart, as Borg writes it: `user@host:path`, `ssh://user@host:port/path` where the path is
 * absolute, and `/./path` or `/~/path` for one below the home folder; the same with `sftp://`, and restic's `sftp:user@host:path`.
 * `undefined` when it is none.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for one that cannot be used; the message does not repeat a password
 */
export function parseRemoteLocation(text: string): RemoteLocation | undefined {
  const scheme = /^(ssh|sftp):\/\//i.exec(text)?.[1]?.toLowerCase()
  const location = scheme === undefined ? fromScp(text) : fromUrl(text, scheme as 'ssh' | 'sftp')
  if (!location) return undefined
  const { user, host } = location
  // ssh would take them for options.
  for (const part of [user, host])
    if (part?.startsWith('-')) throw invalid(`${location.scheme}: '${part}' cannot be the name of a user or host`)
  return location
}

function fromUrl(text: string, scheme: 'ssh' | 'sftp'): RemoteLocation {
  const match = URL_SYNTAX.exec(text)
  if (!match) throw invalid(`a location with ${scheme}://; want ${scheme}://user@host:port/path`)
  const [, , user, address, name, port, path = ''] = match
  if (user?.includes(':'))
    throw invalid(`a location with a password in it: leave it out, and use a key of ssh, or let ssh ask for it`)
  return {
    scheme,
    user,
    host: address ?? name ?? '',
    port: port === undefined ? undefined : Number(port),
    path: path.replace(/^\/(\.\/|~)/, (_, home: string) => (home === '~' ? '~' : '')) || '.',
  }
}

function fromScp(text: string): RemoteLocation | undefined {
  const match = SCP_SYNTAX.exec(text)
  if (!match) return undefined
  const [, prefix, user, address, name, path = ''] = match
  return {
    scheme: prefix === undefined ? 'ssh' : 'sftp',
    user,
    host: address ?? name ?? '',
    port: undefined,
    path,
  }
}

/** The words of `ssh` that say where to. */
export function sshDestination({ user, host, port }: RemoteLocation): string[] {
  const destination = user === undefined ? host : `${user}@${host}`
  return [...(port === undefined ? [] : ['-p', String(port)]), destination]
}

function invalid(what: string): CairnError {
  return new CairnError('INVALID_ARGUMENT', `Cannot open ${what}`)
}
