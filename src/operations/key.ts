import { CairnError } from '../base/errors.ts'
import { describeSystemError } from '../platform/files.ts'
import { readInputFile, readStandardInput } from '../platform/input-file.ts'
import { writePrivateFile } from '../platform/private-file.ts'
import { type ImportedKey, importKey as importSlot } from '../repository/import-key.ts'
import { FolderKeyFiles } from '../repository/key-files.ts'
import { type KeyInfo, Keyring, type NewKey } from '../repository/keyring.ts'
import { PaperKeyReader, encodePaperKey } from '../repository/paper-key.ts'
import { newRecoveryKey } from '../repository/recovery-key.ts'
import { openStorage } from '../storage/location.ts'
import type { Storage } from '../storage/storage.ts'
import type { RepositoryAccess } from './repository-access.ts'

export { PaperKeyReader }
export type { ImportedKey, KeyInfo, NewKey }

/** What is asked for once the repository is open, so that nobody chooses a passphrase in vain. */
export interface NewPassphrase {
  /** Whether an empty answer means that none is wanted, which is so for key files. */
  readonly allowEmpty: boolean
}

/** All keys of a repository, oldest first, also those that open nothing any more. */
export async function listKeys(access: RepositoryAccess): Promise<KeyInfo[]> {
  return withKeyring(access, (keys) => keys.list())
}

/** Adds a key that opens with a passphrase of its own. */
export async function addKey(
  access: RepositoryAccess,
  label: string,
  choosePassphrase: (wanted: NewPassphrase) => Promise<string>,
): Promise<KeyInfo> {
  return withKeyring(access, async (keys) => {
    const passphrase = await choosePassphrase({ allowEmpty: false })
    return keys.add({ passphrase, label })
  })
}

/** Adds a key that opens with a new recovery key, which is told once and never again. */
export async function addRecoveryKey(
  access: RepositoryAccess,
  label: string,
): Promise<{ key: KeyInfo; recoveryKey: string }> {
  return withKeyring(access, async (keys) => {
    const recoveryKey = newRecoveryKey()
    return { key: await keys.add({ passphrase: recoveryKey, label, isRecovery: true }), recoveryKey }
  })
}

/** Gives the key that the repository was opened with another passphrase; the old one opens nothing any more. */
export async function changePassphrase(
  access: RepositoryAccess,
  choosePassphrase: (wanted: NewPassphrase) => Promise<string>,
): Promise<KeyInfo> {
  return withKeyring(access, async (keys) => {
    const allowEmpty = keys.encryption === 'keyfile'
    const passphrase = await choosePassphrase({ allowEmpty })
    return keys.changePassphrase(allowEmpty && passphrase === '' ? undefined : passphrase)
  })
}

/** Removes a key by the beginning of its id; never the one that the repository was opened with. @throws {CairnError} `NOT_FOUND` */
export async function removeKey(access: RepositoryAccess, id: string): Promise<KeyInfo> {
  return withKeyring(access, (keys) => keys.remove(id))
}

export interface RotateOptions {
  /** Remove all other keys, which nobody can take along here. */
  readonly removeOthers?: boolean
}

export interface RotateResult {
  readonly key: KeyInfo
  /** How often the key was rotated, now. */
  readonly generation: number
  readonly removed: readonly KeyInfo[]
}

/**
 * Makes a new master key, under which everything is sealed from now on.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` when other keys would have to go and that was not asked for; then nothing was changed
 */
export async function rotateKey(access: RepositoryAccess, options: RotateOptions = {}): Promise<RotateResult> {
  return withKeyring(access, async (keys) => {
    const removed = await keys.planRotation()
    if (removed.length > 0 && !options.removeOthers) {
      const names = removed.map(({ id, label }) => (label === '' ? id.slice(0, 8) : `${id.slice(0, 8)} (${label})`))
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot rotate the key: ${removed.length} other keys would not open the repository any more, ${names.join(', ')}; have them removed with --remove-other-keys, and add them again afterwards`,
      )
    }
    const generation = keys.generation + 1
    return { key: await keys.rotate(), generation, removed }
  })
}

/** The key that the repository was opened with, as text for a file or as lines for paper. With its passphrase it opens the repository. */
export async function exportKey(access: RepositoryAccess, form: 'file' | 'paper'): Promise<ExportedKey> {
  return withKeyring(access, async (keys) => {
    const { text, slot } = keys.exported
    const lines = form === 'file' ? [text.trimEnd()] : encodePaperKey(slot.fields)
    return { repositoryId: slot.repository, key: keys.opened, lines, needsPassphrase: slot.needsPassphrase }
  })
}

export interface ExportedKey {
  readonly repositoryId: string
  readonly key: KeyInfo
  /** Of the file, or of the paper without their numbers. */
  readonly lines: readonly string[]
  readonly needsPassphrase: boolean
}

/** Puts back a key that was exported; `text` is that of its file. See `importKey` of the repository for what is refused. */
export async function importKey(access: RepositoryAccess, text: string): Promise<ImportedKey> {
  return withStorage(access, (storage) => importSlot(storage, text, optionsOf(access)))
}

/** The text of an exported key on paper that was typed into a file. @throws {CairnError} `INVALID_ARGUMENT` naming the wrong line */
export function readPaperKey(text: string): string {
  const reader = new PaperKeyReader()
  // What is printed around the lines may have been typed too.
  for (const line of text.split('\n')) if (/^\s*\d+\s*:/.test(line) && reader.next !== undefined) reader.add(line)
  return reader.slot()
}

/** Text of a small file that the user named, or of standard input (`-`). @throws {CairnError} `INVALID_ARGUMENT` */
export async function readKeyFile(file: string): Promise<string> {
  try {
    return (file === '-' ? await readStandardInput() : readInputFile(file)).toString('utf8')
  } catch (error) {
    throw new CairnError('INVALID_ARGUMENT', `Cannot read the key from ${file}: ${describeSystemError(error)}`, {
      cause: error,
    })
  }
}

/** Writes a new file that its owner alone can read. @throws {CairnError} `TARGET_FAILED`, also when there is one already */
export function writeKeyFile(file: string, text: string): void {
  try {
    writePrivateFile(file, text)
  } catch (error) {
    const found = describeSystemError(error)
    throw new CairnError('TARGET_FAILED', `Cannot write the key to ${file}: ${found}; choose another place`, {
      cause: error,
    })
  }
}

async function withKeyring<T>(access: RepositoryAccess, use: (keys: Keyring) => Promise<T>): Promise<T> {
  return withStorage(access, async (storage) => use(await Keyring.open(storage, optionsOf(access))))
}

async function withStorage<T>(access: RepositoryAccess, use: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await (access.openStorage ?? openStorage)(access.location, access)
  try {
    return await use(storage)
  } finally {
    await storage.close()
  }
}

function optionsOf({ keyFolder, askPassphrase, signal, clock }: RepositoryAccess): Parameters<typeof Keyring.open>[1] {
  return { keyFiles: new FolderKeyFiles(keyFolder), askPassphrase, signal, clock }
}
