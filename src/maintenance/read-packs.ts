import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { type CairnError, isCairnError } from '../base/errors.ts'
import { workerScript } from '../platform/installation.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import { type PackVerdict, getOrError, readIndexedPack } from '../repository/low-level.ts'
import type { Repository } from '../repository/repository.ts'
import type { VerifyInit, VerifyJob } from './check-worker.ts'
import type { CheckedIndex } from './checked-index.ts'
import type { Findings } from './findings.ts'
import type { SurveyedPack } from './survey.ts'

export interface ReadPacksOptions extends AbortOptions {
  readonly repository: Repository
  readonly index: CheckedIndex
  readonly findings: Findings
  readonly workers: number
}

/**
 * Reads packs wholly and verifies every byte in worker threads; what cannot be read is reported and noted in the index. Each
 * worker has one pack at hand and one on its way.
 *
 * @returns how many packs could be read to their end, sound or not
 */
export async function readPacks(packs: readonly SurveyedPack[], options: ReadPacksOptions): Promise<number> {
  await using pool = new WorkerPool<VerifyJob, PackVerdict>({
    script: workerScript('maintenance/check-worker'),
    count: Math.max(1, Math.min(options.workers, packs.length)),
    init: { keys: options.repository.keys } satisfies VerifyInit,
  })
  return await new PackReading(packs, options, pool).run() // before the pool is closed
}

class PackReading {
  readonly #packs: readonly SurveyedPack[]
  readonly #options: ReadPacksOptions
  readonly #pool: WorkerPool<VerifyJob, PackVerdict>
  readonly #bytesTotal: number
  #done = 0
  #read = 0
  /** Packs that are not there any more: reclaimed by another run, or lost. */
  readonly #gone: SurveyedPack[] = []

  constructor(packs: readonly SurveyedPack[], options: ReadPacksOptions, pool: WorkerPool<VerifyJob, PackVerdict>) {
    // What is missing has been reported.
    this.#packs = packs.filter(({ storedBytes }) => storedBytes !== undefined)
    this.#options = options
    this.#pool = pool
    this.#bytesTotal = this.#packs.reduce((sum, { storedBytes = 0 }) => sum + storedBytes, 0)
  }

  async run(): Promise<number> {
    this.#progress()
    const next = this.#packs[Symbol.iterator]()
    await Promise.all(Array.from({ length: this.#pool.size }, (_, worker) => this.#work(worker, next)))
    if (this.#gone.length > 0) await this.#lookForGone()
    return this.#read
  }

  async #work(worker: number, packs: Iterator<SurveyedPack>): Promise<void> {
    let ahead = this.#fetchNext(packs)
    for (;;) {
      const fetched = await ahead
      if (!fetched) return
      ahead = this.#fetchNext(packs)
      ahead.catch(() => undefined) // awaited in the next turn
      throwIfAborted(this.#options.signal)
      await this.#verify(worker, fetched.pack, fetched.bytes)
      this.#done++
      this.#progress()
    }
  }

  async #fetchNext(
    packs: Iterator<SurveyedPack>,
  ): Promise<{ pack: SurveyedPack; bytes: Uint8Array | CairnError } | undefined> {
    const { value: pack, done } = packs.next()
    if (done) return undefined
    return { pack, bytes: await getOrError(this.#options.repository.storage, pack.key, this.#options) }
  }

  async #verify(worker: number, pack: SurveyedPack, bytes: Uint8Array | CairnError): Promise<void> {
    const { index, findings } = this.#options
    if (isCairnError(bytes, 'NOT_FOUND')) {
      this.#gone.push(pack)
    } else if (isCairnError(bytes)) {
      index.lose(pack, 'all')
      findings.packError(pack.key, pack.id, bytes.code, bytes.message)
    } else {
      this.#read++
      findings.bytesRead += bytes.length
      const verdict = await this.#run(worker, pack, bytes)
      if (verdict.problem === undefined) return
      index.lose(pack, verdict.lost ?? (await this.#lostParts(worker, pack)) ?? 'all')
      const message = `Cannot use pack ${pack.id}: ${verdict.problem}`
      if (!verdict.isIndexToBlame) findings.packError(pack.key, pack.id, 'DATA_CORRUPT', message)
      else
        findings.error({
          code: 'DATA_CORRUPT',
          object: pack.indexKey,
          message: `Cannot rely on ${pack.indexKey}: ${message}`,
        })
    }
  }

  #run(worker: number, pack: SurveyedPack, bytes: Uint8Array, table?: Uint8Array): Promise<PackVerdict> {
    const { id, sizeBytes, header, digest } = pack
    const isWhole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength
    const transfer = isWhole ? [bytes.buffer as ArrayBuffer] : []
    return this.#pool.run(worker, { claim: { id, sizeBytes, header, digest }, bytes, table }, { transfer })
  }

  /** What of a pack cannot be read whose own table is of no use: the index object is read again for what it says. */
  async #lostParts(worker: number, pack: SurveyedPack): Promise<PackVerdict['lost']> {
    const { repository } = this.#options
    const named = await readIndexedPack(repository.storage, repository.keys, pack.indexKey, pack, this.#options)
    const bytes = await getOrError(repository.storage, pack.key, this.#options)
    if (!named || isCairnError(bytes)) return undefined
    return (await this.#run(worker, pack, bytes, Buffer.from(named.table))).lost
  }

  /** Packs that are still named by the index are lost; the others were reclaimed while others were read. */
  async #lookForGone(): Promise<void> {
    const { index, findings } = this.#options
    await index.refresh()
    const claims = new Set(index.packs.map(({ claim }) => claim))
    for (const pack of this.#gone) {
      if (!claims.has(pack.claim)) continue
      index.lose(pack, 'all')
      findings.packError(pack.key, pack.id, 'DATA_CORRUPT', `Cannot use pack ${pack.id}: it is missing`)
    }
  }

  #progress(): void {
    this.#options.findings.progress({
      phase: 'packs',
      done: this.#done,
      total: this.#packs.length,
      bytesTotal: this.#bytesTotal,
      currentPath: '',
    })
  }
}
