import { toPrintable } from '../../base/raw-name.ts'
import type { EntryStat } from '../entry.ts'
import { encodeName } from './url.ts'

/** What a listing says of an entry. */
export interface Row {
  readonly name: string
  /** What it is where it leads to, if this mount says so. */
  readonly stat: EntryStat
  /** Of a symlink of a snapshot. */
  readonly target?: string | undefined
}

/** What a property is called that answers to `PROPFIND`. */
const XML_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
export const MULTISTATUS_HEAD = `${XML_HEAD}<D:multistatus xmlns:D="DAV:">\n`
export const MULTISTATUS_END = '</D:multistatus>\n'
/** Why listing a whole tree at once is refused (RFC 4918, 9.1.1). */
export const FINITE_DEPTH = `${XML_HEAD}<D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>\n`

/** All properties of a resource. @param href its path, encoded */
export function responseXml(href: string, { name, stat }: Row): string {
  const isFolder = stat.type === 'dir'
  const properties = [
    `<D:displayname>${escape(name)}</D:displayname>`,
    `<D:resourcetype>${isFolder ? '<D:collection/>' : ''}</D:resourcetype>`,
    `<D:getlastmodified>${httpDate(stat.mtimeNs)}</D:getlastmodified>`,
  ]
  if (!isFolder) {
    properties.push(
      `<D:getcontentlength>${stat.sizeBytes}</D:getcontentlength>`,
      '<D:getcontenttype>application/octet-stream</D:getcontenttype>',
      `<D:getetag>${escape(entityTag(stat))}</D:getetag>`,
    )
  }
  return `<D:response><D:href>${escape(href)}</D:href><D:propstat><D:prop>${properties.join('')}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n`
}

export function indexHead(names: readonly string[]): string {
  const title = escape(`/${names.join('/')}`)
  const up = names.length > 0 ? '<tr><td><a href="../">../</a></td></tr>\n' : ''
  return `<!doctype html>\n<html><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>\n<table>\n${up}`
}

export function indexRow({ name, stat, target }: Row): string {
  const isFolder = stat.type === 'dir'
  const shown = `${escape(name)}${isFolder ? '/' : ''}`
  const isOpen = isFolder || stat.type === 'file'
  // With ./ in front nothing in a name can be anything but a name.
  const link = isOpen ? `<a href="./${encodeName(name)}${isFolder ? '/' : ''}">${shown}</a>` : shown
  const rest = target === undefined ? '' : ` → ${escape(target)}`
  const size = stat.type === 'file' ? String(stat.sizeBytes) : isFolder ? '' : stat.type
  return `<tr><td>${link}${rest}</td><td align="right">${size}</td><td>${timeText(stat.mtimeNs)}</td></tr>\n`
}

export const INDEX_END = '</table></body></html>\n'

/** What is in a file never changes, and another one has another place or time. */
export function entityTag({ inode, mtimeNs, sizeBytes }: EntryStat): string {
  return `"${inode.toString(16)}-${mtimeNs.toString(16)}-${sizeBytes.toString(16)}"`
}

export function httpDate(timeNs: bigint): string {
  return dateOf(timeNs).toUTCString()
}

function timeText(timeNs: bigint): string {
  return dateOf(timeNs).toISOString().slice(0, 19).replace('T', ' ')
}

/** Years that neither form can write become 1970. */
function dateOf(timeNs: bigint): Date {
  const date = new Date(Number(timeNs / 1_000_000n))
  const year = date.getUTCFullYear()
  return year >= 0 && year <= 9999 ? date : new Date(0)
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text for HTML and XML, with U+FFFD for what no XML may have in it. */
function escape(text: string): string {
  return toPrintable(text)
    .replaceAll(/[\p{Cc}\uFFFE\uFFFF\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu, '\uFFFD')
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
