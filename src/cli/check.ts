import { InvalidArgumentError } from 'commander'
import { CairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import type { CheckError, CheckOptions, CheckResult, DataSubset } from '../operations/check.ts'
import { runRepair } from './check-repair.ts'
import { CheckReport } from './check-report.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { parseCount } from './option-values.ts'
import { formatDuration, plural } from './output/format.ts'

interface CheckCommandOptions {
  readonly readData?: true
  readonly verifyData?: true
  readonly readDataSubset?: DataSubset
  readonly repositoryOnly?: true
  readonly archivesOnly?: true
  readonly repair?: true
  readonly workers?: number
}

const HELP = `
Without options, index, packs and snapshots are looked at, but not the content of files. With
--read-data every byte is read, whichever snapshot is named. Nothing is changed without
--repair, and backups may run meanwhile. Exit code 0 means that no errors were found, 65 that
there are some.

--repair rebuilds the index from packs, and sees to it that the next backup stores damaged data
again where it finds the same content. Snapshots of which something is lost are replaced by
what is left of them, with a comment that says so; 'cairn undelete' brings the old ones back if
a backup has healed them. It may wait for backups in progress. Data that is damaged, and not
only missing, is found with --read-data. Exit code 0 means that all is well afterwards, 65 that
something was lost.

With -r or CAIRN_REPO, the argument is a snapshot: a name, the beginning of an id, or
'latest'. Without, it is the repository.

Examples:
  cairn check /mnt/disk/backups
  cairn check --read-data-subset 1/7 /mnt/disk/backups    a seventh each day
  cairn check /mnt/disk/backups::monday
  cairn check --read-data --repair /mnt/disk/backups`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO[::SNAPSHOT]]', 'REPO or REPO::SNAPSHOT')
    .argument('[SNAPSHOT]', 'the only snapshot to look at, when REPO is written without ::')
    .usage('[REPO | REPO::SNAPSHOT] [OPTIONS]')
    .option('--read-data', 'read all data and verify every byte')
    .option('--verify-data', "the same, in Borg's words")
    .option('--read-data-subset <PART>', 'read a part of the data: N/M, or P% at random', parseSubset)
    .option('--repository-only', 'look at index and packs, not at snapshots')
    .option('--archives-only', 'look at snapshots and the index, not at packs')
    .option('--repair', 'mend what can be mended, and leave out of snapshots what is lost')
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
    .addHelpText('after', HELP)
    .action((first: string | undefined, second: string | undefined, options: CheckCommandOptions) =>
      run(
        context,
        [first, second].filter((value) => value !== undefined),
        options,
      ),
    )
}

async function run(context: CommandContext, values: string[], options: CheckCommandOptions): Promise<void> {
  const { output, world } = context
  const { location, snapshot } = await context.select(values, 'repository')
  const wanted = checkOptions(options, snapshot)
  if (options.repair) {
    await runRepair(context, location, wanted)
    return
  }
  const { checkRepository } = await world.operations.check()
  const access = await context.access(location)
  const report = new CheckReport(output)
  let result: CheckResult
  try {
    result = await checkRepository(access, { ...wanted, onEvent: report.onEvent })
  } finally {
    report.end()
  }
  const { json, quiet } = output.settings
  if (json) output.json(summaryJson(result, report.errors))
  else if (!quiet) {
    output.sums([...summaryLines(result), ...(result.errors === 0 ? ['No errors were found.'] : [])])
  }
  if (result.errors > 0) {
    throw new CairnError(
      'DATA_CORRUPT',
      `The repository is damaged: ${plural(result.errors, 'error was', 'errors were')} found, see above; ` +
        "put back intact copies of the objects that are named, if there are any, then run 'cairn check --repair'; what is not named can be restored",
    )
  }
}

function checkOptions(options: CheckCommandOptions, snapshot: string | undefined): CheckOptions {
  const { repositoryOnly, archivesOnly, repair, readDataSubset, workers } = options
  const readData = options.readData ?? options.verifyData ?? readDataSubset
  const conflict =
    repositoryOnly && archivesOnly
      ? '--repository-only and --archives-only'
      : archivesOnly && readData
        ? '--archives-only and reading data'
        : repositoryOnly && snapshot !== undefined
          ? '--repository-only and a snapshot'
          : repair && (repositoryOnly || archivesOnly || snapshot !== undefined)
            ? `--repair and ${snapshot === undefined ? 'looking at a part' : 'a snapshot'}`
            : undefined
  if (conflict !== undefined) {
    throw new CairnError('INVALID_ARGUMENT', `Cannot check: ${conflict} exclude each other; see 'cairn check --help'`)
  }
  return { snapshot, readData, workers, scope: repositoryOnly ? 'repository' : archivesOnly ? 'snapshots' : 'all' }
}

/** `1/7` or `2.5%`, as restic has it. */
function parseSubset(value: string): DataSubset {
  const [, part, of] = /^(\d{1,5})\/(\d{1,5})$/.exec(value) ?? []
  if (part !== undefined && Number(part) >= 1 && Number(part) <= Number(of)) {
    return { part: Number(part), of: Number(of) }
  }
  const percent = Number(/^(\d+(?:\.\d+)?)%$/.exec(value)?.[1] ?? 0)
  if (percent > 0 && percent <= 100) return { percent }
  throw new InvalidArgumentError('It must be a part like 1/7, or a share like 2.5%.')
}

function summaryLines(result: CheckResult): string[] {
  const { snapshots, trees, packs, packsRead, chunks, bytesRead, orphanPacks, durationMs } = result
  const looked = `${plural(snapshots, 'snapshot')} with ${plural(trees, 'different folder')}`
  const read = packsRead > 0 ? `, ${plural(packsRead, 'pack')} read wholly` : ''
  return [
    `Checked ${looked}, ${plural(packs, 'pack')} with ${plural(chunks, 'chunk')}${read}; read ${formatBytes(bytesRead)} in ${formatDuration(durationMs)}.`,
    ...(orphanPacks > 0
      ? [
          `${plural(orphanPacks, 'pack is', 'packs are')} in no index: of runs that go on or were interrupted. This is no error.`,
        ]
      : []),
  ]
}

/** restic's summary, and what else was counted. */
function summaryJson(result: CheckResult, errors: readonly CheckError[]): object {
  return {
    message_type: 'summary',
    num_errors: result.errors,
    broken_packs: result.brokenPacks,
    suggest_repair_index: errors.some(({ object }) => object.startsWith('index/')),
    suggest_prune: result.orphanPacks > 0,
    packs: result.packs,
    packs_read: result.packsRead,
    chunks: result.chunks,
    snapshots: result.snapshots,
    trees: result.trees,
    bytes_read: result.bytesRead,
    orphan_packs: result.orphanPacks,
    seconds_elapsed: result.durationMs / 1000,
  }
}
