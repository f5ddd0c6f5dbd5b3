import { archiveArrivals } from '../archiver/arrivals.ts'
import type { StreamedSource } from '../sources/arrivals.ts'
import type { CreateCounter } from './create-counter.ts'
import type { RepositoryAccess } from './repository-access.ts'
import { type CreateResult, type SaveOptions, checkTags, saveSnapshot } from './save-snapshot.ts'

/**
 * Makes a snapshot of what arrives in a stream, which is read once, to its end. There are no checkpoints: half of it would be
 * taken for the whole. What an interrupted run has stored is not stored again by the next one.
 *
 * @throws {CairnError} what the source throws when it breaks off or makes no sense, and as `saveSnapshot`; then nothing is saved
 */
export async function saveStream(
  access: RepositoryAccess,
  options: SaveOptions,
  source: StreamedSource,
  { counter, startedAtMs }: { readonly counter: CreateCounter; readonly startedAtMs: number },
): Promise<CreateResult> {
  checkTags(options)
  return await saveSnapshot(access, options, {
    paths: source.paths,
    counter,
    startedAtMs,
    continuesSeries: false,
    async archive({ store }) {
      // Not before the repository is open: a command that need not run shall not.
      await using arrivals = source.arrive(counter, access)
      return await archiveArrivals({
        ...store,
        arrivals,
        isPipe: source.isPipe,
        attributes: { xattrs: true, acls: true, flags: true, ...options.attributes },
        observer: counter,
      })
    },
  })
}
