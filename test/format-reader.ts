/**
 * A second reader of repositories, written from docs/format.md alone: it imports nothing of the program, so what it can read
 * proves that the document suffices. Node's own modules and BLAKE3 are all it needs; of the compressions it knows those that
 * Node has.
 */
import { argon2Sync, createDecipheriv } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { inflateSync, zstdDecompressSync } from 'node:zlib'
import { Blake3Hasher, blake3 } from '@napi-rs/blake-hash'

const KINDS = { dataPack: 1, treePack: 2, index: 3, commit: 4, session: 5, label: 6 } as const
const CIPHERS = ['none', 'aes-256-gcm', 'chacha20-poly1305']

type Kind = keyof typeof KINDS
type Place = { pack: string; header: Buffer; offset: number; bytes: number; position: number }

/** Section 1. */
class Cursor {
  at = 0
  readonly data: Buffer
  constructor(data: Buffer) {
    this.data = data
  }
  get done(): boolean {
    return this.at === this.data.length
  }
  raw(length: number): Buffer {
    this.at += length
    if (this.at > this.data.length) throw new Error('too short')
    return this.data.subarray(this.at - length, this.at)
  }
  varint(): number {
    const byte = this.raw(1).readUInt8()
    return byte < 128 ? byte : byte - 128 + 128 * this.varint()
  }
  bytes(): Buffer {
    return this.raw(this.varint())
  }
}

function keyed(key: Buffer | undefined, data: Uint8Array): Buffer {
  return key ? Blake3Hasher.newKeyed(key).update(data).digestBuffer() : blake3(data)
}

/** Section 6, "Sealing". */
function open(cipher: string, key: Buffer, nonce: number, aad: Buffer, sealed: Buffer): Buffer {
  const nonceBytes = Buffer.alloc(12)
  nonceBytes.writeBigUInt64LE(BigInt(nonce))
  const [message, tag] = [sealed.subarray(0, -16), sealed.subarray(-16)]
  if (cipher === 'none') {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(aad.length)
    const wanted = blake3(Buffer.concat([nonceBytes.subarray(0, 8), length, aad, message])).subarray(0, 16)
    if (!wanted.equals(tag)) throw new Error('wrong tag')
    return message
  }
  const decipher = createDecipheriv(cipher as 'aes-256-gcm', key, nonceBytes, { authTagLength: 16 })
  decipher.setAAD(aad).setAuthTag(tag)
  return Buffer.concat([decipher.update(message), decipher.final()])
}

export class ForeignReader {
  readonly #folder: string
  /** The master keys of all generations. */
  readonly #ring: Buffer
  readonly #cipher: string
  readonly #chunks = new Map<string, Place>()

  /** Section 14, steps 1 to 3. `slots` are those of a key file, instead of the repository's. */
  constructor(folder: string, passphrase: string, slots?: readonly string[]) {
    this.#folder = folder
    const [line = '', hash] = this.#get('config').toString().split('\n')
    const config = JSON.parse(line) as { cairn: number; id: string; encryption: string; cipher: string }
    if (config.cairn !== 1) throw new Error('another version')
    this.#cipher = config.cipher
    const texts = (): readonly string[] => slots ?? this.#list('keys').map((key) => this.#get(key).toString())
    this.#ring = config.encryption === 'none' ? Buffer.alloc(32) : unlock(texts(), config.id, passphrase)
    this.#verifyGenerations()
    if (keyed(this.#key('config'), Buffer.from(line)).toString('hex') !== hash) throw new Error('another config')
    for (const key of this.#list('index')) {
      const [, context = '', sid = ''] = /^(index\/([0-9a-f]{32})-\d+)-/.exec(key) ?? []
      if (this.#sizeOf(`commits/${sid}`) > 0) this.#readIndex(this.#openObject('index', context, this.#get(key)))
    }
  }

  /** Snapshot records by name, as labels have them. */
  snapshots(): Map<string, { tree: string; [field: string]: unknown }> {
    const forgotten = new Set(this.#list('forgotten').map((key) => key.replace('forgotten/', 'commits/')))
    const committed = this.#list('commits').filter((key) => this.#sizeOf(key) > 0 && !forgotten.has(key))
    const records = committed.map((key) => {
      const { snapshot } = JSON.parse(this.#openObject('commit', key, this.#get(key)).toString())
      return snapshot && { ...snapshot, ...this.#label(key.replace('commits/', '')) }
    })
    return new Map(records.filter(Boolean).map((snapshot) => [snapshot.name, snapshot]))
  }

  /** Section 9: the label with the highest number. */
  #label(sid: string): object {
    const numbers = this.#list('labels').flatMap((key) => (key.includes(`/${sid}-`) ? [Number(key.split('-')[1])] : []))
    if (numbers.length === 0) return {}
    const key = `labels/${sid}-${Math.max(...numbers)}`
    return JSON.parse(this.#openObject('label', key, this.#get(key)).toString())
  }

  /** Sections 7 and 14, step 5. */
  chunk(id: Buffer): Buffer {
    const place = this.#chunks.get(id.toString('hex'))
    if (!place) throw new Error(`no chunk ${id.toString('hex')}`)
    const { pack, header, offset, bytes, position } = place
    const sealed = this.#get(`packs/${pack.slice(0, 2)}/${pack}`).subarray(offset, offset + bytes)
    const kind = header[6] === KINDS.dataPack ? 'dataPack' : 'treePack'
    const aad = Buffer.concat([header, Buffer.from('segment')])
    const segment = new Cursor(open(this.#cipher, this.#objectKey(kind, header), offset, aad, sealed))
    const code = segment.raw(1).readUInt8()
    const lengths = Array.from({ length: segment.varint() }, () => segment.varint())
    const plain = decompress(code, segment.raw(segment.data.length - segment.at))
    const start = lengths.slice(0, position).reduce((sum, length) => sum + length, 0)
    const chunk = plain.subarray(start, start + (lengths[position] ?? 0))
    if (!keyed(this.#cipher === 'none' ? undefined : this.#key('chunk id'), chunk).equals(id))
      throw new Error('wrong chunk')
    return chunk
  }

  /** Section 10. */
  nodes(tree: Buffer): ForeignNode[] {
    const cursor = new Cursor(this.chunk(tree))
    const [version, kind] = cursor.raw(2)
    if (version !== 1) throw new Error('another version of trees')
    const nodes: ForeignNode[] = []
    if (kind === 1) {
      while (!cursor.done) {
        const id = cursor.raw(32)
        const lastName = cursor.bytes()
        nodes.push(...this.nodes(id))
        if (!nodes.at(-1)?.name.equals(lastName)) throw new Error('another last name')
      }
    } else while (!cursor.done) nodes.push(new ForeignNode(new Cursor(cursor.bytes())))
    return nodes
  }

  /** Section 14, step 4: the node at a path of a snapshot. */
  find(snapshot: string, file: string): ForeignNode {
    let tree: Buffer | undefined = Buffer.from(this.snapshots().get(snapshot)?.tree ?? '', 'hex')
    let node: ForeignNode | undefined
    for (const part of file.split('/')) {
      node = tree && this.nodes(tree).find(({ name }) => name.equals(Buffer.from(part)))
      tree = node?.tags.get(5)
    }
    if (!node) throw new Error(`no ${file}`)
    return node
  }

  /** Section 11. */
  content(encoded: Buffer | undefined): Buffer {
    return encoded ? this.#join(new Cursor(encoded.subarray(1)), encoded.readUInt8()) : Buffer.alloc(0)
  }

  /** Section 11, "attachment". */
  attachment(field: Buffer): Buffer {
    return field.readUInt8() === 0 ? field.subarray(1) : this.content(field.subarray(1))
  }

  /** The bytes of a file, its holes among them. */
  file(node: ForeignNode): Buffer {
    const data = this.content(node.tags.get(4))
    const field = node.tags.get(11)
    const parts: Buffer[] = []
    let at = 0
    for (const holes = new Cursor(field ? this.attachment(field) : Buffer.alloc(0)); !holes.done;) {
      const before = holes.varint()
      parts.push(data.subarray(at, at + before), Buffer.alloc(holes.varint()))
      at += before
    }
    return Buffer.concat([...parts, data.subarray(at)])
  }

  /** Names and values. */
  xattrs(node: ForeignNode): Map<string, Buffer> {
    const field = node.tags.get(10)
    const xattrs = new Map<string, Buffer>()
    for (const list = new Cursor(field ? this.attachment(field) : Buffer.alloc(0)); !list.done;)
      xattrs.set(list.bytes().toString('latin1'), list.bytes())
    return xattrs
  }

  /** A node by itself, as a snapshot record has one. */
  static node(bytes: Buffer): ForeignNode {
    return new ForeignNode(new Cursor(new Cursor(bytes).bytes()))
  }

  #join(references: Cursor, height: number): Buffer {
    const parts: Buffer[] = []
    while (!references.done) {
      const chunk = this.chunk(references.raw(32))
      const length = references.varint()
      if (height > 0 && chunk.readUInt16BE() !== 0x0102) throw new Error('no list')
      parts.push(height > 0 ? this.#join(new Cursor(chunk.subarray(2)), height - 1) : chunk)
      if (parts.at(-1)?.length !== length) throw new Error('another length')
    }
    return Buffer.concat(parts)
  }

  /** Section 8. */
  #readIndex(message: Buffer): void {
    const cursor = new Cursor(message)
    while (!cursor.done) {
      const pack = cursor.raw(32).toString('hex')
      cursor.varint()
      const header = cursor.raw(48)
      const table = new Cursor(cursor.bytes())
      for (let offset = 48; !table.done;) {
        const bytes = table.varint()
        const ids = Array.from({ length: table.varint() }).map(() => table.raw(32).toString('hex'))
        for (const [position, id] of ids.entries()) {
          table.varint()
          this.#chunks.set(id, { pack, header, offset, bytes, position })
        }
        offset += bytes
      }
    }
  }

  #openObject(kind: Kind, context: string, object: Buffer): Buffer {
    const header = object.subarray(0, 48)
    const codes = Buffer.of(1, KINDS[kind], CIPHERS.indexOf(this.#cipher))
    const begin = Buffer.concat([Buffer.from('CAIRN'), codes])
    if (!header.subarray(0, 8).equals(begin)) throw new Error(`another header: ${context}`)
    const aad = Buffer.concat([header, Buffer.from(context)])
    return open(this.#cipher, this.#objectKey(kind, header), 0, aad, object.subarray(48))
  }

  #key(use: string, generation = 0): Buffer {
    if (generation * 32 >= this.#ring.length) throw new Error(`no key generation ${generation}`)
    return Blake3Hasher.deriveKey(`cairn 2026 ${use}`, this.#ring.subarray(generation * 32, generation * 32 + 32))
  }

  #objectKey(kind: Kind, header: Buffer): Buffer {
    return keyed(this.#key(kind, Number(header.readBigUInt64LE(8))), header.subarray(16, 48))
  }

  /** Section 5, "generations". */
  #verifyGenerations(): void {
    for (const key of this.#list('generations')) {
      const [line = '', hash] = this.#get(key).toString().split('\n')
      const { generation, check } = JSON.parse(line) as { generation: number; check: string }
      if (keyed(this.#key('config'), Buffer.from(line)).toString('hex') !== hash) throw new Error('another generation')
      if (key !== `generations/${generation}`) throw new Error('another place')
      if (this.#key('generation', generation).toString('hex') !== check) throw new Error('a slot of another rotation')
    }
  }

  #get(key: string): Buffer {
    return readFileSync(path.join(this.#folder, key))
  }

  #sizeOf(key: string): number {
    return statSync(path.join(this.#folder, key), { throwIfNoEntry: false })?.size ?? 0
  }

  #list(folder: string): string[] {
    const there = existsSync(path.join(this.#folder, folder)) // folders come with their first object
    return there ? readdirSync(path.join(this.#folder, folder)).map((name) => `${folder}/${name}`) : []
  }
}

/** Section 5. */
function unlock(slots: readonly string[], repository: string, passphrase: string): Buffer {
  for (const slot of slots) {
    const { kdf, salt, sealed, ...rest } = JSON.parse(slot)
    const nonce = Buffer.from(salt, 'base64')
    const options = { message: Buffer.from(passphrase.normalize('NFC')), nonce, tagLength: 32 }
    const { memoryKiB: memory, passes, parallelism } = kdf
    const key =
      kdf.name === 'none'
        ? Blake3Hasher.deriveKey('cairn 2026 key slot without passphrase', nonce)
        : argon2Sync('argon2id', { ...options, memory, passes, parallelism })
    if (rest.cairn_key !== 1 || rest.repository !== repository) continue
    return open('aes-256-gcm', key, 0, Buffer.from(`cairn key slot 1 ${repository}`), Buffer.from(sealed, 'base64'))
  }
  throw new Error('no slot')
}

/** Section 10, "node". */
export class ForeignNode {
  readonly name: Buffer
  readonly type: number
  readonly mode: number
  readonly owner: readonly number[]
  readonly mtimeNs: bigint
  readonly sizeBytes: number
  readonly tags = new Map<number, Buffer>()
  constructor(cursor: Cursor) {
    this.name = cursor.bytes()
    this.type = cursor.raw(1).readUInt8()
    this.mode = cursor.varint()
    this.owner = [cursor.varint(), cursor.varint()]
    this.mtimeNs = cursor.raw(8).readBigInt64LE() * 1_000_000_000n + BigInt(cursor.raw(4).readUInt32LE())
    this.sizeBytes = cursor.varint()
    while (!cursor.done) this.tags.set(cursor.raw(1).readUInt8(), cursor.bytes())
  }
}

function decompress(code: number, data: Buffer): Buffer {
  if (code === 0) return data
  if (code === 2) return zstdDecompressSync(data)
  if (code === 3) return inflateSync(data)
  throw new Error(`compression ${code} needs a library`)
}
