import type { Snapshot } from '../snapshot/snapshot.ts'

/** What a policy looks at. */
export type Candidate = Pick<
  Snapshot,
  'id' | 'name' | 'startedAt' | 'endedAt' | 'hostname' | 'paths' | 'tags' | 'checkpoint' | 'pinned'
>

/** Borg's rules, each of which counts what the ones before it do not keep. */
export const BORG_RULES = [
  'last',
  'secondly',
  'minutely',
  'hourly',
  'daily',
  'weekly',
  'monthly',
  'quarterly_13weekly',
  'quarterly_3monthly',
  'yearly',
] as const

export type BorgRule = (typeof BORG_RULES)[number]

/** Kopia's rules, which know nothing of each other. */
export const KOPIA_RULES = ['latest', 'hourly', 'daily', 'weekly', 'monthly', 'annual'] as const

export type KopiaRule = (typeof KOPIA_RULES)[number]

/**
 * As `borg prune`: of each of the latest periods that have snapshots, the last one. Rules exclude each other: a snapshot that a finer
 * one keeps does not count for a coarser one, so numbers add up.
 */
export interface BorgPolicy {
  readonly kind: 'borg'
  /** How many periods; `Infinity` for all there are. */
  readonly counts: Readonly<Partial<Record<BorgRule, number>>>
  /** Everything younger than this is kept, and counts for no rule. */
  readonly withinMs?: number | undefined
  readonly keepTags?: TagSets | undefined
}

/** As Kopia: rules overlap, and reach back so many hours, days … from the newest snapshot, whether they have snapshots or not. */
export interface KopiaPolicy {
  readonly kind: 'kopia'
  /** How many periods; `Infinity` for all there are. */
  readonly counts: Readonly<Partial<Record<KopiaRule, number>>>
  readonly keepTags?: TagSets | undefined
}

export type RetentionPolicy = BorgPolicy | KopiaPolicy

/** Fits a snapshot that has all tags of one of the sets. */
export type TagSets = readonly (readonly string[])[]

/** Why a snapshot is kept. */
export type KeepReason =
  | {
      readonly rule: BorgRule | KopiaRule | 'within'
      /** Counted from the newest that this rule keeps, 1. */
      readonly number: number
      /** Not the last of a period: the very oldest, kept while the rule has found fewer than it may keep. */
      readonly oldest?: true
    }
  | { readonly rule: 'tag'; readonly tags: readonly string[] }
  | { readonly rule: 'pinned' }
  /** A checkpoint, and nothing newer has what is in it. */
  | { readonly rule: 'checkpoint' }

/** Why a snapshot goes: no rule keeps it, or it is a checkpoint and a newer snapshot of the same paths took its place. */
export type RemoveReason = 'no-rule' | 'superseded'

export type Decision<S extends Candidate = Candidate> =
  | { readonly snapshot: S; readonly keep: true; readonly reasons: readonly KeepReason[] }
  | { readonly snapshot: S; readonly keep: false; readonly because: RemoveReason }

/** A candidate and the time that counts for it: when its run began, in ms since 1970. */
export interface Timed<S extends Candidate = Candidate> {
  readonly snapshot: S
  readonly timeMs: number
}
