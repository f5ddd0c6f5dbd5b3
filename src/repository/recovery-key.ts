import { checkCharacter, cleanBase32, encodeBase32 } from '../codec/base32.ts'
import { randomBytes } from '../codec/random.ts'

/**
 * A recovery key is a passphrase that nobody has to remember: 160 random bits in 8 groups of 5 characters, to be written down. The
 * last character of each group checks the group and its place (docs/format.md, "Key slots").
 */
const GROUPS = 8
const GROUP_LENGTH = 5
const DATA_LENGTH = GROUP_LENGTH - 1

/** A new one, in the form in which it is the passphrase of a slot: `7ZQX4-1M0KB-…`. */
export function newRecoveryKey(): string {
  const data = encodeBase32(randomBytes((GROUPS * DATA_LENGTH * 5) / 8))
  return Array.from({ length: GROUPS }, (_, group) => {
    const characters = data.slice(group * DATA_LENGTH, (group + 1) * DATA_LENGTH)
    return characters + checkCharacter(characters, group + 1)
  }).join('-')
}

/** The recovery key that somebody typed, in whatever case and spacing, as it was printed; `undefined` when it is none. */
export function canonicalRecoveryKey(typed: string): string | undefined {
  const groups = groupsOf(typed)
  return groups?.every(isRight) ? groups.join('-') : undefined
}

/**
 * The groups, counted from 1, of a recovery key that were mistyped; empty for what is no recovery key, right or wrong. That is
 * said only of text in which most groups are right.
 */
export function mistypedGroups(typed: string): number[] {
  const groups = groupsOf(typed) ?? []
  const wrong = groups.flatMap((group, i) => (isRight(group, i) ? [] : [i + 1]))
  return wrong.length * 2 <= groups.length ? wrong : []
}

function groupsOf(typed: string): string[] | undefined {
  const text = cleanBase32(typed)
  if (!/^[0-9A-Z]*$/.test(text) || text.length !== GROUPS * GROUP_LENGTH) return undefined
  return Array.from({ length: GROUPS }, (_, group) => text.slice(group * GROUP_LENGTH, (group + 1) * GROUP_LENGTH))
}

function isRight(group: string, place: number): boolean {
  return checkCharacter(group.slice(0, DATA_LENGTH), place + 1) === group.slice(DATA_LENGTH)
}
