import type { Output } from './output.ts'
import { rawField } from './raw-json.ts'
import { printable } from './text.ts'

/** One file or folder that could not be dealt with; the run goes on. */
export interface Issue {
  readonly path: string
  readonly message: string
  readonly code: string
}

const VERBS = { scan: 'read', read: 'read', restore: 'restore' } as const

/** Tells of an issue at once, on standard error: `cairn: warning: cannot read /path: permission denied`. */
export function reportIssue(output: Output, issue: Issue, during: keyof typeof VERBS): void {
  const { path, message, code } = issue
  if (output.settings.json) {
    output.errorJson({ message_type: 'error', error: { message }, during, ...rawField('item', path), code })
    return
  }
  // A reason (`permission denied`), or with these codes a sentence about the path (`it changed while it was read`).
  const prefix = code === 'SKIPPED' || code === 'CHANGED' ? '' : `cannot ${VERBS[during]} `
  output.warning(printable(`${prefix}${path}: ${message}`))
}
