import path from 'node:path'
import { isCairnError } from '../base/errors.ts'
import type { EncryptionMode, InitResult } from '../operations/init.ts'
import type { CommandContext, Selection } from './context.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'

/**
 * Makes the repository of people who just want a backup: on this machine, with a key file and no passphrase to forget. Says so
 * even with `--quiet`: it is said once, and whoever misses it may lose everything with this machine's disk.
 *
 * @throws {CairnError} what `initRepository` throws, but for `REPOSITORY_EXISTS`: another run was faster
 */
export async function makeDefaultRepository({ world, output, folders }: CommandContext): Promise<void> {
  const { initRepository } = await world.operations.init()
  const location = folders.defaultRepository
  await world.makeFolder(path.dirname(location))
  let result: InitResult
  try {
    result = await initRepository({
      location,
      keyFolder: folders.keys,
      knownFolder: folders.known,
      encryption: 'keyfile',
      passphrase: undefined,
      signal: world.signal,
      clock: world.clock,
    })
  } catch (error) {
    if (isCairnError(error, 'REPOSITORY_EXISTS')) return
    throw error
  }
  if (output.settings.json) {
    output.json(initializedJson(result))
    return
  }
  output.errorLine(`No repository was named, so a new one was made: ${printable(location)}`)
  for (const line of keyAdvice('keyfile', result.keyFile, false)) output.errorLine(line)
}

/** Does something with a repository; when that is the default one, and none is there yet, with a new one. */
export async function orMakeDefault<T>(
  context: CommandContext,
  { isDefault }: Pick<Selection, 'isDefault'>,
  use: () => Promise<T>,
): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (!isDefault || !isCairnError(error, 'REPOSITORY_NOT_FOUND')) throw error
    await makeDefaultRepository(context)
    return use()
  }
}

/** restic's `initialized` line. */
export function initializedJson({ repositoryId, location, encryption, keyFile }: InitResult): object {
  return {
    message_type: 'initialized',
    id: repositoryId,
    ...rawField('repository', location),
    encryption,
    ...(keyFile === undefined ? {} : rawField('key_file', keyFile)),
  }
}

/** What a person must know about the key of a new repository. */
export function keyAdvice(encryption: EncryptionMode, keyFile: string | undefined, hasPassphrase: boolean): string[] {
  if (encryption === 'none') {
    return ['Nothing in it is encrypted: whoever can read the repository can read all files in it.']
  }
  if (encryption === 'repokey') {
    return [
      'The key is in its folder keys/ and opens with the passphrase. Nobody can restore anything',
      'without both: keep the passphrase, and a copy of that folder, somewhere else too.',
    ]
  }
  return [
    `Its key is ${printable(keyFile ?? 'in the key folder')}.`,
    `Nobody can restore anything without this file${hasPassphrase ? ' and its passphrase' : ''}:`,
    `keep a copy of it somewhere else too, not on this machine alone.`,
  ]
}
