/**
 * config: what the user has set outside the command line (environment, XDG folders, later a configuration file) as
 * validated values. The only place with user-facing defaults.
 */
import path from 'node:path'
import { homeFolder } from '../platform/home-folder.ts'

/** Environment variables by name, as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The value of `CAIRN_<name>`, else of Borg's `BORG_<name>`, so that a Borg user's set-up keeps working; `undefined` when
 * neither is set to something.
 */
export function variable(env: Environment, name: string): string | undefined {
  return env[`CAIRN_${name}`] || env[`BORG_${name}`] || undefined
}

export interface Folders {
  /** Where key files of `keyfile` repositories are kept. */
  readonly keys: string
  /** Where it is remembered which repositories are encrypted. */
  readonly known: string
  /** Where what was read of repositories on other machines is kept. */
  readonly cache: string
  /** The repository of `cairn backup` when none is named anywhere. */
  readonly defaultRepository: string
}

/** Folders by the XDG Base Directory Specification 0.8: a variable that is not an absolute path counts as unset. */
export function folders(env: Environment): Folders {
  const home = env['HOME'] || homeFolder() || '/'
  const xdg = (name: string, fallback: string): string => {
    const value = env[name]
    return path.join(value && path.isAbsolute(value) ? value : path.join(home, fallback), 'cairn')
  }
  return {
    keys: variable(env, 'KEYS_DIR') ?? path.join(xdg('XDG_CONFIG_HOME', '.config'), 'keys'),
    known: path.join(xdg('XDG_CONFIG_HOME', '.config'), 'known'),
    cache: env['CAIRN_CACHE_DIR'] || xdg('XDG_CACHE_HOME', '.cache'),
    defaultRepository: path.join(xdg('XDG_DATA_HOME', '.local/share'), 'repository'),
  }
}
