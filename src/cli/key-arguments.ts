import { CairnError } from '../base/errors.ts'
import { variable } from '../config/environment.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { CommandContext } from './context.ts'

/** What commander passes to an action after the arguments: the options, and the command. */
const AFTER_ARGUMENTS = 2

/** The arguments that were given, of what commander passes to an action. */
export function wordsOf(args: readonly unknown[]): string[] {
  return args.slice(0, -AFTER_ARGUMENTS).filter((value) => typeof value === 'string')
}

/** The options, of what commander passes to an action. */
export function optionsOf(args: readonly unknown[]): unknown {
  return args.at(-AFTER_ARGUMENTS)
}

/**
 * Which repository, and the command's own argument. REPO may come first, as in Borg; where the repository is known from elsewhere, or
 * an argument that the command needs would be missing, what comes first is that argument.
 */
export async function selectKeys(
  context: CommandContext,
  values: readonly string[],
  takes: 'nothing' | 'optional' | 'required',
): Promise<{ access: RepositoryAccess; location: string; own: string | undefined }> {
  const isKnown = context.common.repo !== undefined || variable(context.world.env, 'REPO') !== undefined
  const isNamed = values.length > (takes === 'nothing' ? 0 : 1) || (takes === 'optional' && !isKnown)
  const [own, ...others] = isNamed ? values.slice(1) : values
  if (others.length > 0 || (own !== undefined && takes === 'nothing')) throw usage('there are too many arguments')
  const { location, snapshot } = await context.select(isNamed ? values.slice(0, 1) : [], 'location')
  if (snapshot !== undefined) throw usage(`the repository is named without '::${snapshot}', which names a snapshot`)
  return { access: await context.access(location), location, own }
}

export function usage(found: string): CairnError {
  return new CairnError('INVALID_ARGUMENT', `Cannot read the command: ${found}; see 'cairn key --help'`)
}
