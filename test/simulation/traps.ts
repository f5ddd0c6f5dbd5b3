import { parseIndexKey } from '../../src/repository/index/index-object.ts'
import { loadIndex } from '../../src/repository/index/load-index.ts'
import { packKey } from '../../src/repository/pack/pack-format.ts'
import { sealObject } from '../../src/repository/sealed-object.ts'
import { encodeCondemned, readCondemned } from '../../src/repository/sessions/condemned.ts'
import { commitKey } from '../../src/repository/sessions/open-session.ts'
import type { MemoryStorage } from '../../src/storage/memory/memory-storage.ts'
import type { Tamper } from './simulate.ts'

/**
 * The guards against the three traps of docs/concurrency.md, and the wait itself, taken out one by one, by way of what actors see of the store: the code
 * under test is the real one. A simulation that does not find the loss then would prove nothing.
 */
export const TRAPS: Readonly<Record<string, Tamper>> = {
  'index objects of runs without a commit count': (view, _, storage, world) => {
    const { keys } = world.open(storage)
    return {
      ...view,
      async *list(prefix, ...rest) {
        const made = prefix === 'commits/' ? await registersToBe(storage) : new Set<string>()
        for await (const object of view.list(prefix, ...rest)) if (!made.has(object.key)) yield object
        for (const key of made) yield { key, sizeBytes: 1, modifiedAtMs: 0 }
      },
      async get(key, ...rest) {
        const isMade = key.startsWith('commits/') && (await registersToBe(storage)).has(key)
        return isMade ? sealObject('commit', keys, key, Buffer.from('{}')) : view.get(key, ...rest)
      },
    }
  },

  'orphans are deleted at once, not condemned': (view, actor, storage, world) => {
    if (!actor.name.startsWith('compactor')) return view
    const { keys } = world.open(storage)
    return {
      ...view,
      async put(key, data, ...rest) {
        await view.put(key, data, ...rest)
        if (!key.startsWith('condemned/')) return
        const packs = (await readCondemned(storage, keys, {})).get(key.slice('condemned/'.length)) ?? []
        const { packs: live, condemned } = await loadIndex(storage, keys, {})
        const named = new Set([...live, ...(condemned?.packs ?? [])].map(({ id }) => id))
        await storage.put(
          key,
          encodeCondemned(
            keys,
            key,
            packs.filter((pack) => named.has(pack)),
          ),
        )
        for (const pack of packs) if (!named.has(pack)) await storage.delete(packKey(pack))
      },
    }
  },

  'runs that are open are not waited for': (view, actor) => {
    if (!actor.name.startsWith('compactor')) return view
    return {
      ...view,
      async *list(prefix, ...rest) {
        for await (const object of view.list(prefix, ...rest)) if (prefix !== 'sessions/') yield object
      },
    }
  },

  'empty registers are removed': (view, actor, storage) => {
    if (!actor.name.startsWith('compactor')) return view
    return {
      ...view,
      async delete(key, ...rest) {
        await view.delete(key, ...rest)
        if (!key.startsWith('condemned/')) return
        for await (const { key: register, sizeBytes } of storage.list('commits/'))
          if (sizeBytes === 0) await storage.delete(register)
      },
    }
  },
}

/** Registers of runs that have index objects and have not committed. */
async function registersToBe(storage: MemoryStorage): Promise<Set<string>> {
  const registers = new Set<string>()
  for await (const { key } of storage.list('index/')) {
    const name = parseIndexKey(key)
    if (name) registers.add(commitKey(name.session))
  }
  for await (const { key, sizeBytes } of storage.list('commits/')) if (sizeBytes > 0) registers.delete(key)
  return registers
}
