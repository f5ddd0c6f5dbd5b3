import { CairnError, ERROR_CODES, type ErrorCode, toCairnError } from '../../base/errors.ts'

/** Raised when a change would be misunderstood by the other end; an end of another version is refused. */
export const PROTOCOL = 1

/** What a server writes before anything else, so that a client knows whom it talks to: a login shell may print things. */
export const GREETING = `cairn serve ${PROTOCOL}\n`

/** The first request of a connection. */
export interface OpenRequest {
  readonly op: 'open'
  /** On the server; relative to where it was started, which is the home folder with SSH. */
  readonly path: string
  readonly create: boolean
  readonly mayContain: readonly string[]
}

/** What one end asks of the other, besides `id`. `put` and `putIfAbsent` have a body, as has the answer to `get`. */
export type StorageRequest =
  | OpenRequest
  | { readonly op: 'get'; readonly key: string; readonly offset?: number; readonly length?: number }
  | { readonly op: 'put' | 'putIfAbsent' | 'delete'; readonly key: string }
  | { readonly op: 'list'; readonly prefix: string }
  /** The next batch of the listing that request `listing` began. */
  | { readonly op: 'next' | 'endList'; readonly listing: number }
  | { readonly op: 'persist'; readonly keys: readonly string[] }
  | { readonly op: 'freeBytes' }

/** Answers to requests; an error has `error` alone. */
export interface OpenReply {
  /** Whether the far storage has these at all. */
  readonly canPersist: boolean
  readonly knowsFreeBytes: boolean
}
export interface ListReply {
  /** Key, size in bytes, time of modification in ms since 1970. */
  readonly objects: readonly (readonly [string, number, number])[]
  readonly isLast: boolean
}

/** Objects of one answer to `list` or `next`. */
export const LIST_BATCH = 2048

export function encodeError(error: unknown): { code: ErrorCode; message: string } {
  const { code, message } = toCairnError(error)
  return { code, message }
}

/** Of the far end, which may say anything: only a known code counts, and a bug there is none here. */
export function decodeError(value: unknown, location: string): CairnError {
  const { code, message } = (value ?? {}) as Partial<Record<'code' | 'message', unknown>>
  const known = typeof code === 'string' && Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : undefined
  const text = typeof message === 'string' ? message.replaceAll(/\p{C}+/gu, ' ') : 'it does not say why'
  if (known === undefined || known === 'INTERNAL' || known === 'CANCELLED')
    return new CairnError('STORAGE_UNAVAILABLE', `${location} failed: ${text}`)
  return new CairnError(known, `${text} (at ${location})`)
}
