import { CairnError } from '../base/errors.ts'
import type { CheckOptions } from '../operations/check.ts'
import type { RepairEvent, RepairedRepository } from '../operations/repair.ts'
import { CheckReport } from './check-report.ts'
import type { CommandContext } from './context.ts'
import { plural } from './output/format.ts'
import type { Output } from './output/output.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'

type Lost = Extract<RepairEvent, { type: 'lost' }>
type Dropped = RepairedRepository['dropped'][number]

/** `check --repair`. */
export async function runRepair(
  context: CommandContext,
  location: string,
  { readData, workers }: Pick<CheckOptions, 'readData' | 'workers'>,
): Promise<void> {
  const { output, world } = context
  const { repairRepository } = await world.operations.repair()
  const access = await context.access(location)
  const report = new CheckReport(output)
  let waitingFor = 0
  let result: RepairedRepository
  try {
    result = await repairRepository(access, {
      readData,
      workers,
      onEvent(event) {
        if (event.type === 'lost') reportLost(output, event)
        else if (event.type !== 'waiting') report.onEvent(event)
        else if (event.runs !== waitingFor) reportWaiting(output, (waitingFor = event.runs))
      },
    })
  } finally {
    report.end()
  }
  const { json, quiet } = output.settings
  if (json) output.json(summaryJson(result))
  else if (!quiet) output.sums(summaryLines(result))
  requireWell(output, result)
}

function reportLost(output: Output, { snapshot, name, path, kind }: Lost): void {
  if (output.settings.json) {
    const item = {
      message_type: 'lost',
      snapshot_id: snapshot,
      snapshot_name: name,
      kind,
      ...rawField('path', path),
    }
    output.json(item)
    return
  }
  const what = kind === 'attributes' ? 'the attributes of ' : ''
  const below = kind === 'directory' ? ' and all below it' : ''
  output.line(`lost of ${printable(name)}: ${what}${printable(path === '' ? '/' : path)}${below}`)
}

function reportWaiting(output: Output, runs: number): void {
  if (output.settings.json) output.json({ message_type: 'waiting', runs })
  else output.note(`cairn: waiting for ${plural(runs, 'backup')} in progress`)
}

/** @throws {CairnError} `DATA_CORRUPT` when something was lost, or is damaged still */
function requireWell(output: Output, { remaining, dropped, lostSnapshots }: RepairedRepository): void {
  if (!output.settings.json)
    for (const { message } of remaining)
      output.errorLine(`cairn: ${output.style('red', 'not repaired:', 'err')} ${printable(message)}`)
  const lossy = dropped.filter(({ files, directories, attributes }) => files + directories + attributes > 0)
  const affected = lossy.length + lostSnapshots.length
  if (remaining.length > 0) {
    throw new CairnError(
      'DATA_CORRUPT',
      `The repository is still damaged: ${plural(remaining.length, 'error is', 'errors are')} left, see above; ` +
        'put back intact copies of the objects that are named, if there are any, and run this again',
    )
  }
  if (affected > 0) {
    throw new CairnError(
      'DATA_CORRUPT',
      `The repository is repaired, but something was lost of ${plural(affected, 'snapshot')}, see above; ` +
        "back up again: where the content is still there, it is stored again, and 'cairn undelete' then brings back what was damaged",
    )
  }
}

function summaryLines(result: RepairedRepository): string[] {
  const { found, indexedPacks, removedIndexObjects, retiredPacks, replacedCondemned, dropped, lostSnapshots } = result
  if (found.errors === 0) return ['No errors were found; there is nothing to repair.']
  const lines = [`${plural(found.errors, 'error was', 'errors were')} found.`]
  if (removedIndexObjects > 0) lines.push(`Removed ${plural(removedIndexObjects, 'damaged index object')}.`)
  if (indexedPacks > 0) lines.push(`Put ${plural(indexedPacks, 'pack')} into the index again.`)
  if (replacedCondemned > 0)
    lines.push(`Removed ${plural(replacedCondemned, 'damaged list', 'damaged lists')} of packs to be deleted.`)
  if (retiredPacks > 0)
    lines.push(`Put ${plural(retiredPacks, 'broken pack')} out of use; 'cairn compact' deletes what is left of them.`)
  for (const session of lostSnapshots) lines.push(`Deleted snapshot ${session}, whose record is damaged.`)
  for (const losses of dropped) {
    const lost = describeLosses(losses) || 'what tells the next backup which files have not changed'
    const { name, id } = losses.before
    const what = losses.after === undefined ? 'Deleted, since nothing is left,' : `Replaced by ${losses.after}:`
    lines.push(`${what} snapshot ${printable(name)} (${id}), which has lost ${lost}.`)
  }
  return lines
}

function describeLosses({ files, directories, attributes }: Dropped): string {
  return [
    ...(files > 0 ? [plural(files, 'file')] : []),
    ...(directories > 0 ? [`${plural(directories, 'folder')} with all below`] : []),
    ...(attributes > 0 ? [`the attributes of ${plural(attributes, 'entry', 'entries')}`] : []),
  ].join(' and ')
}

function summaryJson(result: RepairedRepository): object {
  return {
    message_type: 'summary',
    num_errors: result.found.errors,
    num_errors_left: result.remaining.length,
    errors_left: result.remaining.map(({ object, code, message }) => ({
      item: object,
      code,
      message: message.toWellFormed(),
    })),
    index_objects_removed: result.removedIndexObjects,
    packs_indexed: result.indexedPacks,
    packs_retired: result.retiredPacks,
    condemned_removed: result.replacedCondemned,
    snapshots_lost: result.lostSnapshots,
    snapshots_replaced: result.dropped.map(({ before, after, files, directories, attributes }) => ({
      snapshot_id: before.id,
      snapshot_name: before.name,
      replaced_by: after,
      files,
      dirs: directories,
      attributes,
    })),
    seconds_elapsed: result.durationMs / 1000,
  }
}
