import type { AbortOptions } from '../base/abort.ts'
import { CHUNK_ID_BYTES, type SessionId } from '../base/ids.ts'
import type { LostPart } from '../repository/low-level.ts'
import type { Repository } from '../repository/repository.ts'
import type { Findings } from './findings.ts'
import { type ChunkPlace, type Survey, type SurveyedPack, survey } from './survey.ts'

/** How often the store is looked at again while its index changes under the eyes of a check; then what is missing is missing. */
const MAX_SURVEYS = 5

/**
 * The index as a check knows it: the last survey, and what was found damaged since. Nothing is called missing before a second
 * look at the store has found the same index: what other runs do meanwhile must never look like damage.
 */
export class CheckedIndex {
  readonly #repository: Repository
  readonly #findings: Findings
  readonly #looksAtPacks: boolean
  readonly #options: AbortOptions
  #survey: Survey
  #surveys = 1
  #isConfirmed = false
  /** By claim: what of the pack cannot be read where the claim has it; names of parts. */
  readonly #lost = new Map<string, Set<string>>()

  private constructor(
    repository: Repository,
    findings: Findings,
    looksAtPacks: boolean,
    first: Survey,
    options: AbortOptions,
  ) {
    this.#repository = repository
    this.#findings = findings
    this.#looksAtPacks = looksAtPacks
    this.#options = options
    this.#survey = first
  }

  /** Surveys the repository, and reports damaged index objects and packs that are missing or of the wrong size. */
  static async load(
    repository: Repository,
    findings: Findings,
    looksAtPacks: boolean,
    options: AbortOptions,
  ): Promise<CheckedIndex> {
    const first = await survey(repository, looksAtPacks, options)
    const index = new CheckedIndex(repository, findings, looksAtPacks, first, options)
    while (index.#survey.packs.some(hasWrongSize) && (await index.#look()));
    index.#report()
    return index
  }

  get packs(): readonly SurveyedPack[] {
    return this.#survey.packs
  }

  get orphans(): Survey['orphans'] {
    return this.#survey.orphans
  }

  get commits(): ReadonlySet<SessionId> {
    return this.#survey.commits
  }

  /** Distinct chunks. */
  get chunks(): number {
    return this.#survey.chunks.size
  }

  /** Whether some copy of a chunk can be read, as far as is known; its id is the 32 bytes from `offset` on. */
  has(bytes: Uint8Array, offset = 0): boolean {
    if (this.#lost.size === 0) return this.#survey.chunks.has(bytes, offset)
    return this.find(bytes.subarray(offset, offset + CHUNK_ID_BYTES)) !== undefined
  }

  /** A copy of the chunk that is not known to be lost. */
  find(id: Uint8Array): ChunkPlace | undefined {
    for (const place of this.#survey.chunks.find(id)) {
      const { pack, segmentOffset, segmentBytes, position } = place
      const lost = this.#lost.get(pack.claim)
      if (!lost) return place
      const isLost =
        segmentOffset + segmentBytes > (pack.storedBytes ?? 0) ||
        lost.has(ALL) ||
        lost.has(partName({ segmentOffset, position: undefined })) ||
        lost.has(partName({ segmentOffset, position }))
      if (!isLost) return place
    }
    return undefined
  }

  /** Remembers that parts of a pack, or all of it, cannot be read where its index object says. */
  lose(pack: SurveyedPack, parts: readonly LostPart[] | 'all'): void {
    const lost = this.#lost.get(pack.claim) ?? new Set()
    this.#lost.set(pack.claim, lost)
    if (parts === 'all') lost.add(ALL)
    else for (const part of parts) lost.add(partName(part))
  }

  /**
   * Looks at the store again, and returns whether its index has changed, so that whatever seemed to be missing has to be looked
   * for again. Once nothing has gone between two looks, what is missing is missing, and no further look is taken.
   */
  async refresh(): Promise<boolean> {
    const hasChanged = await this.#look()
    if (this.#isConfirmed) this.#report()
    return hasChanged
  }

  async #look(): Promise<boolean> {
    if (this.#isConfirmed || this.#surveys >= MAX_SURVEYS) return false
    const before = this.#survey.indexKeys
    this.#surveys++
    this.#survey = await survey(this.#repository, this.#looksAtPacks, this.#options)
    const { indexKeys } = this.#survey
    this.#isConfirmed = before.isSubsetOf(indexKeys)
    return !this.#isConfirmed || before.size < indexKeys.size
  }

  #report(): void {
    const { damagedIndex, notes, packs, orphans } = this.#survey
    for (const { key, error } of damagedIndex) {
      this.#findings.error({ code: error.code, object: key, message: error.message })
    }
    for (const { object, message } of notes) this.#findings.note(object, message)
    for (const { key } of orphans) {
      this.#findings.note(key, 'is in no index: its run is still going on, or was interrupted')
    }
    for (const pack of packs) {
      if (!hasWrongSize(pack)) continue
      this.lose(pack, pack.storedBytes === undefined ? 'all' : [])
      const found =
        pack.storedBytes === undefined
          ? 'it is missing'
          : `it has ${pack.storedBytes} bytes, ${pack.indexKey} says ${pack.sizeBytes}`
      this.#findings.packError(pack.key, pack.id, 'DATA_CORRUPT', `Cannot use pack ${pack.id}: ${found}`)
    }
  }
}

const ALL = 'all'

function partName({ segmentOffset, position }: LostPart): string {
  return position === undefined ? `${segmentOffset}` : `${segmentOffset}:${position}`
}

function hasWrongSize(pack: SurveyedPack): boolean {
  return pack.storedBytes !== pack.sizeBytes
}
