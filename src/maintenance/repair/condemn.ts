import type { AbortOptions } from '../../base/abort.ts'
import type { PackId } from '../../base/ids.ts'
import { putCondemned, readCondemned } from '../../repository/low-level.ts'
import type { Repository } from '../../repository/repository.ts'

/**
 * Has no run rely on these packs that begins from now on: puts them into a condemned set, those that are in none yet. What is sound
 * in them can be moved once the runs have ended that may rely on them.
 */
export async function condemn(
  { storage, keys }: Repository,
  packs: readonly PackId[],
  options: AbortOptions,
): Promise<void> {
  const condemned = new Set([...(await readCondemned(storage, keys, options)).values()].flat())
  const rest = packs.filter((id) => !condemned.has(id))
  if (rest.length > 0) await putCondemned(storage, keys, rest, options)
}
