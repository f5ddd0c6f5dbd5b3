import { setImmediate as nextTick } from 'node:timers/promises'
import type { MemoryStorage } from '../../src/storage/memory/memory-storage.ts'
import type { Storage, StoredObject } from '../../src/storage/storage.ts'

/**
 * Runs several actors on one store, one storage operation at a time: before each operation an actor waits for its turn, and
 * whoever decides gives turns. All else that actors do takes no time. So a run is its sequence of decisions, and can be repeated.
 */

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Waiting {
  readonly actor: Actor
  readonly operation: string
  readonly go: () => void
}

/** Something that acts on the store. */
export class Actor {
  readonly name: string
  /** Operations it has done. */
  steps = 0
  /** It gets no turns: crashed, or asleep until somebody changes this. */
  isStopped = false
  isDone = false
  readonly #scheduler: Scheduler

  constructor(name: string, scheduler: Scheduler) {
    this.name = name
    this.#scheduler = scheduler
  }

  /** The store as this actor sees it. */
  view(storage: MemoryStorage): Storage {
    const turn = (operation: string): Promise<void> => this.#scheduler.turn(this, operation)
    return {
      location: storage.location,
      get: async (key, ...rest) => (await turn(`get ${key}`), storage.get(key, ...rest)),
      put: async (key, ...rest) => (await turn(`put ${key}`), storage.put(key, ...rest)),
      putIfAbsent: async (key, ...rest) => (await turn(`put ${key} if absent`), storage.putIfAbsent(key, ...rest)),
      delete: async (key, ...rest) => (await turn(`delete ${key}`), storage.delete(key, ...rest)),
      close: async () => undefined,
      async *list(prefix, ...rest) {
        // As in a folder: names first, then what each of them is. What comes in between is not listed, nor is what goes.
        await turn(`list ${prefix}`)
        const names = new Set((await Array.fromAsync(storage.list(prefix, ...rest))).map(({ key }) => key))
        if (names.size === 0) return
        await turn(`list ${prefix} (${names.size} names)`)
        const objects: StoredObject[] = await Array.fromAsync(storage.list(prefix, ...rest))
        yield* objects.filter(({ key }) => names.has(key))
      },
    }
  }
}

export class Scheduler {
  readonly actors: Actor[] = []
  /** What was done, for messages: actor and operation. */
  readonly trace: string[] = []
  #waiting: Waiting[] = []

  /** Starts an actor; `act` gets it, and fails the run when it throws. */
  start(name: string, act: (actor: Actor) => Promise<void>): Actor {
    const actor = new Actor(name, this)
    this.actors.push(actor)
    act(actor).then(
      () => (actor.isDone = true),
      (error: unknown) => {
        actor.isDone = true
        this.failure ??= { error, actor: name }
      },
    )
    return actor
  }

  failure: { readonly error: unknown; readonly actor: string } | undefined

  turn(actor: Actor, operation: string): Promise<void> {
    return new Promise((go) => this.#waiting.push({ actor, operation, go }))
  }

  /** The actors that could go on, each once, when everything has come to rest. */
  async runnable(): Promise<Actor[]> {
    // Promises settle before this returns; nothing in the code under test waits for anything but the store.
    await nextTick()
    if (this.failure) throw this.failure.error
    return [...new Set(this.#waiting.map(({ actor }) => actor))].filter(({ isStopped }) => !isStopped)
  }

  /** Lets an actor do one of the operations it waits to do: the `choice`-th of them (0 to 1). Returns which. */
  step(actor: Actor, choice: number): string {
    const own = this.#waiting.filter((waiting) => waiting.actor === actor)
    const chosen = own[Math.floor(choice * own.length)] as Waiting
    this.#waiting = this.#waiting.filter((waiting) => waiting !== chosen)
    actor.steps++
    this.trace.push(`${actor.name}: ${chosen.operation}`)
    chosen.go()
    return chosen.operation
  }
}
