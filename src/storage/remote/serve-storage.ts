import type { Readable, Writable } from 'node:stream'
import { CairnError } from '../../base/errors.ts'
import type { Storage, StoredObject } from '../storage.ts'
import { Connection } from './connection.ts'
import type { Frame } from './frames.ts'
import { GREETING, LIST_BATCH, type OpenRequest, type StorageRequest, encodeError } from './messages.ts'

export interface ServeOptions {
  readonly input: Readable
  readonly output: Writable
  /** Opens what the client asks for, or refuses. */
  readonly open: (request: OpenRequest) => Promise<Storage>
  /** For tests: silence after which the client counts as gone. */
  readonly silenceMs?: number | undefined
}

/** Requests worked on at the same time; what comes then waits on the client's side. A pack each is the most they hold. */
const MAX_REQUESTS = 16

/**
 * The far end of a `RemoteStorage`: does what a client asks for, on a storage that it names, until the client ends the connection.
 * Resolves when all that was begun is done. What arrives of a request whose connection is cut is dropped.
 *
 * @throws {CairnError} `STORAGE_UNAVAILABLE` when the connection breaks in any other way
 */
export async function serveStorage(options: ServeOptions): Promise<void> {
  options.output.write(GREETING)
  const { promise, resolve } = Promise.withResolvers<CairnError | undefined>()
  const server = new StorageServer(options, resolve)
  const error = await promise
  await server.finish()
  if (error) throw new CairnError('STORAGE_UNAVAILABLE', `The connection to the client broke: ${error.message}`)
}

class StorageServer {
  readonly #open: ServeOptions['open']
  readonly #connection: Connection
  readonly #listings = new Map<number, AsyncIterator<StoredObject>>()
  readonly #running = new Set<Promise<void>>()
  #storage: Storage | undefined

  constructor({ input, output, open, silenceMs }: ServeOptions, onEnd: (error: CairnError | undefined) => void) {
    this.#open = open
    this.#connection = new Connection({ input, output, silenceMs, onFrame: (frame) => this.#begin(frame), onEnd })
  }

  async finish(): Promise<void> {
    await Promise.all(this.#running)
    for (const listing of this.#listings.values()) await listing.return?.()
    await this.#storage?.close()
    this.#connection.close()
  }

  #begin(frame: Frame): void {
    const run = this.#answer(frame).finally(() => {
      this.#running.delete(run)
      if (this.#running.size < MAX_REQUESTS) this.#connection.resume()
    })
    this.#running.add(run)
    if (this.#running.size >= MAX_REQUESTS) this.#connection.pause()
  }

  async #answer({ header, body }: Frame): Promise<void> {
    const id = Number(header['id'])
    let reply: { header: object; body?: Uint8Array }
    try {
      reply = await this.#do(header, body, id)
    } catch (error) {
      reply = { header: { error: encodeError(error) } }
    }
    // Nobody is there any more when this fails, and the connection has noticed.
    await this.#connection.send({ id, ...reply.header }, reply.body).catch(() => undefined)
  }

  async #do(header: Frame['header'], body: Uint8Array, id: number): Promise<{ header: object; body?: Uint8Array }> {
    const request = header as unknown as StorageRequest
    for (const name of ['key', 'prefix', 'path'] as const)
      if (name in header && typeof header[name] !== 'string')
        throw new CairnError('INVALID_ARGUMENT', `Cannot do this: '${name}' is no text`)
    if (request.op === 'open') return { header: await this.#openStorage(request) }
    const storage = this.#storage
    if (!storage) throw new CairnError('INVALID_ARGUMENT', `Cannot ${request.op}: nothing has been opened`)
    switch (request.op) {
      case 'get': {
        const { key, offset, length } = request
        const range = offset === undefined || length === undefined ? undefined : { offset, length }
        return { header: {}, body: await storage.get(key, range) }
      }
      case 'put':
        await storage.put(request.key, body)
        return { header: {} }
      case 'putIfAbsent':
        return { header: { won: await storage.putIfAbsent(request.key, body) } }
      case 'delete':
        await storage.delete(request.key)
        return { header: {} }
      case 'list':
        this.#listings.set(id, storage.list(request.prefix)[Symbol.asyncIterator]())
        return { header: await this.#nextBatch(id) }
      case 'next':
        return { header: await this.#nextBatch(request.listing) }
      case 'endList':
        await this.#listings.get(request.listing)?.return?.()
        this.#listings.delete(request.listing)
        return { header: {} }
      case 'persist':
        await storage.persist?.(request.keys)
        return { header: {} }
      case 'freeBytes':
        return { header: { bytes: await storage.freeBytes?.() } }
      default:
        throw new CairnError('INVALID_ARGUMENT', `Cannot do '${String((request as { op: unknown }).op)}': unknown`)
    }
  }

  async #openStorage(request: OpenRequest): Promise<object> {
    if (this.#storage) throw new CairnError('INVALID_ARGUMENT', 'Cannot open two storages on one connection')
    const storage = await this.#open(request)
    this.#storage = storage
    return { canPersist: storage.persist !== undefined, knowsFreeBytes: storage.freeBytes !== undefined }
  }

  async #nextBatch(id: number): Promise<object> {
    const listing = this.#listings.get(id)
    if (!listing) throw new CairnError('INVALID_ARGUMENT', 'Cannot go on with a listing that has ended')
    const objects: [string, number, number][] = []
    try {
      while (objects.length < LIST_BATCH) {
        const { value, done } = await listing.next()
        if (done) {
          this.#listings.delete(id)
          return { objects, isLast: true }
        }
        objects.push([value.key, value.sizeBytes, value.modifiedAtMs])
      }
    } catch (error) {
      this.#listings.delete(id)
      throw error
    }
    return { objects, isLast: false }
  }
}
