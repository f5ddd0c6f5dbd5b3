import type { Readable, Writable } from 'node:stream'
import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { CairnError } from '../../base/errors.ts'
import { checkKey, checkRange, isKey, rangeError } from '../key.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'
import { Connection, SILENCE_MS } from './connection.ts'
import type { Frame } from './frames.ts'
import {
  GREETING,
  PROTOCOL,
  type ListReply,
  type OpenReply,
  type OpenRequest,
  type StorageRequest,
  decodeError,
} from './messages.ts'

/** The way to a server: two streams, and whoever made them. */
export interface Link {
  readonly input: Readable
  readonly output: Writable
  /** What those in between say about a connection that broke, if anything, such as the last words of `ssh`. */
  readonly explainEnd: () => Promise<string | undefined>
  /** Ends those in between, by force if it has to be at once, and resolves when they have ended. */
  readonly close: (options?: { readonly atOnce: boolean }) => Promise<void>
}

export interface RemoteStorageOptions {
  /** As a person writes it. */
  readonly location: string
  readonly open: Omit<OpenRequest, 'op'>
  readonly signal?: AbortSignal | undefined
  /** For tests: silence after which the far end counts as gone. */
  readonly silenceMs?: number | undefined
}

interface Pending {
  readonly resolve: (frame: Frame) => void
  readonly reject: (error: CairnError) => void
  /** What it is for: completes "Cannot …". */
  readonly action: string
}

/**
 * A storage on another machine, served there by `serveStorage` and reached by a connection that others have made. Requests go
 * out as they come and are answered in any order. When the connection breaks, all that are open fail with `STORAGE_UNAVAILABLE`, and
 * so does every later one: the run ends, and the next resumes.
 */
export class RemoteStorage implements Storage {
  readonly location: string
  readonly isRemote = true
  persist?: NonNullable<Storage['persist']>
  freeBytes?: NonNullable<Storage['freeBytes']>
  readonly #link: Link
  readonly #connection: Connection
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  /** Why nothing can be asked any more. */
  #broken: Promise<string> | undefined

  /**
   * Waits for the server's greeting and opens the storage there.
   *
   * @throws {CairnError} what opening throws there; `STORAGE_UNAVAILABLE` when nobody greets; `FORMAT_UNSUPPORTED` for a server that
   *   speaks another version
   */
  static async open(link: Link, options: RemoteStorageOptions): Promise<RemoteStorage> {
    try {
      await readGreeting(link, options)
      const storage = new RemoteStorage(link, options)
      const action = `open the repository ${options.location}`
      const { header } = await storage.#ask({ op: 'open', ...options.open }, action, undefined, options)
      storage.#learn(header)
      return storage
    } catch (error) {
      await link.close()
      throw error
    }
  }

  private constructor(link: Link, { location, silenceMs }: RemoteStorageOptions) {
    this.location = location
    this.#link = link
    this.#connection = new Connection({
      input: link.input,
      output: link.output,
      silenceMs,
      onFrame: (frame) => this.#settle(frame),
      onEnd: (error) => {
        this.#broken = this.#break(error)
      },
    })
  }

  get isBroken(): boolean {
    return this.#broken !== undefined
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    checkKey(key)
    checkRange(key, range)
    const { body } = await this.#ask({ op: 'get', key, ...range }, `read ${key}`, undefined, options)
    if (range && body.length !== range.length) throw rangeError(key, range.length, body.length, range.offset)
    return body
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    checkKey(key)
    await this.#ask({ op: 'put', key }, `store ${key}`, data, options)
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    checkKey(key)
    const { header } = await this.#ask({ op: 'putIfAbsent', key }, `store ${key}`, data, options)
    if (typeof header['won'] !== 'boolean') throw this.#nonsense(`store ${key}`)
    return header['won']
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    const action = `list ${prefix || 'all objects'}`
    const first = await this.#ask({ op: 'list', prefix }, action, undefined, options)
    const listing = Number(first.header['id'])
    let isLast = false
    try {
      for (let reply = first; ; reply = await this.#ask({ op: 'next', listing }, action, undefined, options)) {
        const batch = reply.header as unknown as Partial<ListReply>
        isLast = batch.isLast === true
        if (!Array.isArray(batch.objects)) throw this.#nonsense(action)
        for (const object of batch.objects) yield this.#listed(object, action)
        if (isLast) return
      }
    } finally {
      if (!isLast) this.#ask({ op: 'endList', listing }, action).catch(() => undefined)
    }
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    checkKey(key)
    await this.#ask({ op: 'delete', key }, `delete ${key}`, undefined, options)
  }

  async close(): Promise<void> {
    this.#broken ??= Promise.resolve('it has been closed')
    this.#connection.close()
    await this.#link.close()
  }

  #learn({ canPersist, knowsFreeBytes }: Partial<OpenReply>): void {
    if (canPersist)
      this.persist = async (keys, options) => {
        for (const key of keys) checkKey(key)
        await this.#ask({ op: 'persist', keys }, 'make objects durable', undefined, options)
      }
    if (knowsFreeBytes)
      this.freeBytes = async (options) => {
        const { header } = await this.#ask({ op: 'freeBytes' }, 'look for free space', undefined, options)
        return typeof header['bytes'] === 'number' ? header['bytes'] : undefined
      }
  }

  /** `action` completes "Cannot …". */
  async #ask(
    request: StorageRequest,
    action: string,
    body?: Uint8Array,
    { signal }: AbortOptions = {},
  ): Promise<Frame> {
    throwIfAborted(signal)
    if (this.#broken) throw this.#brokenError(action, await this.#broken)
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    promise.catch(() => undefined)
    this.#pending.set(id, { resolve, reject, action })
    const onAbort = (): void => reject(abortError(signal))
    signal?.addEventListener('abort', onAbort)
    try {
      // Waited for also when aborted: until then the body must stay as it is. When it fails, so does the connection.
      await this.#connection.send({ id, ...request }, body).catch(() => undefined)
      return await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#pending.delete(id)
    }
  }

  #settle({ header, body }: Frame): void {
    const pending = this.#pending.get(Number(header['id'])) // gone if it was aborted
    if ('error' in header) pending?.reject(decodeError(header['error'], this.location))
    else pending?.resolve({ header, body })
  }

  /** Fails all that is open, and resolves to why. */
  async #break(error: CairnError | undefined): Promise<string> {
    const why = (await this.#link.explainEnd()) ?? error?.message ?? 'the far end has ended it'
    for (const { reject, action } of this.#pending.values()) reject(this.#brokenError(action, why))
    await this.#link.close({ atOnce: true }) // one that stalls would hold on to what was to be sent
    return why
  }

  #brokenError(action: string, why: string): CairnError {
    return new CairnError(
      'STORAGE_UNAVAILABLE',
      `Cannot ${action}: the connection to ${this.location} broke: ${why}; run it again: what was stored is not lost`,
    )
  }

  #listed(object: unknown, action: string): StoredObject {
    const [key, sizeBytes, modifiedAtMs] = (Array.isArray(object) ? object : []) as unknown[]
    if (typeof key !== 'string' || !isKey(key) || !isCount(sizeBytes) || !isCount(modifiedAtMs))
      throw this.#nonsense(action)
    return { key, sizeBytes, modifiedAtMs }
  }

  #nonsense(action: string): CairnError {
    return new CairnError('STORAGE_UNAVAILABLE', `Cannot ${action}: ${this.location} answers with what makes no sense`)
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function abortError(signal: AbortSignal | undefined): unknown {
  try {
    throwIfAborted(signal)
  } catch (error) {
    return error
  }
  return undefined
}

/** What may come before a greeting: a login that prints things. */
const MAX_NOISE_BYTES = 64 << 10

/** Reads up to the end of the server's greeting, and nothing more. Before the first byte, somebody may be asked for a password. */
async function readGreeting({ input, explainEnd }: Link, options: RemoteStorageOptions): Promise<void> {
  const { location, signal, silenceMs = SILENCE_MS } = options
  let seen = Buffer.alloc(0)
  let timer: NodeJS.Timeout | undefined
  try {
    while (seen.length < MAX_NOISE_BYTES && !input.readableEnded && !input.destroyed) {
      const piece = input.read() as Buffer | null
      if (!piece) {
        await readableOrEnd(input, signal)
        continue
      }
      timer ??= setTimeout(() => input.destroy(), silenceMs)
      seen = Buffer.concat([seen, piece])
      const found = /(?:^|\n)(cairn serve (\d+)\n)/.exec(seen.toString('latin1'))
      if (!found) continue
      input.unshift(seen.subarray(found.index + found[0].length))
      if (found[1] === GREETING) return
      throw new CairnError(
        'FORMAT_UNSUPPORTED',
        `Cannot open ${location}: the cairn there speaks version ${found[2]} of the protocol, this one ${PROTOCOL}; install the same version of cairn on both machines`,
      )
    }
  } finally {
    clearTimeout(timer)
  }
  const answer = seen.length > 0 ? `'${excerpt(seen)}'` : 'nothing'
  const why = (await explainEnd()) ?? `it answers ${answer}, and is no 'cairn serve'`
  throw new CairnError('STORAGE_UNAVAILABLE', `Cannot open ${location}: ${why}`)
}

/** @throws {CairnError} `CANCELLED` */
async function readableOrEnd(input: Readable, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal)
  const { promise, resolve } = Promise.withResolvers<void>()
  const events = ['readable', 'end', 'close', 'error']
  for (const event of events) input.on(event, resolve)
  signal?.addEventListener('abort', () => resolve(), { once: true })
  await promise
  for (const event of events) input.off(event, resolve)
  throwIfAborted(signal)
}

/** The beginning of what somebody else says, fit to be printed. */
function excerpt(bytes: Buffer): string {
  const text = bytes
    .subarray(0, 200)
    .toString()
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim()
  return text.length < 100 ? text : `${text.slice(0, 100)}…`
}
