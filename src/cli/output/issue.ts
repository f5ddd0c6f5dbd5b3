import type { Output } from './output.ts'
import { rawField } from './raw-json.ts'
import { printable } from './text.ts'

/** One file or folder that could not be dealt with; the run goes on. */
export interface Issue {
  readonly path: string
  readonly message: string
  readonly code: string
}

/** Tells of something about the run as a whole, or about the repository. */
export function reportWarning(
  output: Output,
  { message, code }: { readonly message: string; readonly code: string },
): void {
  output.complaints.add(code)
  if (output.settings.json) output.errorJson({ message_type: 'warning', message, code })
  else output.warning(printable(message))
}

/** Codes of issues whose text is a sentence about the path (`it changed while it was read`); that of others is a reason (`permission denied`). */
const SENTENCES = new Set(['SKIPPED', 'CHANGED', 'UNSTABLE', 'LEFT_OUT'])

const VERBS = { scan: 'read', read: 'read', restore: 'restore' } as const

/** Tells of an issue at once, on standard error: `cairn: warning: cannot read /path: permission denied`. */
export function reportIssue(output: Output, issue: Issue, during: keyof typeof VERBS): void {
  const { path, message, code } = issue
  output.complaints.add(code)
  if (output.settings.json) {
    output.errorJson({ message_type: 'error', error: { message }, during, ...rawField('item', path), code })
    return
  }
  const prefix =
    SENTENCES.has(code) || message.startsWith('its ') || message.startsWith('the ') ? '' : `cannot ${VERBS[during]} `
  output.warning(printable(`${prefix}${path}: ${message}`))
}
