import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { type IndexedPack, encodeIndex } from '../repository/index/index-object.ts'
import { readIndex, segmentsOf } from '../repository/low-level.ts'
import type { Repository } from '../repository/repository.ts'
import { keysOf } from '../repository/testing.ts'
import type { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { checked, loadRepoV1, objectsOf } from './testing.ts'

/*
 * Every object of a repository of the first version is damaged in many ways; a check must name each of them. All objects of a
 * folder are damaged at once, each in its way: what is wrong with one must not hide what is wrong with another.
 */

for (const encryption of ['keyfile', 'none'] as const) {
  const samples = encryption === 'keyfile' ? 16 : 5

  describe(`check() of a damaged repository (${encryption})`, () => {
    let pristine: MemoryStorage
    let open: (storage: Storage) => Repository
    let keys: string[]

    before(async () => {
      const made = await loadRepoV1(encryption)
      pristine = made.storage
      open = made.open
      keys = await keysOf(pristine)
    })

    const below = (folder: string): string[] => keys.filter((key) => key.startsWith(`${folder}/`))

    /** A copy of the repository with other bytes under some keys, or nothing. */
    async function changed(
      folder: string,
      change: (bytes: Uint8Array, key: string) => Uint8Array | undefined,
    ): Promise<Repository> {
      const storage = pristine.clone()
      for (const key of below(folder)) {
        const bytes = change(await pristine.get(key), key)
        if (bytes) await storage.put(key, bytes)
        else await storage.delete(key)
      }
      return open(storage)
    }

    it('finds nothing when nothing is damaged', async () => {
      const result = await checked(open(pristine), { readData: true })
      assert.deepEqual(result.errors, [])
      assert.deepEqual(result.notes, [])
      assert.deepEqual(result.brokenPacks, [])
      assert.equal(result.snapshots, 5)
      assert.equal(result.packs, below('packs').length)
      assert.equal(result.packsRead, result.packs)
      assert.ok(result.trees > 5 && result.chunks > result.trees && result.bytesRead > 10_000)
    })

    it('names every object of which a bit is flipped, wherever', async () => {
      for (const folder of ['packs', 'index', 'commits', 'names']) {
        for (let i = 0; i <= samples; i++) {
          const repository = await changed(folder, flipAt(i / samples))
          const result = await checked(repository, { readData: folder === 'packs' })
          const objects = objectsOf(result)
          for (const key of below(folder)) {
            // A digit of a claim that has become another digit is a claim of another run: the snapshot is without one.
            const isNamed = objects.has(key) || (folder === 'names' && objects.has(key.replace(/-\d+$/, '')))
            assert.ok(isNamed, `${i}/${samples} of ${key}: ${[...objects].join(' ')}`)
          }
          if (folder === 'packs') assert.equal(result.brokenPacks.length, below('packs').length)
        }
      }
    })

    it('names every object that is cut short or too long', async () => {
      const ways: ((bytes: Uint8Array) => Uint8Array)[] = [
        (bytes) => bytes.subarray(0, bytes.length - 1),
        (bytes) => bytes.subarray(0, bytes.length >> 1),
        (bytes) => bytes.subarray(0, 1),
        (bytes) => Buffer.concat([bytes, Buffer.of(0)]),
      ]
      for (const folder of ['packs', 'index', 'commits', 'names']) {
        for (const way of ways) {
          const objects = objectsOf(await checked(await changed(folder, way)))
          for (const key of below(folder)) assert.ok(objects.has(key), key)
        }
      }
      for (const folder of ['packs', 'index', 'names']) {
        const objects = objectsOf(await checked(await changed(folder, () => new Uint8Array(0))))
        for (const key of below(folder)) assert.ok(objects.has(key), key)
      }
    })

    it('names packs that are missing, and the snapshots that need them', async () => {
      for (const lost of below('packs')) {
        for (const readData of [false, true]) {
          const repository = await changed('packs', (bytes, key) => (key === lost ? undefined : bytes))
          const result = await checked(repository, { readData })
          assert.ok(objectsOf(result).has(lost))
          assert.deepEqual(result.brokenPacks, [lost.slice('packs/xx/'.length)])
          const affected = result.errors.flatMap(({ snapshot }) => (snapshot ? [snapshot] : []))
          assert.ok(affected.length > 0, lost)
          assert.equal(result.errors.length, 1 + affected.length)
          assert.equal(result.packsRead, readData ? result.packs - 1 : 0)
        }
      }
    })

    it('names the snapshots whose chunks no index object lists any more', async () => {
      for (const lost of below('index')) {
        const repository = await changed('index', (bytes, key) => (key === lost ? undefined : bytes))
        const result = await checked(repository, { readData: true })
        const session = lost.slice('index/'.length, 'index/'.length + 32)
        assert.ok(objectsOf(result).has(`commits/${session}`))
        for (const { snapshot } of result.errors) assert.ok(snapshot && snapshot.files + snapshot.directories > 0)
        assert.ok(result.orphanPacks > 0)
        assert.ok(result.notes.some(({ object }) => object.startsWith('packs/')))
      }
    })

    it('notes what a lost commit leaves behind, and names the snapshots that relied on its run', async () => {
      for (const lost of below('commits')) {
        for (const way of [undefined, new Uint8Array(0)]) {
          const repository = await changed('commits', (bytes, key) => (key === lost ? way : bytes))
          const result = await checked(repository, { readData: true })
          const session = lost.slice('commits/'.length)
          assert.ok(result.notes.some(({ object }) => object.startsWith(`index/${session}-`)))
          assert.equal(result.snapshots, 4)
          for (const { snapshot, object } of result.errors) assert.equal(object, `commits/${snapshot?.id}`)
        }
      }
    })

    it('names the snapshots whose names are claimed by nobody any more', async () => {
      const result = await checked(await changed('names', () => undefined))
      assert.deepEqual(objectsOf(result), new Set(below('names').map((key) => key.replace(/-\d+$/, ''))))
    })

    it('names objects that have changed places', async () => {
      for (const folder of ['packs', 'index', 'commits', 'names']) {
        const all = below(folder)
        const objects = new Map<string, Uint8Array>()
        for (const key of all) objects.set(key, await pristine.get(key))
        const repository = await changed(folder, (_, key) => objects.get(all[all.indexOf(key) ^ 1] ?? key))
        const found = objectsOf(await checked(repository, { readData: true }))
        for (const [i, key] of all.entries()) {
          if (all[i ^ 1] === undefined) continue
          assert.ok(found.has(key) || found.has(key.replace(/-\d+$/, '')), key)
        }
      }
    })

    it('names index objects that say wrong things, sealed as well as any', async () => {
      const wrongs: Record<string, (pack: IndexedPack) => Partial<IndexedPack>> = {
        'another id of the last chunk': ({ table }) => ({ table: withByte(table, lastIdAt(table), 1) }),
        'another salt': ({ header }) => ({ header: withByte(header, 20, 1) }),
        'a larger pack': ({ sizeBytes }) => ({ sizeBytes: sizeBytes + 1 }),
        'a smaller pack': ({ sizeBytes }) => ({ sizeBytes: sizeBytes - 1 }),
        'no chunks': () => ({ table: new Uint8Array(0) }),
      }
      for (const [what, wrong] of Object.entries(wrongs)) {
        const { repository, key } = await withIndex((packs) =>
          packs.map((pack, i) => (i === 0 ? { ...pack, ...wrong(pack) } : pack)),
        )
        const { errors } = await checked(repository, { readData: true })
        assert.ok(
          errors.some(({ object, message }) => object === key || message.includes(key)),
          `${what}: ${JSON.stringify(errors)}`,
        )
      }
    })

    it('names an index object that takes one pack for another', async () => {
      const { repository, key } = await withIndex(([first, second, ...rest]) => {
        assert.ok(first && second)
        return [{ ...first, id: second.id, sizeBytes: second.sizeBytes }, second, ...rest]
      })
      assert.ok(objectsOf(await checked(repository, { readData: true })).has(key))
    })

    /** A copy in which the largest index object says something else. */
    async function withIndex(
      change: (packs: readonly IndexedPack[]) => readonly IndexedPack[],
    ): Promise<{ repository: Repository; key: string }> {
      const storage = pristine.clone()
      const repository = open(storage)
      const reading = await readIndex(storage, repository.keys)
      const [largest = assert.fail()] = [...reading.objects()].sort((a, b) => b.packs.length - a.packs.length)
      const { key, object } = encodeIndex(repository.keys, largest.session, 0, change(largest.packs))
      await storage.delete(largest.key)
      await storage.put(key, object)
      return { repository, key }
    }

    it('goes on when the store cannot read an object', async () => {
      for (const folder of ['packs', 'index']) {
        const storage = pristine.clone()
        const [first = '', second = ''] = below(folder)
        const get = storage.get.bind(storage)
        storage.get = async (key, ...rest) => {
          if (key === first) throw new CairnError('STORAGE_UNAVAILABLE', `Cannot read ${key}: input/output error`)
          return get(key, ...rest)
        }
        await storage.put(second, Buffer.from('damaged'))
        const found = await checked(open(storage), { readData: true })
        assert.ok(objectsOf(found).has(second))
        assert.equal(found.errors.find(({ object }) => object === first)?.code, 'STORAGE_UNAVAILABLE')
      }
    })
  })
}

/** Flips a bit of the byte at this part of an object, 0 to 1. */
function flipAt(part: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const at = Math.min(bytes.length - 1, Math.floor(part * bytes.length))
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    return bytes
  }
}

function withByte(bytes: Uint8Array, at: number, xor: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[at] = (changed[at] ?? 0) ^ xor
  return changed
}

/** Where the last id of the first segment of a table begins. */
function lastIdAt(table: Uint8Array): number {
  const id = '0'.repeat(64) as IndexedPack['id']
  const [segment = assert.fail()] = segmentsOf({ id, sizeBytes: 128 << 20, table })
  return segment.ids.byteOffset - table.byteOffset + segment.ids.length - 32
}
