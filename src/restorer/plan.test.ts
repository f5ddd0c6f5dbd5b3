import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { asChunkId } from '../base/ids.ts'
import type { ChunkAddress } from '../repository/repository.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import { type PlannedFile, type PlannedJob, RestorePlan } from './plan.ts'

/** A repository as far as a plan can tell: segments of some packs, a few chunks in each. */
const PACKS = 3
const SEGMENTS = 12
const CHUNKS = 4

interface Chunk {
  readonly ref: ChunkRef
  readonly address: ChunkAddress
}

/** Chunk `n` of all; its id says which it is. Segments lie `stride` bytes apart. */
function chunk(n: number, segmentBytes: number, stride: number): Chunk {
  const segment = Math.floor(n / CHUNKS) % SEGMENTS
  const pack = String(Math.floor(n / CHUNKS / SEGMENTS) % PACKS)
  const id = Buffer.alloc(32)
  id.writeUInt32LE(n)
  const address = {
    packKey: `packs/${pack}`,
    pack,
    header: Buffer.alloc(48),
    segmentOffset: 48 + segment * stride,
    segmentBytes,
  }
  return { ref: { id: asChunkId(id), bytes: 100 + n }, address: { ...address, position: n % CHUNKS } }
}

interface TestFile extends PlannedFile {
  readonly path: string
}

function file(name: number): TestFile {
  return { path: `file-${name}`, jobsLeft: 0, plan: 0 }
}

/** Adds all chunks of a file. */
function addAll(plan: RestorePlan<TestFile>, to: TestFile, chunks: readonly Chunk[]): void {
  if (chunks.length === 0) plan.addEmpty(to)
  let offset = 0
  for (const { ref, address } of chunks) {
    plan.add(to, ref, address, offset)
    offset += ref.bytes
  }
}

/** What a job writes: file, chunk, and where. */
function writesOf(job: PlannedJob<TestFile>): string[] {
  return job.segments.flatMap((segment) =>
    Array.from(segment.files, (number, i) => {
      const n = Buffer.from(segment.ids.subarray(i * 32, i * 32 + 32)).readUInt32LE()
      return `${job.files[number]?.path} ${n}/${segment.positions[i]} at ${segment.contentOffsets[i]} of ${segment.lengths[i]}`
    }),
  )
}

describe('RestorePlan', () => {
  it('writes every chunk of every file once, to its place, and fetches every segment once', () => {
    const anyFiles = fc.array(fc.array(fc.nat(PACKS * SEGMENTS * CHUNKS - 1), { maxLength: 12 }), { maxLength: 30 })
    const anySize = fc.constantFrom(10, 300_000, 1 << 20, 5 << 20)
    fc.assert(
      fc.property(anyFiles, anySize, fc.constantFrom(0, 100, 600_000), (files, segmentBytes, gap) => {
        const plan = new RestorePlan<TestFile>()
        const planned = files.map((_, i) => file(i))
        const want: string[] = []
        for (const [i, numbers] of files.entries()) {
          const chunks = numbers.map((n) => chunk(n, segmentBytes, segmentBytes + gap))
          addAll(plan, planned[i] as TestFile, chunks)
          let offset = 0
          for (const n of numbers) {
            want.push(`file-${i} ${n}/${n % CHUNKS} at ${offset} of ${100 + n}`)
            offset += 100 + n
          }
        }
        assert.ok(planned.every(({ jobsLeft }) => jobsLeft === 1)) // the plan's
        const jobs = plan.take()
        assert.deepEqual(jobs.flatMap(writesOf).sort(), want.sort())

        const fetched = jobs.flatMap((job) => job.segments.map(({ offset }) => `${job.packKey} ${offset}`))
        assert.equal(new Set(fetched).size, fetched.length)
        for (const job of jobs) {
          assert.equal(new Set(job.files).size, job.files.length)
          for (const { offset, bytes } of job.segments)
            assert.ok(offset >= job.offset && offset + bytes <= job.offset + job.length)
          assert.ok(job.length <= 32 << 20) // memory is bounded by it
        }
        for (const one of planned) assert.equal(one.jobsLeft, jobs.filter(({ files }) => files.includes(one)).length)
        assert.ok(planned.every(({ jobsLeft }) => jobsLeft >= 1))
        assert.deepEqual([plan.take(), plan.entries, plan.bytes], [[], 0, 0])
      }),
      { numRuns: 300 },
    )
  })

  it('fetches neighbours together, and not what lies between far ones', () => {
    assert.deepEqual(lengthsOfJobs(1000), [3000])
    assert.deepEqual(lengthsOfJobs(64 << 20), [1000, 1000, 1000])
  })

  it('puts files without content in jobs that fetch nothing', () => {
    const plan = new RestorePlan<TestFile>()
    for (let i = 0; i < 600; i++) plan.addEmpty(file(i))
    const jobs = plan.take()
    assert.ok(jobs.every(({ length, segments }) => length === 0 && segments.length === 0))
    assert.equal(new Set(jobs.flatMap(({ files }) => files)).size, 600)
  })
})

/** Bytes that each job fetches for three segments of 1000 bytes, `stride` bytes apart. */
function lengthsOfJobs(stride: number): number[] {
  const plan = new RestorePlan<TestFile>()
  for (const n of [0, CHUNKS, 2 * CHUNKS]) {
    addAll(plan, file(n), [chunk(n, 1000, stride)])
  }
  return plan.take().map(({ length }) => length)
}
