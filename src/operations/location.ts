/** Splits Borg's `REPO::NAME`; either part may be absent (`::NAME` takes the repository from elsewhere). */
export function parseLocation(text: string): {
  readonly repository: string | undefined
  readonly snapshot: string | undefined
} {
  const at = text.indexOf('::')
  if (at < 0) return { repository: text, snapshot: undefined }
  return { repository: text.slice(0, at) || undefined, snapshot: text.slice(at + 2) || undefined }
}
