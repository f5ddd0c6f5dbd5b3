import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { ByteReader, ByteWriter } from '../src/base/binary.ts'
import { type SessionId, asChunkId, toHex } from '../src/base/ids.ts'
import { createChunker } from '../src/chunker/chunker.ts'
import { DEFAULT_CHUNKER_PARAMS, MAX_CHUNK_BYTES, validateChunkerParams } from '../src/chunker/params.ts'
import { feed, testBytes } from '../src/chunker/testing.ts'
import { Aead } from '../src/codec/aead.ts'
import { COMPRESSION_CODES } from '../src/codec/compression.ts'
import { ChunkHasher, deriveKey } from '../src/codec/hash.ts'
import { Keyring } from '../src/repository/keyring.ts'
import { CIPHER_CODES, OBJECT_KINDS, deriveRepositoryKeys } from '../src/repository/keys.ts'
import { changeLabel, changeName, changePin } from '../src/repository/labels.ts'
import { MAX_CHUNKS, MAX_PACK_BYTES } from '../src/repository/pack/pack-format.ts'
import { TOP_LEVEL_NAMES } from '../src/repository/repository.ts'
import { FORMAT_VERSION, HEADER_BYTES, newHeader, openObject } from '../src/repository/sealed-object.ts'
import { HEARTBEAT_MS, SILENCE_MS } from '../src/repository/sessions/open-session.ts'
import {
  CHEAP_ARGON2,
  TEST_PASSPHRASE,
  answerOnce,
  keysOf,
  newTestRepository,
  saveChunks,
} from '../src/repository/testing.ts'
import { unlockKeyRing } from '../src/repository/unlock.ts'
import { WriteSession } from '../src/repository/write-session.ts'
import { TREE_CHUNK_KINDS, TREE_CHUNK_VERSION } from '../src/snapshot/content.ts'
import { type Snapshot, decodeSnapshot, encodeSnapshot } from '../src/snapshot/snapshot.ts'
import { NODE_TYPES, encodeNode } from '../src/snapshot/tree-node.ts'

/* docs/format.md is normative. Its tables are read here and compared with the code, so that neither can drift. */

const DOCUMENT = readFileSync('docs/format.md', 'utf8')

/** The cells of a row, without the code marks around the whole of one. */
function cells(line: string): string[] {
  const parts = line
    .replaceAll(String.raw`\|`, '\0')
    .split('|')
    .slice(1, -1)
  return parts.map((cell) =>
    cell
      .trim()
      .replaceAll('\0', '|')
      .replace(/^`([^`]*)`$/, '$1'),
  )
}

/** The rows of the one table whose first header cells are these. */
function table(...headers: string[]): string[][] {
  const lines = DOCUMENT.split('\n')
  const starts = lines.flatMap((line, i) => {
    const isHeader = line.startsWith('| ') && /^\|(?:---\|)+$/.test(lines[i + 1] ?? '')
    return isHeader && headers.every((header, j) => cells(line)[j] === header) ? [i] : []
  })
  assert.equal(starts.length, 1, `docs/format.md has ${starts.length} tables headed ${headers.join(', ')}`)
  const rows: string[][] = []
  for (let i = (starts[0] as number) + 2; lines[i]?.startsWith('|'); i++) rows.push(cells(lines[i] as string))
  return rows
}

/** The rows of the table that follows some text, since several are headed alike. */
function tableAfter(text: string, header: string): string[][] {
  const at = DOCUMENT.indexOf(text)
  assert.ok(at >= 0, `docs/format.md does not say '${text}'`)
  const block = DOCUMENT.slice(DOCUMENT.indexOf(`| ${header} |`, at)).split('\n\n')[0] ?? ''
  return block
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

/** Names in the first column, each in code marks, several in one cell. */
function namesAfter(text: string): string[] {
  return tableAfter(text, 'field | value').flatMap(([cell = '']) =>
    Array.from(cell.matchAll(/`([^`]+)`/g), ([, name = '']) => name),
  )
}

/** The context of a key's derivation. */
function contextOf(key: string): string {
  return table('key', 'context').find(([name]) => name === key)?.[1] ?? ''
}

/** What the document has where `pattern` has its group. */
function quoted(pattern: RegExp): string {
  const found = pattern.exec(DOCUMENT)?.[1]
  assert.ok(found !== undefined, `docs/format.md has nothing like ${String(pattern)}`)
  return found
}

/** The fields of a JSON object whose values are left out. */
function jsonFields(pattern: RegExp): string[] {
  return Array.from(quoted(pattern).matchAll(/"(\w+)":/g), ([, name = '']) => name)
}

/** Name → number from two columns. */
function codes(...headers: string[]): Record<string, number> {
  return Object.fromEntries(table(...headers).map(([name = '', code]) => [name, Number(code)]))
}

const MASTER = Uint8Array.from({ length: 32 }, (_, i) => i * 7)

describe('docs/format.md', () => {
  it('is about the version that this code writes', () => {
    assert.match(DOCUMENT, new RegExp(`^# The repository format, version ${FORMAT_VERSION}\n`))
  })

  it('lists the keys of objects', async () => {
    const rows = table('key', 'content').map(([key = '']) => key)
    const patterns = rows.map((key) => {
      const pattern = key
        .replace('<xx>', '[0-9a-f]{2}')
        .replace('<sid>', '[0-9a-f]{32}')
        .replace('<n>', String.raw`\d+`)
        .replace('<hash>', '[0-9a-f]{64}')
        .replace('<id>', '[0-9a-f]+')
      return new RegExp(`^${pattern}$`)
    })
    assert.deepEqual(new Set(rows.map((key) => key.split('/')[0])), new Set(TOP_LEVEL_NAMES))

    const { storage, repository } = await newTestRepository()
    const session = await WriteSession.open(repository)
    await session.claimName('a name')
    await saveChunks(repository, session, [Buffer.from('x')])
    await session.flushIndex()
    const open = await keysOf(storage)
    await session.commit({})
    await changeName(repository, session.id, 'another name')
    await changePin(repository, session.id, true)
    await repository.forget(session.id)
    const keys = new Set([...open, ...(await keysOf(storage))])
    for (const key of keys)
      assert.ok(
        patterns.some((pattern) => pattern.test(key)),
        key,
      )
    assert.equal(new Set([...keys].map((key) => key.split('/')[0])).size, 10)
  })

  it('names the contexts of all keys', () => {
    const keys = deriveRepositoryKeys(MASTER, 'aes-256-gcm')
    const derived = new Map(
      table('key', 'context').map(([key = '', context = '']) => [key, deriveKey(context, MASTER)]),
    )
    const known: Record<string, Uint8Array | undefined> = {
      'chunk id': keys.chunkId,
      config: keys.config,
      names: keys.names,
      chunker: derived.get('chunker'), // compared by way of the gear table
      generation: derived.get('generation'), // these two by what is made with them, below
      'slot notes': derived.get('slot notes'),
      ...keys.objects[0],
    }
    assert.deepEqual(Object.fromEntries(derived), known)
    const gear = new ChunkHasher(derived.get('chunker'))
    const blocks = Array.from({ length: 32 }, (_, i) => gear.hash(Uint8Array.of(i)))
    assert.deepEqual(Buffer.concat(blocks), keys.gear)
  })

  it('numbers kinds, ciphers, compressions, types and kinds of tree chunks', () => {
    assert.deepEqual(codes('kind', 'code'), OBJECT_KINDS)
    assert.deepEqual(codes('cipher', 'code'), CIPHER_CODES)
    assert.deepEqual(codes('compression', 'code'), COMPRESSION_CODES)
    assert.deepEqual(codes('type', 'code'), NODE_TYPES)
    assert.deepEqual(codes('kind of chunk', 'code'), TREE_CHUNK_KINDS)
    assert.match(DOCUMENT, new RegExp(`begin with a version \\(\`u8\`, ${TREE_CHUNK_VERSION}\\) and a kind`))
  })

  it('lays out the header of sealed objects', () => {
    const rows = table('offset', 'bytes', 'content').map(([offset, bytes, content]) => ({
      offset: Number(offset),
      bytes: Number(bytes),
      content: content ?? '',
    }))
    const last = rows.at(-1)
    assert.equal((last?.offset ?? 0) + (last?.bytes ?? 0), HEADER_BYTES)
    const keys = deriveRepositoryKeys(MASTER, 'chacha20-poly1305')
    const header = newHeader('commit', keys)
    for (const { offset, bytes, content } of rows) {
      const field = header.subarray(offset, offset + bytes)
      if (content.startsWith('`CAIRN`')) assert.equal(field.toString(), 'CAIRN')
      else if (content.startsWith('format version')) assert.equal(`format version: ${field[0]}`, content)
      else if (content === 'kind') assert.equal(field[0], OBJECT_KINDS.commit)
      else if (content.startsWith('cipher code')) assert.equal(field[0], CIPHER_CODES['chacha20-poly1305'])
      else if (content === 'key generation (`u64`)') assert.deepEqual(field, Buffer.alloc(bytes))
      else assert.equal(content, 'random salt')
    }
  })

  it('states the limits', () => {
    assert.deepEqual(codes('limit', 'value'), {
      'bytes of a chunk': MAX_CHUNK_BYTES,
      'bytes of a pack': MAX_PACK_BYTES,
      'chunks of a segment': MAX_CHUNKS,
    })
    assert.match(DOCUMENT, new RegExp(`every ${HEARTBEAT_MS / 1000} seconds`))
    assert.match(DOCUMENT, new RegExp(`more than\n${SILENCE_MS / 1000} seconds ago`))
  })

  it('lists the fields of the config and of key slots', async () => {
    const { storage } = await newTestRepository()
    const [line = ''] = Buffer.from(await storage.get('config'))
      .toString()
      .split('\n')
    assert.deepEqual(namesAfter('## 4. Config').sort(), Object.keys(JSON.parse(line) as object).sort())
    const [key = ''] = await keysOf(storage, 'keys/')
    const slot = JSON.parse(Buffer.from(await storage.get(key)).toString()) as { kdf: Record<string, unknown> }
    assert.deepEqual(namesAfter('## 5. Key slots').sort(), Object.keys(slot).sort())
    const parameters = Object.keys(slot.kdf).filter((name) => name !== 'name')
    const shown = `{"name":"${String(slot.kdf['name'])}",${parameters.map((name) => `"${name}":…`).join(',')}}`
    assert.ok(DOCUMENT.includes(`\`${shown}\``), shown)
  })

  it('describes the notes of key slots, and the objects of generations', async () => {
    const made = await newTestRepository()
    const { storage, keyFiles, repository } = made
    const options = { keyFiles, askPassphrase: answerOnce(TEST_PASSPHRASE), argon2: CHEAP_ARGON2 }
    const [label, isRecovery] = ['Käse', true]
    const { where } = await (await Keyring.open(storage, options)).add({ passphrase: 'x', label, isRecovery })
    const slot = JSON.parse(Buffer.from(await storage.get(where)).toString()) as { salt: string; notes: string }
    const { ring } = await unlockKeyRing(storage, repository.config, options)
    const key = new ChunkHasher(deriveKey(contextOf('slot notes'), ring)).hash(Buffer.from(slot.salt, 'base64'))
    const data = Buffer.from(`${quoted(/the associated data `(cairn key slot notes 1 )`/)}${repository.id}`)
    const notes = new Aead('aes-256-gcm', key).open(0, data, Buffer.from(slot.notes, 'base64'), 'notes').toString()
    const { createdAt } = JSON.parse(notes) as { createdAt: string }
    assert.deepEqual(JSON.parse(notes), { label, createdAt, isRecovery })
    assert.deepEqual(Object.keys(JSON.parse(notes) as object), jsonFields(/JSON object `(\{"label".*?\})`/))

    await (await Keyring.open(storage, options)).rotate()
    const rotated = await unlockKeyRing(storage, repository.config, options)
    const check = toHex(deriveKey(contextOf('generation'), rotated.ring.subarray(32)))
    const line = JSON.stringify({ generation: 1, check })
    assert.deepEqual(Object.keys(JSON.parse(line) as object), jsonFields(/^`(\{"generation":n.*?\})`/m))
    const hash = toHex(new ChunkHasher(repository.keys.config).hash(Buffer.from(line)))
    assert.equal(Buffer.from(await storage.get('generations/1')).toString(), `${line}\n${hash}\n`)
  })

  it('lists the fields of session objects and snapshot records', async () => {
    const { storage, repository } = await newTestRepository()
    await WriteSession.open(repository)
    const [key = ''] = await keysOf(storage, 'sessions/')
    const session = openObject('session', repository.keys, key, await storage.get(key)).toString()
    assert.deepEqual(namesAfter('**Session object**').sort(), Object.keys(JSON.parse(session) as object).sort())

    const snapshot: { [K in keyof Required<Snapshot>]: unknown } = {
      id: '0'.repeat(32),
      name: 'n',
      startedAt: '',
      endedAt: '',
      hostname: '',
      username: '',
      paths: [],
      comment: '',
      tags: [],
      issues: 0,
      programVersion: '',
      commandLine: [],
      tree: Buffer.alloc(32),
      stamps: Buffer.alloc(1),
      samples: Buffer.alloc(1),
      furtherNames: Buffer.alloc(1),
      root: { name: 'n', type: 'fifo', mode: 0, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n },
      checkpoint: true,
      leftOut: ['acls'],
      parent: '1'.repeat(32),
      madeFrom: '2'.repeat(32),
      pinned: true,
      stats: {},
    }
    const { snapshot: record } = encodeSnapshot(snapshot as Snapshot)
    assert.deepEqual(namesAfter('**Commit register**').sort(), Object.keys(record as object).sort())

    const row = tableAfter('**Commit register**', 'field | value').find(([name]) => name === '`stats`')
    const counters = Array.from(row?.[1]?.matchAll(/`(\w+)`/g) ?? [], ([, name = '']) => name)
    const decode = (names: readonly string[]): unknown =>
      decodeSnapshot({
        session: snapshot.id as SessionId,
        value: { snapshot: { ...(record as object), stats: Object.fromEntries(names.map((name, i) => [name, i])) } },
      })?.stats
    assert.deepEqual(decode(counters), Object.fromEntries(counters.map((name, i) => [name, i])))
    for (const left of counters)
      assert.throws(() => decode(counters.filter((name) => name !== left)), { code: 'DATA_CORRUPT' }, left)
  })

  it('lists the fields of labels and the texts of claims', async () => {
    const { storage, repository } = await newTestRepository()
    const session = await WriteSession.open(repository)
    await session.claimName('a name')
    await session.commit({})
    await changeLabel(repository, session.id, () => ({ comment: 'c', tags: ['t'] }))
    await changeName(repository, session.id, 'another name')
    const next = await WriteSession.open(repository)
    await next.claimName('another name', session.id)
    const key = `labels/${session.id}-2`
    const label = openObject('label', repository.keys, key, await storage.get(key)).toString()
    assert.deepEqual(
      table('field of a label', 'value')
        .map(([name]) => name)
        .sort(),
      Object.keys(JSON.parse(label) as object).sort(),
    )
    const keys = await keysOf(storage, 'names/')
    const claims = await Promise.all(keys.map(async (name) => Buffer.from(await storage.get(name)).toString()))
    assert.deepEqual(
      table('text')
        .map(([text]) => text)
        .sort(),
      claims.map((text) => text.replaceAll(/[0-9a-f]{32}/g, '<sid>')).sort(),
    )
  })

  it('numbers the tags of nodes', () => {
    const node = {
      name: 'n',
      type: 'dir',
      mode: 0,
      uid: 0,
      gid: 0,
      user: 'user',
      group: 'group',
      sizeBytes: 0,
      mtimeNs: 0n,
      linkTarget: 'linkTarget',
      content: Buffer.from('content'),
      tree: asChunkId(Buffer.alloc(32, 't')),
      leaves: 200,
      ancestor: true,
      hardLink: 'hard/link',
      device: { major: 8, minor: 300 },
      xattrs: Buffer.from('xattrs'),
      holes: Buffer.from('holes'),
      flags: 200,
      atimeNs: -1n,
      changed: true,
    } as const
    const writer = new ByteWriter()
    encodeNode(node, writer, new ByteWriter())
    const reader = new ByteReader(new ByteReader(writer.copy(), 'the outer bytes').bytes(), 'the node')
    reader.skip(2 + 1 + 3 + 12 + 1) // name, type, mode, uid and gid, mtime, size
    const values: Record<string, string> = {
      user: 'user',
      group: 'group',
      linkTarget: 'linkTarget',
      content: 'content',
      tree: 't'.repeat(32),
      leaves: Buffer.of(0xc8, 1).toString('latin1'),
      ancestor: '',
      hardLink: 'hard/link',
      device: Buffer.of(8, 0xac, 2).toString('latin1'),
      xattrs: 'xattrs',
      holes: 'holes',
      flags: Buffer.of(0xc8, 1).toString('latin1'),
      atime: Buffer.from('ffffffffffffffffffc99a3b', 'hex').toString('latin1'),
      changed: '',
    }
    const rows = table('tag', 'field', 'bytes')
    for (const [tag, field = ''] of rows) {
      assert.equal(reader.u8(), Number(tag), field)
      assert.equal(reader.bytes().toString('latin1'), values[field], field)
    }
    assert.ok(reader.done)
    assert.equal(rows.length, Object.keys(values).length)
  })

  it('describes the chunker parameters, and cuts as its test vector says', () => {
    const names = namesAfter('## 13. Cut points')
    assert.deepEqual(names.sort(), [...new Set([...Object.keys(DEFAULT_CHUNKER_PARAMS), 'blockBytes'])].sort())
    const extremes = [
      { algorithm: 'fixed', blockBytes: 4096 },
      { algorithm: 'fixed', blockBytes: 2 ** 25 },
      { algorithm: 'fastcdc', minBytes: 64, meanBytes: 2 ** 12, maxBytes: 2 ** 12 + 1 },
      { algorithm: 'fastcdc', minBytes: 2 ** 24 - 1, meanBytes: 2 ** 24, maxBytes: 2 ** 25 },
    ]
    for (const params of extremes) assert.deepEqual(validateChunkerParams(params), params)

    const [, vector = ''] = /give chunks that end at ([\d,\s]+)\./.exec(DOCUMENT) ?? []
    const ends = vector.split(',').map(Number)
    assert.equal(ends.at(-1), 2 ** 24)
    const chunker = createChunker(DEFAULT_CHUNKER_PARAMS, testBytes('cairn gear table', 1024), 2 ** 25)
    assert.deepEqual(
      feed(chunker, testBytes('cairn chunker', 2 ** 24), () => 2 ** 24),
      ends,
    )
  })
})
