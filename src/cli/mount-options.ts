import { InvalidArgumentError } from 'commander'

/** What `-o` says, in the words of mount(8), fuse(8) and Borg. */
export interface FuseOptions {
  readonly allowOther?: boolean
  readonly ignorePermissions?: boolean
  readonly uid?: number
  readonly gid?: number
  readonly umask?: number
}

/** Words for what is so in any case. */
const ALWAYS = new Set(['ro', 'nosuid', 'nodev', 'default_permissions', 'noatime', 'nonempty'])

/** Reads the value of one `-o`, several options with commas between them, and adds it to those of others before. */
export function collectFuseOptions(value: string, given: FuseOptions = {}): FuseOptions {
  return value.split(',').reduce((options, text) => ({ ...options, ...parseFuseOption(text) }), given)
}

function parseFuseOption(text: string): FuseOptions {
  const [, word = '', number] = /^([a-z_]+)(?:=(\d{1,10}))?$/.exec(text.trim()) ?? []
  if (number === undefined) {
    if (text === '' || ALWAYS.has(word)) return {}
    if (word === 'allow_other') return { allowOther: true }
    if (word === 'ignore_permissions') return { ignorePermissions: true }
    if (word === 'rw') throw new InvalidArgumentError('Snapshots are never changed: a mount is read-only.')
  } else if (word === 'uid' || word === 'gid') {
    if (Number(number) < 2 ** 32 - 1) return { [word]: Number(number) }
  } else if (word === 'umask' && /^[0-7]{1,4}$/.test(number)) return { umask: Number.parseInt(number, 8) }
  throw new InvalidArgumentError(
    `'${text}' is unknown; there are allow_other, ignore_permissions, uid=N, gid=N and umask=OCTAL.`,
  )
}
