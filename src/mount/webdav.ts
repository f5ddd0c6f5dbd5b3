/**
 * Shows a folder to programs on this machine where there is no FUSE: WebDAV (RFC 4918) without anything that writes, and pages to
 * click through for browsers.
 *
 * Every user of the machine can reach the port, and every page that a browser shows can make it send requests. So the path begins with
 * a secret that only the address printed has, requests under another host name are refused (a name that somebody else lets point
 * here), and contents are never shown as pages: they come as bytes to be saved, in a sandbox.
 */
import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CairnError, errnoOf } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import { randomBytes } from '../codec/random.ts'
import { describeSystemError } from '../platform/files.ts'
import { type Entry, type FileEntry, type Folder, isFile, isFolder, isSymlink } from './entry.ts'
import { entriesOf } from './merged-folder.ts'
import {
  FINITE_DEPTH,
  INDEX_END,
  MULTISTATUS_END,
  MULTISTATUS_HEAD,
  type Row,
  entityTag,
  httpDate,
  indexHead,
  indexRow,
  responseXml,
} from './webdav/pages.ts'
import { parseRange } from './webdav/range.ts'
import { decodePath, encodeName } from './webdav/url.ts'

const HOST = '127.0.0.1'
const METHODS = 'OPTIONS, GET, HEAD, PROPFIND'
/** Of a file that is sent, at a time. */
const PIECE_BYTES = 1 << 20
/** Of a listing, at a time. */
const TEXT_LENGTH = 64 << 10

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'private, no-cache',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
} as const

export interface WebdavServer extends AsyncDisposable {
  /** Where the folder is shown; whoever knows it may read everything. */
  readonly url: string
}

/**
 * Starts to serve a folder on a port of this machine, any that is free if it is 0.
 *
 * @throws {CairnError} `TARGET_FAILED` when the port cannot be used
 */
export async function serveWebdav(root: Folder, port: number): Promise<WebdavServer> {
  const secret = toHex(randomBytes(16))
  const handler = new Handler(root, secret)
  const server = createServer((request, response) => void handler.answer(request, response))
  try {
    server.listen(port, HOST)
    await once(server, 'listening')
  } catch (error) {
    const advice = errnoOf(error) === 'EADDRINUSE' ? 'choose another one, or none' : 'choose another one'
    throw new CairnError('TARGET_FAILED', `Cannot listen on port ${port}: ${describeSystemError(error)}; ${advice}`, {
      cause: error,
    })
  }
  const { port: actual } = server.address() as AddressInfo
  handler.port = actual
  return { url: `http://${HOST}:${actual}/${secret}/`, [Symbol.asyncDispose]: () => close(server) }
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

/** A request that gets no more than a status. */
class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

class Handler {
  readonly #root: Folder
  readonly #secret: string
  port = 0

  constructor(root: Folder, secret: string) {
    this.#root = root
    this.#secret = secret
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined) // the reader has gone
    request.resume() // no request has a body that matters
    try {
      await this.#handle(request, response)
    } catch (error) {
      // What cannot be read has been reported.
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'This cannot be read')
      if (response.headersSent) return void response.destroy()
      response.writeHead(refusal.status, {
        ...HEADERS,
        'Content-Type': 'text/plain; charset=utf-8',
        ...refusal.headers,
      })
      response.end(`${refusal.message}\n`)
    }
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const { host = '' } = request.headers
    if (host !== `${HOST}:${this.port}` && host !== `localhost:${this.port}`)
      throw new Refusal(403, `This server is for ${HOST} only`)
    const [path = ''] = url.split('?', 1)
    const names = path.startsWith('/') ? decodePath(path) : undefined
    if (!names) throw new Refusal(400, 'This is no path')
    // A guess costs a request, and there are 2^128.
    if (names.shift() !== this.#secret)
      throw new Refusal(404, 'There is nothing here; use the whole address that was printed')
    if (method === 'OPTIONS') {
      response.writeHead(200, { ...HEADERS, Allow: METHODS, DAV: '1', 'Content-Length': '0' })
      response.end()
      return
    }
    if (method !== 'GET' && method !== 'HEAD' && method !== 'PROPFIND')
      throw new Refusal(405, 'Nothing here can be changed', { Allow: METHODS })
    const entry = await this.#find(names)
    if (method === 'PROPFIND') await this.#propfind(request, response, entry, names)
    else if (isFile(entry)) await sendFile(request, response, entry)
    else if (!isFolder(entry)) throw new Refusal(403, 'This is no file')
    else if (!path.endsWith('/')) throw new Refusal(301, 'This is a folder', { Location: `${path}/` })
    else await sendIndex(request, response, entry, names)
  }

  async #find(names: readonly string[]): Promise<Entry> {
    let entry: Entry = this.#root
    for (const name of names) {
      const found: Entry | undefined = isFolder(entry) ? await entry.find(name) : undefined
      if (!found) throw new Refusal(404, 'There is no such file or folder')
      entry = leadsTo(found)
    }
    return entry
  }

  async #propfind(
    request: IncomingMessage,
    response: ServerResponse,
    entry: Entry,
    names: readonly string[],
  ): Promise<void> {
    const depth = request.headers['depth']
    if (depth !== '0' && depth !== '1')
      throw new Refusal(403, FINITE_DEPTH, { 'Content-Type': 'application/xml; charset=utf-8' })
    const self = { name: names.at(-1) ?? '', stat: await entry.stat() }
    if (self.stat.type !== 'dir' && self.stat.type !== 'file') throw new Refusal(403, 'This is no file')
    const href = `/${[this.#secret, ...names].map(encodeName).join('/')}${isFolder(entry) ? '/' : ''}`
    response.writeHead(207, { ...HEADERS, 'Content-Type': 'application/xml; charset=utf-8' })
    const writer = new TextWriter(response)
    await writer.add(MULTISTATUS_HEAD + responseXml(href, self))
    if (depth === '1' && isFolder(entry)) {
      for await (const row of rowsOf(entry)) {
        // Nothing else is known to WebDAV.
        if (row.stat.type !== 'dir' && row.stat.type !== 'file') continue
        await writer.add(responseXml(`${href}${encodeName(row.name)}${row.stat.type === 'dir' ? '/' : ''}`, row))
      }
    }
    await writer.end(MULTISTATUS_END)
  }
}

/** What a symlink of the mount itself leads to; anything else itself. */
function leadsTo(entry: Entry): Entry {
  return (isSymlink(entry) && entry.leadsTo) || entry
}

async function* rowsOf(folder: Folder): AsyncGenerator<Row> {
  for await (const { name, entry: listed } of entriesOf(folder)) {
    const entry = leadsTo(listed)
    yield { name, stat: await entry.stat(), target: isSymlink(entry) ? await entry.readTarget() : undefined }
  }
}

async function sendIndex(
  request: IncomingMessage,
  response: ServerResponse,
  folder: Folder,
  names: readonly string[],
): Promise<void> {
  const rows = request.method === 'HEAD' ? [] : rowsOf(folder)
  response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/html; charset=utf-8' })
  const writer = new TextWriter(response)
  await writer.add(indexHead(names))
  for await (const row of rows) await writer.add(indexRow(row))
  await writer.end(INDEX_END)
}

async function sendFile(request: IncomingMessage, response: ServerResponse, file: FileEntry): Promise<void> {
  const stat = await file.stat()
  const { sizeBytes } = stat
  const tag = entityTag(stat)
  const headers = {
    ...HEADERS,
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Content-Type': 'application/octet-stream',
    'Content-Disposition': 'attachment',
    'Accept-Ranges': 'bytes',
    'Last-Modified': httpDate(stat.mtimeNs),
    ETag: tag,
  }
  if (request.headers['if-none-match']?.split(/\s*,\s*/).some((one) => one === tag || one === '*')) {
    response.writeHead(304, headers)
    response.end()
    return
  }
  const condition = request.headers['if-range']
  const range = condition === undefined || condition === tag ? parseRange(request.headers.range, sizeBytes) : undefined
  if (range === 'none')
    throw new Refusal(416, 'The file has no such bytes', { 'Content-Range': `bytes */${sizeBytes}` })
  const { start, end } = range ?? { start: 0, end: sizeBytes }
  const status = range ? 206 : 200
  const full = {
    ...headers,
    'Content-Length': String(end - start),
    ...(range && { 'Content-Range': `bytes ${start}-${end - 1}/${sizeBytes}` }),
  }
  if (request.method === 'HEAD') {
    response.writeHead(status, full)
    response.end()
    return
  }
  const content = await file.open()
  for (let at = start; at < end; at += PIECE_BYTES) {
    const pieces = await content.read(at, Math.min(PIECE_BYTES, end - at))
    // Only now: a file whose beginning is damaged is an error of its own.
    if (!response.headersSent) response.writeHead(status, full)
    response.write(Buffer.concat(pieces)) // a copy: pieces are good for this turn only
    if (!(await isDrained(response))) return
  }
  if (!response.headersSent) response.writeHead(status, full)
  response.end()
}

/** Waits until a response takes more; `false` when nobody reads it any more. */
async function isDrained(response: ServerResponse): Promise<boolean> {
  if (response.writableNeedDrain && !response.destroyed) {
    const { promise, resolve } = Promise.withResolvers<void>()
    response.once('drain', resolve).once('close', resolve)
    await promise
    response.off('drain', resolve).off('close', resolve)
  }
  return !response.destroyed
}

/** Writes a listing in pieces, no faster than it is read. */
class TextWriter {
  readonly #response: ServerResponse
  #text = ''

  constructor(response: ServerResponse) {
    this.#response = response
  }

  async add(text: string): Promise<void> {
    this.#text += text
    if (this.#text.length < TEXT_LENGTH) return
    this.#response.write(this.#text)
    this.#text = ''
    if (!(await isDrained(this.#response))) throw new Refusal(499, 'nobody reads it')
  }

  async end(text: string): Promise<void> {
    await this.add(text)
    this.#response.end(this.#text)
  }
}
