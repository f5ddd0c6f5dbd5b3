import type { CheckError, CheckEvent } from '../operations/check.ts'
import type { Output } from './output/output.ts'
import { Progress, type ProgressMeter, statusFields } from './output/progress.ts'
import { rawFields } from './output/raw-json.ts'
import { printable } from './output/text.ts'

/** Shows what a check finds while it goes on, and how far it is. */
export class CheckReport {
  readonly errors: CheckError[] = []
  readonly #output: Output
  readonly #progress: Progress

  constructor(output: Output) {
    this.#output = output
    this.#progress = new Progress(output, statusJson)
  }

  readonly onEvent = (event: CheckEvent): void => {
    const output = this.#output
    if (event.type === 'progress') {
      const { phase, done, total, bytesDone, bytesTotal, errors, currentPath } = event
      const counters = { filesDone: done, filesTotal: total, bytesDone, bytesTotal, issues: errors, currentPath }
      this.#progress.update({ ...counters, unit: phase })
    } else if (event.type === 'error') {
      this.errors.push(event)
      reportError(output, event)
    } else if (output.settings.verbose) {
      const { object, message } = event
      if (output.settings.json) output.json({ message_type: 'verbose_status', action: 'note', item: object, message })
      else output.note(`cairn: ${printable(object)} ${message}`)
    }
  }

  end(): void {
    this.#progress.end()
  }
}

function reportError(output: Output, error: CheckError): void {
  const { code, object, message, snapshot } = error
  if (!output.settings.json) {
    output.errorLine(`cairn: ${output.style('red', 'error:', 'err')} ${printable(message)}`)
    return
  }
  const { id, name, files, directories, paths = [] } = snapshot ?? {}
  output.errorJson({
    message_type: 'error',
    error: { message: message.toWellFormed() },
    during: 'check',
    item: object,
    code,
    ...(snapshot && { snapshot_id: id, snapshot_name: name, files, dirs: directories, ...rawFields('paths', paths) }),
  })
}

function statusJson(meter: ProgressMeter): object {
  const { filesDone = 0, filesTotal = 0, bytesDone = 0, issues = 0, unit = 'snapshots' } = meter.counters ?? {}
  const { total_files: _, ...fields } = statusFields(meter)
  return {
    ...fields,
    phase: unit,
    [`${unit}_done`]: filesDone,
    [`total_${unit}`]: filesTotal,
    bytes_read: bytesDone,
    error_count: issues,
  }
}
