import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { testBytes } from '../../chunker/testing.ts'
import { newTestRepository, saveChunks } from '../testing.ts'
import { WriteSession } from '../write-session.ts'
import { type IndexedPack, decodeIndex } from '../index/index-object.ts'
import { packKey } from '../repository.ts'
import { keysOf } from '../testing.ts'
import { readPackTable } from './pack-format.ts'
import { type PackClaim, PackVerifier, digestOf } from './pack-verifier.ts'

for (const encryption of ['keyfile', 'none'] as const) {
  describe(`PackVerifier (${encryption})`, () => {
    let pack: IndexedPack
    let claim: PackClaim
    let bytes: Uint8Array
    let verifier: PackVerifier
    const segments = (): number[] => [...readPackTable(pack.table, pack.sizeBytes, 'test')].map(({ offset }) => offset)

    before(async () => {
      const { repository, storage } = await newTestRepository({ encryption })
      const session = await WriteSession.open(repository)
      // Two segments: chunks that do not compress, larger than one takes.
      const chunks = [...Array(12).keys()].map((i) => testBytes(`chunk ${i}`, 700_000))
      await saveChunks(repository, session, [...chunks, Buffer.from('small')])
      await session.commit({})
      const [indexKey = ''] = await keysOf(storage, 'index/')
      pack = decodeIndex(repository.keys, indexKey, await storage.get(indexKey))[0] ?? assert.fail()
      claim = { ...pack, digest: digestOf(pack) }
      bytes = await storage.get(packKey(pack.id))
      verifier = new PackVerifier(repository.keys)
      assert.ok(segments().length > 1)
    })

    /** A copy: what is verified is not used again. */
    const flipped = (at: number): Uint8Array => {
      const copy = Uint8Array.from(bytes)
      copy[at] = (copy[at] ?? 0) ^ 0x10
      return copy
    }

    it('finds a sound pack sound', () => {
      assert.deepEqual(verifier.verify(claim, Uint8Array.from(bytes)), {
        problem: undefined,
        isIndexToBlame: false,
        lost: [],
      })
    })

    it('finds every flipped bit, and knows which segment it costs', () => {
      const starts = segments()
      for (let i = 0; i <= 60; i++) {
        const at = i < 60 ? Math.floor((i * bytes.length) / 60) : bytes.length - 1
        const { problem, lost, isIndexToBlame } = verifier.verify(claim, flipped(at), pack.table)
        assert.equal(problem, 'its bytes are not those that were written', `byte ${at}`)
        assert.equal(isIndexToBlame, false)
        const hit = at < 48 ? undefined : starts.findLast((start) => start <= at)
        const isTable = at >= bytes.length - 4 - 16 - pack.table.length
        const want = hit === undefined || isTable ? [] : [{ segmentOffset: hit, position: undefined }]
        assert.deepEqual(lost, want, `byte ${at}`)
      }
    })

    it("asks for the index's table when the pack's own cannot be read or says something else", () => {
      for (const damaged of [
        flipped(bytes.length - 1),
        flipped(bytes.length - 100),
        bytes.slice(0, 30),
        bytes.slice(9),
      ]) {
        const { problem, lost } = verifier.verify(claim, damaged)
        assert.ok(problem)
        assert.equal(lost, undefined)
      }
    })

    it('knows what is left of a pack that was cut off', () => {
      const starts = segments()
      for (const length of [0, 1, 47, 48, 100_000, (starts[1] ?? 0) + 1, bytes.length - 30, bytes.length - 1]) {
        const { problem, lost } = verifier.verify(claim, bytes.slice(0, length), pack.table)
        assert.equal(problem, `it has ${length} bytes, the index says ${bytes.length}`)
        const ends = [...starts.slice(1), bytes.length - 4 - 16 - pack.table.length]
        const want = starts.filter((_, i) => (ends[i] ?? 0) > length)
        assert.deepEqual(
          lost?.map(({ segmentOffset }) => segmentOffset),
          want,
        )
      }
    })

    it('blames the index for what it alone says', () => {
      const table = Buffer.from(pack.table)
      const [segment = assert.fail()] = readPackTable(table, pack.sizeBytes, 'test')
      segment.ids[5] = (segment.ids[5] ?? 0) ^ 1 // a view of the table
      const wrong = { ...pack, table }
      const { problem, isIndexToBlame, lost } = verifier.verify(
        { ...wrong, digest: digestOf(wrong) },
        Uint8Array.from(bytes),
        table,
      )
      assert.match(problem ?? '', /the index says other things/)
      assert.equal(isIndexToBlame, true)
      assert.deepEqual(lost, [{ segmentOffset: 48, position: 0 }])
    })
  })
}
