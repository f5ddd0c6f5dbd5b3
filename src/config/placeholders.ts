import { CairnError } from '../base/errors.ts'
import { strftime } from './strftime.ts'

/** What placeholders stand for; asked for only when one is used, as the full host name may need a DNS query. */
export interface PlaceholderValues {
  readonly nowMs: number
  readonly hostname: string
  readonly user: string
  readonly pid: number
  readonly fqdn: () => Promise<string>
}

const KNOWN = '{hostname} {fqdn} {user} {pid} {now} {now:%Y-%m-%d} {utcnow} {utcnow:%H%M}'

/** Borg's default format of `{now}`. */
const NOW_FORMAT = '%Y-%m-%dT%H:%M:%S'

/**
 * Replaces Borg's placeholders (`borg help placeholders`) in a name, comment or location; `{{` and `}}` stand for braces.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for an unknown placeholder or a single brace
 */
export async function expandPlaceholders(text: string, values: PlaceholderValues): Promise<string> {
  if (!/[{}]/.test(text)) return text
  const fqdn = /\{fqdn\}/.test(text) ? await values.fqdn() : ''

  return text.replaceAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (match, inner: string | undefined) => {
    if (match === '{{') return '{'
    if (match === '}}') return '}'
    const [, name, format = NOW_FORMAT] = /^([^:]*)(?::(.*))?$/s.exec(inner ?? '') ?? []
    const plain = !inner?.includes(':')
    if (name === 'now') return strftime(format || NOW_FORMAT, values.nowMs, 'local')
    if (name === 'utcnow') return strftime(format || NOW_FORMAT, values.nowMs, 'utc')
    if (plain && name === 'hostname') return values.hostname
    if (plain && name === 'fqdn') return fqdn
    if (plain && name === 'user') return values.user
    if (plain && name === 'pid') return String(values.pid)
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot use '${text}': unknown placeholder '${match}'; known are ${KNOWN}, and {{ }} for braces`,
    )
  })
}
