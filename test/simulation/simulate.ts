import type { MemoryStorage } from '../../src/storage/memory/memory-storage.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { type Actor, Scheduler, randomNumbers } from './scheduler.ts'
import { World } from './world.ts'

export interface SimulationResult {
  /** Operations done. */
  readonly steps: number
  /** Times that all snapshots were read. */
  readonly checks: number
  /** Packs that were deleted. */
  readonly deletedPacks: number
  readonly committed: number
}

/** Changes how some actors see the store: for tests that take a guard out. */
export type Tamper = (view: Storage, actor: Actor, storage: MemoryStorage, world: World) => Storage

/** Where chances would decide: nothing out of the ordinary. */
const never = (): number => 0.99

/** More time than after which a silent run is taken for dead. */
const LONG_MS = 3600_000
const MAX_STEPS = 10_000

/**
 * Two writers, two who delete, one who undeletes, one who rewrites, a restorer and two who reclaim space, on one store, in an order that the seed decides; some of them
 * crash, others sleep for days and go on. After every step that could lose something, all snapshots are read.
 *
 * @throws what went wrong, with the seed and the last operations
 */
export async function simulate(seed: number, tamper?: Tamper): Promise<SimulationResult> {
  const chance = randomNumbers(seed)
  const world = await World.create()
  const scheduler = new Scheduler()
  let checks = 0
  let deletedPacks = 0
  // In some worlds turns go round, in others each actor has many in a row: then much happens between two looks of another.
  const persistence = Math.floor(chance() * 3) * 0.45
  let last: Actor | undefined
  try {
    startActors(world, scheduler, chance, tamper)
    while (scheduler.trace.length < MAX_STEPS) {
      const runnable = await scheduler.runnable()
      const goesOn = chance() < persistence && last && runnable.includes(last)
      const actor = goesOn ? last : runnable[Math.floor(chance() * runnable.length)]
      last = actor
      if (!actor) {
        // Only sleepers are left.
        const sleeper = scheduler.actors.find(
          ({ isStopped, isDone, name }) => isStopped && !isDone && !name.endsWith('†'),
        )
        if (!sleeper) break
        sleeper.isStopped = false
        continue
      }
      disturb(actor, world, chance)
      if (actor.isStopped) continue
      const operation = scheduler.step(actor, chance())
      if (/^(delete (packs|index|commits)|put commits)/.test(operation)) {
        await scheduler.runnable()
        checks++
        await world.verify()
        if (operation.startsWith('delete packs')) deletedPacks++
      }
    }
    await scheduler.runnable()
    await world.verify()
  } catch (error) {
    const last = scheduler.trace.slice(-40).join('\n  ')
    throw new Error(`Seed ${seed} fails after ${scheduler.trace.length} operations, the last of them\n  ${last}`, {
      cause: error,
    })
  }
  return { steps: scheduler.trace.length, checks, deletedPacks, committed: world.expected.size }
}

/**
 * A writer and a compactor, of whom each is interrupted once: the compactor does so many operations, then the writer so many, then
 * the compactor all others, then the writer. What the writer saves was in a snapshot that was deleted, and in a pack of a dead run.
 *
 * @returns whether both were interrupted, or had come to their end before
 * @throws what went wrong
 */
export async function simulateSwitch(compactorSteps: number, writerSteps: number): Promise<boolean> {
  const chance = randomNumbers(1)
  const world = await World.create()
  await world.backUp(world.storage, 'kept', ['text 1', 'text 2'], never)
  await world.backUp(world.storage, 'deleted', ['text 2', 'text 3', 'text 4'], never)
  await world.deleteNamed(world.storage, 'deleted')
  await world.leaveOrphan('text 5')
  const scheduler = new Scheduler()
  const compactor = scheduler.start('compactor', (actor) => world.compact(actor.view(world.storage), 0))
  const writer = scheduler.start('writer', async (actor) => {
    const texts = ['text 1', 'text 3', 'text 5', 'text 6']
    for (let again = 0; again < 3; again++)
      if (await world.backUp(actor.view(world.storage), `new ${again}`, texts, never)) return
  })
  const run = async (actor: Actor, steps: number): Promise<void> => {
    for (let step = 0; step < steps && (await scheduler.runnable()).includes(actor); step++) {
      const operation = scheduler.step(actor, chance())
      await scheduler.runnable()
      if (operation.startsWith('delete packs')) await world.verify()
    }
  }
  await run(compactor, compactorSteps)
  await run(writer, writerSteps)
  const areInterrupted = !compactor.isDone && !writer.isDone
  await run(compactor, Number.POSITIVE_INFINITY)
  await run(writer, Number.POSITIVE_INFINITY)
  await world.compact(world.storage, 0) // what had to wait
  await world.verify()
  return areInterrupted
}

/** Now and then an actor crashes for good, falls asleep, or much time passes. */
function disturb(actor: Actor, world: World, chance: () => number): void {
  const what = chance()
  if (what < 0.0015) actor.isStopped = true // wakes up when nobody else is left
  if (what > 0.997) world.clock.nowMs += LONG_MS
}

function startActors(world: World, scheduler: Scheduler, chance: () => number, tamper: Tamper | undefined): void {
  const start = (name: string, rounds: number, act: (view: Storage, round: number) => Promise<unknown>): void => {
    const dies = chance() < 0.3 ? Math.floor(chance() * 150) : Number.POSITIVE_INFINITY
    scheduler.start(name, async (actor) => {
      const plain = actor.view(world.storage)
      const view = tamper ? tamper(plain, actor, world.storage, world) : plain
      const mortal = dying(view, () => actor.steps >= dies)
      for (let round = 0; round < rounds; round++) await act(mortal, round)
    })
  }
  for (const writer of ['a', 'b']) {
    start(`writer ${writer}`, 4, async (view, round) => {
      // Few texts: what one deletes another needs again.
      const texts = Array.from({ length: 1 + Math.floor(chance() * 5) }, () => `text ${Math.floor(chance() * 12)}`)
      for (let again = 0; again < 5; again++)
        if (await world.backUp(view, `${writer}${round}.${again}`, texts, chance)) break
    })
  }
  for (const deleter of ['d', 'e']) start(`deleter ${deleter}`, 4, (view) => world.deleteOne(view, chance))
  start('undeleter', 3, (view, round) => world.undelete(view, `back ${round}`, chance))
  start('rewriter', 4, (view) => world.rewrite(view, chance))
  start('restorer', 4, (view) => world.restore(view, chance))
  for (const compactor of ['x', 'y']) start(`compactor ${compactor}`, 4, (view) => world.compact(view, chance() * 0.6))
}

/** A store whose client is gone from some moment on: nothing it asks for is done, and it never hears of it. */
function dying(view: Storage, isDead: () => boolean): Storage {
  const never = new Promise<never>(() => undefined)
  const unless = <T>(act: () => Promise<T>): Promise<T> => (isDead() ? never : act())
  return {
    location: view.location,
    get: (...given) => unless(() => view.get(...given)),
    put: (...given) => unless(() => view.put(...given)),
    putIfAbsent: (...given) => unless(() => view.putIfAbsent(...given)),
    delete: (...given) => unless(() => view.delete(...given)),
    close: async () => undefined,
    async *list(...given) {
      if (isDead()) await never
      yield* view.list(...given)
    },
  }
}
