import { CairnError } from '../base/errors.ts'
import { formatExactBytes, parseBytes } from '../base/sizes.ts'
import { FORMAT_VERSION, type Repository, type RepositorySettings } from '../repository/repository.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'

/** One line of a repository's configuration, in Borg's names. */
export interface ConfigEntry {
  readonly name: string
  /** As a person writes it; sizes as `parseBytes` reads them. */
  readonly text: string
  /** Bytes for sizes. */
  readonly value: string | number | boolean
  /** `setConfig` and `unsetConfig` take it. */
  readonly isSetting: boolean
}

const SETTINGS: Readonly<Record<string, keyof RepositorySettings>> = {
  additional_free_space: 'additionalFreeSpace',
  storage_quota: 'storageQuota',
  append_only: 'appendOnly',
}

/** What everybody may read and nobody may change. */
const FACTS: Readonly<Record<string, (repository: Repository) => string | number>> = {
  version: () => FORMAT_VERSION,
  id: (repository) => repository.id,
}

const NAMES = [...Object.keys(FACTS), ...Object.keys(SETTINGS)]

/** All of a repository's configuration. */
export async function listConfig(access: RepositoryAccess): Promise<ConfigEntry[]> {
  return withRepository(access, async (repository) => NAMES.map((name) => entryOf(repository, name)))
}

/** One value. @throws {CairnError} `INVALID_ARGUMENT` for an unknown name */
export async function getConfig(access: RepositoryAccess, name: string): Promise<ConfigEntry> {
  if (!NAMES.includes(name)) throw unknownName(name)
  return withRepository(access, async (repository) => entryOf(repository, name))
}

/**
 * Changes a setting, for all runs that open the repository from then on. Sizes are written like `2G`, switches 0 or 1; 0 is off.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for an unknown name, one that cannot be changed, or a value that makes no sense
 */
export async function setConfig(access: RepositoryAccess, name: string, value: string): Promise<void> {
  const setting = settingOf(name)
  const meant = setting === 'appendOnly' ? parseSwitch(name, value) : parseBytes(value)
  await withRepository(access, (repository) => repository.changeSettings({ [setting]: meant }, access))
}

/** Puts a setting back to its default. @throws {CairnError} as `setConfig` */
export async function unsetConfig(access: RepositoryAccess, name: string): Promise<void> {
  await setConfig(access, name, '0')
}

function entryOf(repository: Repository, name: string): ConfigEntry {
  const fact = FACTS[name]?.(repository)
  if (fact !== undefined) return { name, text: String(fact), value: fact, isSetting: false }
  const value = repository.config.settings[settingOf(name)]
  if (typeof value === 'boolean') return { name, text: value ? '1' : '0', value, isSetting: true }
  return { name, text: formatExactBytes(value), value, isSetting: true }
}

function parseSwitch(name: string, value: string): boolean {
  if (value === '0' || value === '1') return value === '1'
  throw new CairnError('INVALID_ARGUMENT', `Cannot set ${name} to '${value}': it is 1 for on, 0 for off`)
}

function settingOf(name: string): keyof RepositorySettings {
  const setting = Object.hasOwn(SETTINGS, name) ? SETTINGS[name] : undefined
  if (setting) return setting
  if (!NAMES.includes(name)) throw unknownName(name)
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot change '${name}': it is fixed for good; what can be changed is ${Object.keys(SETTINGS).join(', ')}`,
  )
}

function unknownName(name: string): CairnError {
  const meant = NAMES.find((known) => isClose(lettersOf(name), lettersOf(known)))
  const hint = meant ? `did you mean ${meant}? There are ${NAMES.join(', ')}` : `want one of ${NAMES.join(', ')}`
  return new CairnError('INVALID_ARGUMENT', `Cannot find '${name}' in the configuration of a repository; ${hint}`)
}

function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, '')
}

/** Whether one text is part of the other, or they share nearly all pairs of letters: `freespace`, `additional_free_spcae`. */
function isClose(typed: string, known: string): boolean {
  if (typed.length < 3) return false
  if (known.includes(typed) || typed.includes(known)) return true
  const [a, b] = [pairsOf(typed), pairsOf(known)]
  return (2 * a.intersection(b).size) / (a.size + b.size) > 0.6
}

function pairsOf(text: string): Set<string> {
  return new Set(Array.from(text.slice(1), (letter, i) => `${text[i]}${letter}`))
}
