import type { AbortOptions } from '../../base/abort.ts'
import { CairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId, toHex } from '../../base/ids.ts'
import { ChunkHasher } from '../../codec/hash.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { loadLabel, putLabel } from './label-log.ts'
import { commitKey, findObject, forgottenKey, loadSession, looksDead, sessionKey } from './open-session.ts'

/**
 * Claims of snapshot names: `names/<keyed hash of the name>-<n>` says for which snapshot the name is claimed (docs/concurrency.md,
 * "Names"). The claim with the highest n is the one in force, and it counts only while its run is open, or its snapshot is there
 * and has this name. A claim that no longer counts is passed over by putting n + 1 if absent, so of several that see the same
 * stale claim exactly one gets the name, and nothing is deleted.
 *
 * A damaged claim counts as nobody's. The worst that can come of it is a second snapshot of the same name: both are listed and
 * each has its id; whereas a claim that nobody can read and nobody may pass over would bar the name for good. It needs no seal:
 * damage never makes it another run's, since ids are 128 random bits.
 */
export interface NameClaim {
  /** The snapshot that has the name, or is to have it. */
  readonly snapshot: SessionId
  /** How: as the name it is committed with (`undefined`), by a label that comes later, or in place of another snapshot. */
  readonly way?: 'renamed' | { readonly inPlaceOf: SessionId } | undefined
}

/** Bytes of a claim of a run for its own snapshot; those of any other claim are more. */
const RUN_CLAIM_BYTES = 32

export function encodeClaim({ snapshot, way }: NameClaim): Buffer {
  if (way === undefined) return Buffer.from(snapshot)
  return Buffer.from(way === 'renamed' ? `${snapshot} renamed` : `${snapshot} in place of ${way.inPlaceOf}`)
}

/** `undefined` when it is damaged. */
export function decodeClaim(object: Uint8Array): NameClaim | undefined {
  const [, id = '', renamed, other = ''] =
    /^([0-9a-f]{32})(?:( renamed)| in place of ([0-9a-f]{32}))?$/.exec(Buffer.from(object).toString('latin1')) ?? []
  const snapshot = asSessionId(id)
  const inPlaceOf = asSessionId(other)
  return snapshot && { snapshot, way: renamed ? 'renamed' : inPlaceOf && { inPlaceOf } }
}

export interface ClaimOptions extends AbortOptions {
  /** The snapshot that has the name now, and gives it up: its claim is passed over. */
  readonly inPlaceOf?: SessionId | undefined
}

/**
 * Claims `name` for a session. A run that holds the name but is known to be dead is fenced first.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when a snapshot or a living run has the name
 */
export async function claimName(
  storage: Storage,
  keys: RepositoryKeys,
  name: string,
  session: SessionId,
  options: ClaimOptions,
): Promise<void> {
  const { inPlaceOf } = options
  await new NameClaims(storage, keys, name, options).claim({ snapshot: session, way: inPlaceOf && { inPlaceOf } })
}

/**
 * Gives a committed snapshot another name: claims it, then puts the label, unless somebody else has got the name meanwhile.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when a snapshot or a living run has the name; then nothing has changed
 */
export async function claimAndRename(
  storage: Storage,
  keys: RepositoryKeys,
  name: string,
  snapshot: SessionId,
  options: AbortOptions,
): Promise<void> {
  const claims = new NameClaims(storage, keys, name, options)
  const number = await claims.claim({ snapshot, way: 'renamed' })
  for (;;) {
    // In this order: whoever passes over the claim after the look at it puts a label that this one then finds in its place.
    const head = await loadLabel(storage, keys, snapshot, { ...options, onDamaged: ignore })
    if ((await claims.newest()) !== number) throw claims.taken('another run has just got it')
    if (await putLabel(storage, keys, snapshot, head, { name }, options)) return
  }
}

class NameClaims {
  readonly #storage: Storage
  readonly #keys: RepositoryKeys
  readonly #name: string
  readonly #options: ClaimOptions
  readonly #prefix: string

  constructor(storage: Storage, keys: RepositoryKeys, name: string, options: ClaimOptions) {
    this.#storage = storage
    this.#keys = keys
    this.#name = name
    this.#options = options
    this.#prefix = `names/${toHex(new ChunkHasher(keys.names).hash(Buffer.from(name)))}-`
  }

  taken(found: string): CairnError {
    return new CairnError(
      'SNAPSHOT_EXISTS',
      `Cannot use the snapshot name '${this.#name}': ${found}; choose another name`,
    )
  }

  /** Puts a claim that is in force, and returns its number. */
  async claim(wanted: NameClaim): Promise<number> {
    const object = encodeClaim(wanted)
    for (;;) {
      const newest = await this.newest()
      const holder = newest > 0 ? await this.#read(newest) : undefined
      // An earlier try had been answered too late, or not at all.
      const isOwn = wanted.way !== 'renamed' && holder?.snapshot === wanted.snapshot
      if (!isOwn) {
        await this.#requireStale(holder, wanted.snapshot)
        if (!(await this.#storage.putIfAbsent(`${this.#prefix}${newest + 1}`, object, this.#options))) continue
      }
      const number = isOwn ? newest : newest + 1
      if (number > 1) await this.#settle(number)
      return number
    }
  }

  /** The number of the claim in force; 0 when there is none. */
  async newest(): Promise<number> {
    let newest = 0
    for await (const { number } of this.#list()) newest = Math.max(newest, number)
    return newest
  }

  async *#list(): AsyncGenerator<{ number: number; sizeBytes: number }> {
    for await (const { key, sizeBytes } of this.#storage.list(this.#prefix, this.#options)) {
      const number = key.slice(this.#prefix.length)
      if (/^[1-9]\d{0,8}$/.test(number)) yield { number: Number(number), sizeBytes }
    }
  }

  async #read(number: number): Promise<NameClaim | undefined> {
    return decodeClaim(await this.#storage.get(`${this.#prefix}${number}`, undefined, this.#options))
  }

  /** @throws {CairnError} `SNAPSHOT_EXISTS` when a claim counts */
  async #requireStale(claim: NameClaim | undefined, own: SessionId): Promise<void> {
    const { inPlaceOf } = this.#options
    if (!claim) return
    if (await this.#isOpen(claim.snapshot, own)) throw this.taken('a run in progress has it')
    const { way } = claim
    const holders = [claim.snapshot, ...(typeof way === 'object' ? [way.inPlaceOf] : [])]
    for (const holder of holders)
      if (holder !== inPlaceOf && (await this.#isNameOf(holder, way))) throw this.taken('a snapshot has it')
  }

  /** Whether this is the name of a snapshot that is there. */
  async #isNameOf(snapshot: SessionId, way: NameClaim['way']): Promise<boolean> {
    if (!(await this.#isVisible(snapshot))) return false
    const { label } = await loadLabel(this.#storage, this.#keys, snapshot, { ...this.#options, onDamaged: ignore })
    // Without a label it has the name it was committed with: that which its run claimed.
    return label.name === undefined ? way !== 'renamed' : label.name === this.#name
  }

  async #isVisible(snapshot: SessionId): Promise<boolean> {
    const register = await findObject(this.#storage, commitKey(snapshot), this.#options)
    if (!register || register.sizeBytes === 0) return false
    return !(await findObject(this.#storage, forgottenKey(snapshot), this.#options))
  }

  /**
   * Sees to it that no claim below `number` can come to count any more. A run that ended, or was fenced, cannot come back. But
   * somebody who renames a snapshot may have looked at the claims when his was the newest, and be about to put the label: so a
   * label is put before him, which says what the last one said. If he was quicker, the name is taken.
   */
  async #settle(number: number): Promise<void> {
    const [storage, keys] = [this.#storage, this.#keys]
    const options = { ...this.#options, onDamaged: ignore }
    for await (const lower of this.#list()) {
      if (lower.number >= number || lower.sizeBytes === RUN_CLAIM_BYTES) continue
      const claim = await this.#read(lower.number)
      if (claim?.way !== 'renamed' || !(await this.#isVisible(claim.snapshot))) continue
      for (;;) {
        const head = await loadLabel(storage, keys, claim.snapshot, options)
        if (head.label.name === this.#name && claim.snapshot !== this.#options.inPlaceOf)
          throw this.taken('a snapshot has just got it')
        if (await putLabel(storage, keys, claim.snapshot, head, {}, options)) break
      }
    }
  }

  /** Whether a run is under way; one known to be dead is fenced, and so is none. */
  async #isOpen(holder: SessionId, own: SessionId): Promise<boolean> {
    const [storage, options] = [this.#storage, this.#options]
    // The open session first: a run that commits in between is then seen in its register.
    const open = await findObject(storage, sessionKey(holder), options)
    const register = await findObject(storage, commitKey(holder), options)
    if (register || !open) return false
    // The store's clock at a moment not before `open` was listed as silent: when it took our own session object. Who renames a
    // snapshot has none, and so takes nobody's silence for death.
    const nowMs = (await findObject(storage, sessionKey(own), options))?.modifiedAtMs ?? 0
    if (!looksDead(await loadSession(storage, this.#keys, holder, options), nowMs - open.modifiedAtMs)) return true
    // Its session object stays: it tells the next run that opens that this one may have left packs. If it has just committed, its
    // register says so.
    await storage.putIfAbsent(commitKey(holder), Buffer.alloc(0), options)
    return false
  }
}

function ignore(): void {}
