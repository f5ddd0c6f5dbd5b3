import { normalize } from 'node:path/posix'
import type { CommandContext } from '../context.ts'
import type { CreateReport, CreateReportOptions } from '../create-report.ts'
import { plural } from '../output/format.ts'
import { reportIssue, reportWarning } from '../output/issue.ts'
import { Progress, type ProgressMeter } from '../output/progress.ts'
import { rawField } from '../output/raw-json.ts'
import { archiveStats } from '../output/stats-block.ts'
import { printable } from '../output/text.ts'
import { snapshotPath } from '../positionals.ts'
import { borgCreateJson, documentText } from './documents.ts'
import { borgSize } from './words.ts'

/** To Borg only files can be unchanged. */
const UNCHANGED: Readonly<Record<string, string>> = { dir: 'd', symlink: 's', fifo: 'f', chardev: 'c', blockdev: 'b' }

/**
 * Tells how a backup goes as Borg does: everything on standard error, but for the document of `--json`, and nothing of what goes well
 * unless it is asked for. `paths` are what is saved, as given.
 */
export function borgCreateReport(
  { output, common, borgJson }: CommandContext,
  options: CreateReportOptions,
  location: string,
  paths: readonly string[],
): CreateReport {
  const { logJson, verbose } = output.settings
  const isAbsolute = belowAbsolute(paths)
  const progress = new Progress(output, archiveProgress)
  return {
    listsEntries: options.list === true,
    onEvent(event) {
      if (event.type === 'progress') progress.update(event)
      else if (event.type === 'warning') reportWarning(output, event)
      else if (event.type === 'checkpoint') output.note(`cairn: checkpoint ${event.id.slice(0, 8)} saved`)
      else if (event.type === 'issue') {
        // Borg passes over sockets without a word.
        if (event.code !== 'SKIPPED' || verbose) reportIssue(output, event, event.during)
      } else {
        const { status: given, fileType } = event
        const path = isAbsolute(event.path) ? `/${event.path}` : event.path
        const status = given === 'U' && fileType ? (UNCHANGED[fileType] ?? 'U') : given
        if (options.filter?.includes(status) === false) return
        if (logJson) output.logJson({ type: 'file_status', status, ...rawField('path', path) })
        else output.listing(`${status} ${printable(path)}`)
      }
    },
    endProgress() {
      progress.end()
    },
    finish(result) {
      if (borgJson) output.text(documentText(borgCreateJson(result, location)))
      else if (options.stats) output.sums(archiveStats(result, location, (bytes) => borgSize(bytes, common)))
      if (result.issues > 0)
        output.warning(`the snapshot is incomplete: ${plural(result.issues, 'problem')}, see above`)
    },
    finishDryRun() {
      if (options.stats) output.warning('--stats is ignored: nothing is saved, so there are none')
    },
  }
}

/** Whether a path in a snapshot is of something that was to be saved by an absolute path: Borg lists it so. */
function belowAbsolute(paths: readonly string[]): (inside: string) => boolean {
  const tops = paths.filter((given) => given.startsWith('/')).map((given) => snapshotPath(normalize(given)))
  return (inside) => tops.some((top) => top === '' || inside === top || inside.startsWith(`${top}/`))
}

/** What is known while a run goes on; compression goes by runs of files, so there is no size for those done so far. */
function archiveProgress({ counters }: ProgressMeter): object {
  return {
    type: 'archive_progress',
    original_size: counters?.bytesDone ?? 0,
    nfiles: counters?.filesDone ?? 0,
    ...rawField('path', counters?.currentPath ?? ''),
  }
}
