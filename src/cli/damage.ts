import { CairnError, isCairnError } from '../base/errors.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { CommandContext } from './context.ts'
import { plural } from './output/format.ts'
import { printable } from './output/text.ts'

/**
 * Lets a command that only reads show what can be read. Objects that are damaged are passed over and told of on standard error,
 * one by one; then the command ends with an error that names all of them.
 *
 * @throws {CairnError} `DATA_CORRUPT` at the end when anything is damaged; what `show` throws
 */
export async function showDespiteDamage(
  context: CommandContext,
  location: string,
  show: (access: RepositoryAccess) => Promise<void>,
): Promise<void> {
  const { output } = context
  const damaged = new Set<string>()
  const onDamaged = ({ message, code, details }: CairnError): void => {
    const item = String(details['object'])
    if (damaged.has(item)) return
    damaged.add(item)
    if (output.settings.json)
      output.errorJson({ message_type: 'error', error: { message }, during: 'read', item, code })
    else output.warning(printable(message))
  }
  const failure = await show({ ...(await context.access(location)), onDamaged }).catch((error: unknown) => {
    // What was not found may be what is damaged.
    if (damaged.size === 0 || !isCairnError(error, 'NOT_FOUND')) throw error
    return error
  })
  if (damaged.size === 0) return
  const objects = [...damaged].sort()
  const what = failure?.message ?? 'Cannot read the whole repository'
  throw new CairnError(
    'DATA_CORRUPT',
    `${what}: ${plural(objects.length, 'object')} cannot be read (${objects.join(', ')}); ` +
      'keep the repository as it is, everything else in it can still be restored',
    { cause: failure, details: { objects } },
  )
}
