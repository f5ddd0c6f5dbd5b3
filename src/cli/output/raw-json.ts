import { toPrintable, toRawName } from '../../base/raw-name.ts'

/**
 * A path or name as fields of a JSON object: `name` is readable text; when the raw name is not UTF-8, that text is lossy and
 * `name_b64` has the exact bytes.
 */
export function rawField(name: string, text: string): Record<string, string> {
  if (text.isWellFormed()) return { [name]: text }
  return { [name]: toPrintable(text), [`${name}_b64`]: toRawName(text).toString('base64') }
}

/** A list of paths likewise: `paths`, and `paths_b64` with the exact bytes of all of them when one is not UTF-8. */
export function rawFields(name: string, texts: readonly string[]): Record<string, string[]> {
  if (texts.every((text) => text.isWellFormed())) return { [name]: [...texts] }
  return {
    [name]: texts.map(toPrintable),
    [`${name}_b64`]: texts.map((text) => toRawName(text).toString('base64')),
  }
}
