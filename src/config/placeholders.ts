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

/** The Borg whose command line this one's is when it is called by that name. */
export const BORG_VERSION = '1.2.4'

const KNOWN =
  '{hostname} {fqdn} {reverse-fqdn} {user} {pid} {now} {now:%Y-%m-%d} {utcnow} {utcnow:%H%M} {uuid4} ' +
  '{borgversion} {borgmajor} {borgminor} {borgpatch}'

/** Borg's default format of `{now}`. */
const NOW_FORMAT = '%Y-%m-%dT%H:%M:%S'

/**
 * Replaces Borg's placeholders (`borg help placeholders`) in a name, comment or location; `{{` and `}}` stand for braces.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for an unknown placeholder or a single brace
 */
export async function expandPlaceholders(text: string, values: PlaceholderValues): Promise<string> {
  if (!/[{}]/.test(text)) return text
  const fqdn = /\{(?:reverse-)?fqdn\}/.test(text) ? await values.fqdn() : ''
  const [major, minor] = BORG_VERSION.split('.')
  const plainValues: Readonly<Record<string, string>> = {
    hostname: values.hostname,
    fqdn,
    'reverse-fqdn': fqdn.split('.').reverse().join('.'),
    user: values.user,
    pid: String(values.pid),
    uuid4: globalThis.crypto.randomUUID(),
    borgversion: BORG_VERSION,
    borgmajor: String(major),
    borgminor: `${major}.${minor}`,
    borgpatch: BORG_VERSION,
  }

  return text.replaceAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (match, inner: string | undefined) => {
    if (match === '{{') return '{'
    if (match === '}}') return '}'
    const [, name = '', format = NOW_FORMAT] = /^([^:]*)(?::(.*))?$/s.exec(inner ?? '') ?? []
    if (name === 'now') return strftime(format || NOW_FORMAT, values.nowMs, 'local')
    if (name === 'utcnow') return strftime(format || NOW_FORMAT, values.nowMs, 'utc')
    if (!inner?.includes(':') && Object.hasOwn(plainValues, name)) return plainValues[name] as string
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot use '${text}': unknown placeholder '${match}'; known are ${KNOWN}, and {{ }} for braces`,
    )
  })
}
