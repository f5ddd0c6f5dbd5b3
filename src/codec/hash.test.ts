import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ChunkHasher, blake3, deriveKey } from './hash.ts'

// The types of Node leave it out.
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum?: number; shared?: boolean }) => { buffer: ArrayBuffer }
}

/** From the official test_vectors.json of BLAKE3, first 32 bytes of each output; the input is i mod 251. */
const KEY = Buffer.from('whats the Elvish word for friend')
const CONTEXT = 'BLAKE3 2019-12-27 16:29:52 test vectors context'
const VECTORS = [
  {
    length: 0,
    hash: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    keyed: '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
    derived: '2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d',
  },
  {
    length: 1,
    hash: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
    keyed: '6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b',
    derived: 'b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c',
  },
  {
    length: 1023,
    hash: '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11',
    keyed: 'c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e',
    derived: '74a16c1c3d44368a86e1ca6df64be6a2f64cce8f09220787450722d85725dea5',
  },
  {
    length: 1024,
    hash: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
    keyed: '75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4',
    derived: '7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706',
  },
  {
    length: 1025,
    hash: 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444',
    keyed: '357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69',
    derived: 'effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb',
  },
  {
    length: 31744,
    hash: '62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47',
    keyed: 'efa53b389ab67c593dba624d898d0f7353ab99e4ac9d42302ee64cbf9939a419',
    derived: '39772aef80e0ebe60596361e45b061e8f417429d529171b6764468c22928e28e',
  },
]

const input = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251)

describe('BLAKE3', () => {
  it('gives the official results in all three modes', () => {
    const keyed = new ChunkHasher(KEY)
    for (const vector of VECTORS) {
      const data = input(vector.length)
      assert.equal(blake3(data).toString('hex'), vector.hash)
      assert.equal(keyed.hash(data).toString('hex'), vector.keyed)
      assert.equal(deriveKey(CONTEXT, data).toString('hex'), vector.derived)
    }
  })
})

describe('ChunkHasher', () => {
  it('forgets what it hashed before', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), (chunks) => {
        const keyed = new ChunkHasher(KEY)
        const unkeyed = new ChunkHasher()
        for (const chunk of chunks) {
          assert.deepEqual(keyed.hash(chunk), new ChunkHasher(KEY).hash(chunk))
          assert.deepEqual(unkeyed.hash(chunk), blake3(chunk))
        }
      }),
    )
  })

  it('gives every caller a result of its own', () => {
    const hasher = new ChunkHasher(KEY)
    const first = hasher.hash(input(1))
    hasher.hash(input(1024)).fill(0)
    assert.equal(first.toString('hex'), VECTORS[1]?.keyed)
  })

  it('keeps its key when the buffer it was made from is wiped', () => {
    const key = Buffer.from(KEY)
    const hasher = new ChunkHasher(key)
    key.fill(0)
    assert.equal(hasher.hash(input(1)).toString('hex'), VECTORS[1]?.keyed)
  })

  it('hashes views of WebAssembly and shared memory in place', () => {
    const hasher = new ChunkHasher(KEY)
    const memories = [
      new WebAssembly.Memory({ initial: 1 }).buffer,
      new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer,
      new SharedArrayBuffer(65_536),
      new ArrayBuffer(65_536),
    ]
    for (const memory of memories) {
      const view = new Uint8Array(memory, 333, 31_744)
      view.set(input(31_744))
      assert.equal(hasher.hash(view).toString('hex'), VECTORS[5]?.keyed)
      assert.equal(hasher.hash(view.subarray(0, 1025)).toString('hex'), VECTORS[4]?.keyed)
      assert.equal(blake3(view).toString('hex'), VECTORS[5]?.hash)
      view[5000] = 0
      assert.notEqual(hasher.hash(view).toString('hex'), VECTORS[5]?.keyed)
    }
  })

  it('refuses a key of the wrong length instead of ending the process', () => {
    for (const length of [0, 31, 33]) assert.throws(() => new ChunkHasher(new Uint8Array(length)), RangeError)
  })
})
