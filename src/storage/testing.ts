import type { AbortOptions } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import type { ByteRange, Storage, StoredObject } from './storage.ts'

export type OperationKind = 'get' | 'put' | 'putIfAbsent' | 'list' | 'delete' | 'persist'

/** One call that reached a `FaultyStorage`; `key` is the prefix of a `list`, and all keys of a `persist`. */
export interface Operation {
  readonly kind: OperationKind
  readonly key: string
}

/** Which operations a rule is about; what is omitted matches all. */
export interface OperationFilter {
  readonly kind?: OperationKind
  /** Beginning of the key. */
  readonly prefix?: string
}

export interface Fault extends OperationFilter {
  /** The first matching operation that fails, counted from 1 and from now on. Default 1. */
  readonly nth?: number
  /** How many operations fail from then on. Default 1; `Infinity` until `heal()`. */
  readonly times?: number
  /** Default: `STORAGE_UNAVAILABLE`. */
  readonly error?: CairnError
  /** `before` (default): nothing has happened; `after`: all has, only the reply was lost. */
  readonly when?: 'before' | 'after'
}

/**
 * What a crash leaves of the operation it hits: nothing, all, or half of the object. `torn` is what a store without
 * atomic puts would leave, and like `after` for a delete.
 */
export type CrashPoint = 'before' | 'after' | 'torn'

/**
 * A storage for tests that does what it is told to do wrong: fails chosen operations, loses replies, crashes, flips bits.
 * It also records every operation, so that tests can say what may be done how often. Without orders it only passes on.
 */
export class FaultyStorage implements Storage {
  readonly #inner: Storage
  #operations: Operation[] = []
  #faults: { fault: Fault; seen: number }[] = []
  #crash: { left: number; point: CrashPoint } | undefined
  #crashed = false
  readonly #flippedBytes = new Map<string, number>()

  constructor(inner: Storage) {
    this.#inner = inner
  }

  get location(): string {
    return this.#inner.location
  }

  /** Operations so far, in the order of their calls; those that failed are among them, those after a crash are not. */
  get operations(): readonly Operation[] {
    return this.#operations
  }

  /** Whether the crash of `crashAt` has happened: from then on every operation is refused. */
  get crashed(): boolean {
    return this.#crashed
  }

  /** How many operations matched so far. */
  count(filter: OperationFilter = {}): number {
    return this.#operations.filter((operation) => matches(operation, filter)).length
  }

  /** How many operations that change something were called so far: the numbers that `crashAt` can hit in a repeated run. */
  countMutations(): number {
    return this.#operations.filter(({ kind }) => isMutation(kind)).length
  }

  /** Orders a failure; several orders are kept at once, and the first that applies decides. */
  fail(fault: Fault = {}): void {
    this.#faults.push({ fault, seen: 0 })
  }

  /** Orders a crash at the `nth` operation that changes something, counted from 1 and from now on. */
  crashAt(nth: number, point: CrashPoint): void {
    this.#crash = { left: nth, point }
  }

  /** From now on one bit of byte `offset` of the object is wrong in whatever `get` returns. */
  flipBit(key: string, offset: number): void {
    this.#flippedBytes.set(key, offset)
  }

  /** Takes all orders back. A crash that has happened stays: open the inner storage again, as a new process would. */
  heal(): void {
    this.#faults = []
    this.#crash = undefined
    this.#flippedBytes.clear()
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    const bytes = await this.#run({ kind: 'get', key }, () => this.#inner.get(key, range, options))
    const at = (this.#flippedBytes.get(key) ?? -1) - (range?.offset ?? 0)
    if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] as number) ^ 1
    return bytes
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    const operation = { kind: 'put', key } as const
    return this.#run(
      operation,
      () => this.#inner.put(key, data, options),
      () => this.#inner.put(key, half(data)),
    )
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    const operation = { kind: 'putIfAbsent', key } as const
    return this.#run(
      operation,
      () => this.#inner.putIfAbsent(key, data, options),
      () => this.#inner.putIfAbsent(key, half(data)),
    )
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    // A failure "after" is one at the end: the caller got the objects and yet cannot know that these were all.
    const failure = this.#begin({ kind: 'list', key: prefix })
    if (failure?.when === 'before') throw failure.error
    for await (const object of this.#inner.list(prefix, options)) {
      if (this.#crashed) throw crashError()
      yield object
    }
    if (failure) throw failure.error
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    return this.#run({ kind: 'delete', key }, () => this.#inner.delete(key, options))
  }

  async persist(keys: readonly string[], options?: AbortOptions): Promise<void> {
    return this.#run({ kind: 'persist', key: keys.join(' ') }, async () => this.#inner.persist?.(keys, options))
  }

  async freeBytes(options?: AbortOptions): Promise<number | undefined> {
    return this.#inner.freeBytes?.(options)
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  async #run<T>(operation: Operation, act: () => Promise<T>, tear: () => Promise<unknown> = act): Promise<T> {
    const failure = this.#begin(operation)
    if (failure?.when === 'before') throw failure.error
    const result = failure?.when === 'torn' ? await tear() : await act()
    if (failure) throw failure.error
    // What was under way when the run died may have happened; nobody learns of it.
    if (this.#crashed) throw crashError()
    return result as T
  }

  #begin(operation: Operation): { when: CrashPoint; error: CairnError } | undefined {
    if (this.#crashed) throw crashError()
    this.#operations.push(operation)
    if (this.#crash && isMutation(operation.kind) && --this.#crash.left === 0) {
      this.#crashed = true
      return { when: this.#crash.point, error: crashError() }
    }
    let failure: { when: CrashPoint; error: CairnError } | undefined
    for (const rule of this.#faults) {
      const { nth = 1, times = 1, when = 'before', error } = rule.fault
      if (!matches(operation, rule.fault)) continue
      rule.seen++
      if (rule.seen >= nth && rule.seen < nth + times) failure ??= { when, error: error ?? orderedError(operation) }
    }
    return failure
  }
}

function isMutation(kind: OperationKind): boolean {
  return kind === 'put' || kind === 'putIfAbsent' || kind === 'delete'
}

function matches(operation: Operation, { kind, prefix = '' }: OperationFilter): boolean {
  return (kind === undefined || operation.kind === kind) && operation.key.startsWith(prefix)
}

function half(data: Uint8Array): Uint8Array {
  return data.subarray(0, data.length >> 1)
}

function orderedError({ kind, key }: Operation): CairnError {
  return new CairnError('STORAGE_UNAVAILABLE', `Cannot ${kind} ${key}: the test ordered this failure`)
}

// INTERNAL, so that no retry goes on after the end.
function crashError(): CairnError {
  return new CairnError('INTERNAL', 'Cannot go on: the test ordered a crash')
}
