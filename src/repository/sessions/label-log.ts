import { type AbortOptions } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId } from '../../base/ids.ts'
import type { Storage } from '../../storage/storage.ts'
import { type LoadOptions, passOver } from '../index/load-index.ts'
import type { RepositoryKeys } from '../keys.ts'
import { openObject, parseObject, sealObject } from '../sealed-object.ts'

/**
 * What was changed of a snapshot since its commit, which is never put again: `labels/<sid>-<n>` says all of it, and the one with
 * the highest n counts. A change is put as n + 1 if absent, by who has read n: so no change is lost to another one, nothing is
 * ever overwritten, and whoever puts n + 1 knows that nobody else comes after n.
 *
 * A label that is damaged is passed over for the one before it, and in the end for the commit itself.
 */
export interface Label {
  readonly name?: string | undefined
  readonly comment?: string | undefined
  readonly tags?: readonly string[] | undefined
}

/** The label of a snapshot that counts, and the number after which the next one goes. */
export interface LabelHead {
  /** 0 when there is none yet. */
  readonly number: number
  readonly label: Label
  /** The object's fields, those of newer versions too. */
  readonly value: Readonly<Record<string, unknown>>
}

export const NO_LABEL: LabelHead = { number: 0, label: {}, value: {} }

/** Numbers of the labels there are, highest first, by snapshot; of one snapshot, or of all. */
export async function listLabels(
  storage: Storage,
  snapshot: SessionId | undefined,
  options: AbortOptions,
): Promise<Map<SessionId, number[]>> {
  const found = new Map<SessionId, number[]>()
  for await (const { key } of storage.list(snapshot ? `labels/${snapshot}-` : 'labels/', options)) {
    const parsed = parseLabelKey(key)
    if (!parsed) continue
    const numbers = found.get(parsed.snapshot)
    if (numbers) numbers.push(parsed.number)
    else found.set(parsed.snapshot, [parsed.number])
  }
  for (const numbers of found.values()) numbers.sort((a, b) => b - a)
  return found
}

export function labelKey(snapshot: SessionId, number: number): string {
  return `labels/${snapshot}-${number}`
}

/** The parts of such a key; `undefined` for any other. */
export function parseLabelKey(key: string): { readonly snapshot: SessionId; readonly number: number } | undefined {
  const [, id = '', digits = ''] = /^labels\/([0-9a-f]{32})-([1-9]\d{0,8})$/.exec(key) ?? []
  const snapshot = asSessionId(id)
  return snapshot && { snapshot, number: Number(digits) }
}

/**
 * Reads the newest label that makes sense, of those with these numbers.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming a damaged label, unless `onDamaged` takes it
 */
export async function readLabel(
  storage: Storage,
  keys: RepositoryKeys,
  snapshot: SessionId,
  numbers: readonly number[],
  options: LoadOptions,
): Promise<LabelHead> {
  const [head = 0] = numbers
  for (const number of numbers) {
    const key = labelKey(snapshot, number)
    let object: Uint8Array
    try {
      object = await storage.get(key, undefined, options)
    } catch (error) {
      if (!isCairnError(error, 'NOT_FOUND')) throw error
      continue // its snapshot has been reclaimed
    }
    const read = passOver(options.onDamaged, key, () => decodeLabel(keys, key, object))
    if (read) return { number: head, ...read }
  }
  return { ...NO_LABEL, number: head }
}

/** The label of one snapshot as it is now. @throws {CairnError} as `readLabel` */
export async function loadLabel(
  storage: Storage,
  keys: RepositoryKeys,
  snapshot: SessionId,
  options: LoadOptions,
): Promise<LabelHead> {
  const numbers = (await listLabels(storage, snapshot, options)).get(snapshot) ?? []
  return readLabel(storage, keys, snapshot, numbers, options)
}

/** Puts the label that follows `head`; `false` when there is another one by now, so that `head` has to be read again. */
export async function putLabel(
  storage: Storage,
  keys: RepositoryKeys,
  snapshot: SessionId,
  head: LabelHead,
  change: Label,
  options: AbortOptions,
): Promise<boolean> {
  const key = labelKey(snapshot, head.number + 1)
  const object = sealObject('label', keys, key, Buffer.from(JSON.stringify({ ...head.value, ...change })))
  if (await storage.putIfAbsent(key, object, options)) return true
  // Own bytes: the reply to an earlier try was lost, and it succeeded.
  return object.equals(await storage.get(key, undefined, options))
}

/** @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` naming `key` */
export function decodeLabel(keys: RepositoryKeys, key: string, object: Uint8Array): Pick<LabelHead, 'label' | 'value'> {
  const value = parseObject(openObject('label', keys, key, object), key)
  const { name, comment, tags } = value
  if (!isText(name) || !isText(comment) || !areTexts(tags))
    throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: a field of it makes no sense`)
  return { label: { name, comment, tags }, value }
}

function isText(field: unknown): field is string | undefined {
  return field === undefined || typeof field === 'string'
}

function areTexts(field: unknown): field is string[] | undefined {
  return field === undefined || (Array.isArray(field) && field.every((text) => typeof text === 'string'))
}
