import { errnoOf } from '../base/errors.ts'
import { describeSystemError } from '../platform/files.ts'

/** What an entry may have to do without where the system does not allow it, or cannot keep it. */
export type LossKind = 'owner' | 'setid' | 'mode' | 'xattr' | 'acl' | 'times' | 'flags' | 'device' | 'link'

/** Losses of one kind and reason, counted, with the first that was met: a plain record, to be sent between threads. */
export interface Loss {
  readonly kind: LossKind
  readonly code: string
  readonly message: string
  readonly first: string
  count: number
}

const WORDS: Readonly<Record<LossKind, string>> = {
  owner: 'its owner cannot be set',
  setid: 'setuid and setgid are left out, as its owner could not be set',
  mode: 'its permissions cannot be set',
  xattr: 'an extended attribute cannot be set',
  acl: 'its access control list cannot be set',
  times: 'its times cannot be set',
  flags: 'its flags cannot be set',
  device: 'it cannot be made',
  link: 'it is restored as a file of its own',
}

/** Errors of the target that every other entry would meet as well: going on would only repeat them. */
const FATAL = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'])

export function isFatal(code: string): boolean {
  return FATAL.has(code)
}

/** Collects what could not be set, so that a million files of other owners make one warning and not a million. */
export class Losses {
  readonly #losses = new Map<string, Loss>()

  /** `path` is only called for the first of its kind. @throws `error` itself when it is no system error, or a fatal one */
  add(kind: LossKind, error: unknown, path: () => string): void {
    const code = errnoOf(error)
    // An attribute that does not fit into its file's block fails with ENOSPC on a disk that has room.
    if (code === undefined || (isFatal(code) && kind !== 'xattr' && kind !== 'acl')) throw error
    this.count(kind, code, describeSystemError(error), path)
  }

  count(kind: LossKind, code: string, message: string, path: () => string, count = 1): void {
    const key = `${kind} ${code}`
    const loss = this.#losses.get(key)
    if (loss) loss.count += count
    else this.#losses.set(key, { kind, code, message, first: path(), count })
  }

  merge(losses: readonly Loss[]): void {
    for (const { kind, code, message, first, count } of losses) this.count(kind, code, message, () => first, count)
  }

  /** What was collected since the last call. */
  take(): Loss[] {
    const all = [...this.#losses.values()]
    this.#losses.clear()
    return all
  }
}

/** `its owner cannot be set: operation not permitted; the same for 1233 other entries`. */
export function describeLoss({ kind, message, count }: Loss): string {
  const reason = message === '' ? '' : `: ${message}`
  const others = count === 1 ? '' : `; the same for ${count - 1} other ${count === 2 ? 'entry' : 'entries'}`
  return `${WORDS[kind]}${reason}${others}`
}
