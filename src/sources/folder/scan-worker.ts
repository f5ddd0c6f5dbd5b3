import { serveJobs } from '../../platform/worker-pool.ts'
import type { SourceTotals } from '../source.ts'
import { type EntryBatch, fileSizes } from './entry-batch.ts'
import { FolderWalk, type WalkPart, type WalkRoot } from './folder-walk.ts'
import { Selection, type SelectionOptions } from './selection.ts'

/** Goes on with a walk of this thread, or begins one; `split`: gives away a part of it, because another thread is idle. */
export interface StepJob {
  readonly kind: 'step'
  readonly walk: number
  readonly start: WalkRoot | WalkPart | undefined
  readonly split: boolean
}

/** Counts what a walk would find. */
export interface CountJob {
  readonly kind: 'count'
  readonly roots: readonly WalkRoot[]
}

export type ScanJob = StepJob | CountJob

export interface StepResult {
  readonly kind: 'step'
  readonly batch: EntryBatch
  readonly done: boolean
  readonly part: WalkPart | undefined
}

export type ScanResult = StepResult | { readonly kind: 'count'; readonly totals: SourceTotals }

// What the threads run that walk folders.
serveJobs<SelectionOptions, ScanJob, ScanResult>((options) => {
  const selection = new Selection(options)
  const walks = new Map<number, FolderWalk>()

  const step = ({ walk: number, start, split }: StepJob): StepResult => {
    const walk = walks.get(number) ?? new FolderWalk(start as WalkRoot | WalkPart, selection)
    walks.set(number, walk)
    const { batch, done } = walk.next()
    const part = split && !done ? walk.split() : undefined
    if (done) walks.delete(number)
    return { kind: 'step', batch, done, part }
  }

  return async (job) => {
    if (job.kind === 'count') return { result: { kind: 'count', totals: count(job.roots, selection) } }
    const result = step(job)
    return { result, transfer: [result.batch.numbers.buffer as ArrayBuffer, result.batch.longs.buffer as ArrayBuffer] }
  }
})

function count(roots: readonly WalkRoot[], selection: Selection): SourceTotals {
  let files = 0
  let bytes = 0
  for (const root of roots) {
    const walk = new FolderWalk(root, selection)
    for (let done = false; !done;) {
      const next = walk.next()
      done = next.done
      for (const sizeBytes of fileSizes(next.batch)) {
        files++
        bytes += sizeBytes
      }
    }
  }
  return { files, bytes }
}
