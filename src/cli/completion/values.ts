import type { Argument, Option } from 'commander'

/** What shells complete themselves. */
export type FileKind = 'files' | 'folders' | 'nothing'

/** What the value of an option or an argument may be. */
export interface ValueKind {
  /** Words to choose from. */
  readonly words?: readonly string[]
  /** Several, with commas between them. */
  readonly isList?: boolean
  /** `REPO::SNAPSHOT`, or a snapshot. */
  readonly isSnapshot?: boolean
  /** With `isSnapshot`: or a repository. */
  readonly orRepository?: boolean
  /** The name of a command. */
  readonly isCommand?: boolean
  /** Where none of these fits. */
  readonly otherwise?: FileKind
}

const FILES: ValueKind = { otherwise: 'files' }
const FOLDERS: ValueKind = { otherwise: 'folders' }
const SNAPSHOT: ValueKind = { isSnapshot: true }

/** By what help calls the value. */
const KINDS: Readonly<Record<string, ValueKind>> = {
  FILE: FILES,
  PATH: FILES,
  PATHS: FILES,
  PATTERN: FILES,
  PROGRAM: FILES,
  DIR: FOLDERS,
  REPO: FOLDERS,
  'REPO[::SNAPSHOT]': { isSnapshot: true, orRepository: true },
  SNAPSHOT,
  SNAPSHOTS: SNAPSHOT,
  A: SNAPSHOT,
  B: SNAPSHOT,
  COMMAND: { isCommand: true },
  MODE: { words: ['repokey', 'keyfile', 'none'] },
  ALGORITHM: { words: ['none', 'lz4', 'zstd', 'zlib', 'lzma'] },
  SETTING: { words: ['additional_free_space', 'storage_quota', 'append_only', 'version', 'id'] },
  KEYS: { words: ['timestamp', 'name', 'id'], isList: true },
  FIELDS: { words: ['host', 'paths', 'tags'], isList: true },
  OPTIONS: { words: ['allow_other', 'ignore_permissions', 'uid=', 'gid=', 'umask='], isList: true },
}

/** What a value may be that help calls `name` and that has these choices. */
export function kindOfValue(name: string, choices: readonly string[] | undefined): ValueKind {
  if (choices) return { words: choices }
  return Object.hasOwn(KINDS, name) ? (KINDS[name] as ValueKind) : {}
}

export function kindOfOption(option: Option): ValueKind {
  const [, name = ''] = /[<[](.+)[>\]]$/.exec(option.flags) ?? []
  return kindOfValue(name, option.argChoices)
}

export function kindOfArgument(argument: Argument): ValueKind {
  return kindOfValue(argument.name(), argument.argChoices)
}
