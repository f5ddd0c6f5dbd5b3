import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { sourceOf } from '../base/byte-stream.ts'
import { type ArchiveEntry, type ReadEntry } from './archive-entry.ts'
import { TarReader } from './tar-reader.ts'
import { TarWriter } from './tar-writer.ts'
import { aclFromText, aclToMode, aclToText } from './tar/acl-text.ts'
import { decodeHeader, decodeNumber, encodeHeader, isHeader, splitPath } from './tar/header.ts'
import { decodePax, decodeTime, encodePax, encodeTime } from './tar/pax.ts'
import { encodeMap, extentsBetween, holesBetween } from './tar/sparse.ts'

const PLAIN: ArchiveEntry = {
  path: 'f',
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  sizeBytes: 0,
  mtimeNs: 0n,
}

/** What a writer wrote, but for the content. */
async function write(entry: ArchiveEntry, content?: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = []
  const writer = new TarWriter({
    write: async (bytes) => {
      if (bytes !== ZEROS) parts.push(Buffer.from(bytes))
    },
    end: async () => undefined,
  })
  await writer.add(entry, content)
  await writer.finish()
  return Buffer.concat(parts)
}

const ZEROS = new Uint8Array(16 << 20)

async function* zeros(bytes: number): AsyncGenerator<Uint8Array> {
  for (let left = bytes; left > 0; left -= ZEROS.length) yield left < ZEROS.length ? ZEROS.slice(0, left) : ZEROS
}

async function readFirst(archive: Buffer): Promise<ReadEntry> {
  const { value } = await new TarReader(sourceOf(archive))[Symbol.asyncIterator]().next()
  assert.ok(value)
  return value as ReadEntry
}

describe('a tar entry', () => {
  it('comes back in everything that it says', async () => {
    const text = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 150 })
      .map((name) => name.replaceAll(/[/\0]/g, '_').toWellFormed())
    const id = fc.oneof(fc.nat(3_000_000), fc.integer({ min: 0, max: 0xffff_fffe }))
    const any = fc.record({
      path: fc.array(text, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      type: fc.constantFrom('file', 'dir', 'symlink', 'fifo', 'chardev', 'blockdev'),
      mode: fc.nat(0o7777),
      uid: id,
      gid: id,
      user: fc.oneof(fc.constant(''), text),
      group: fc.oneof(fc.constant(''), text),
      mtimeNs: fc.bigInt(-(10n ** 20n), 10n ** 20n),
      atimeNs: fc.option(fc.bigInt(-(10n ** 19n), 10n ** 19n), { nil: undefined }),
      linkTarget: text,
      device: fc.record({ major: fc.nat(0xfff), minor: fc.nat(0xf_ffff) }),
      flags: fc.nat(7),
      xattrs: fc.uniqueArray(
        fc.record({ name: text.map((name) => `user.${name}`), value: fc.uint8Array({ maxLength: 600 }) }),
        {
          selector: ({ name }) => name,
          maxLength: 3,
        },
      ),
    })
    await fc.assert(
      fc.asyncProperty(any, async ({ linkTarget, device, ...given }) => {
        const isDevice = given.type === 'chardev' || given.type === 'blockdev'
        const entry: ArchiveEntry = {
          ...given,
          sizeBytes: 0,
          linkTarget: given.type === 'symlink' ? linkTarget : undefined,
          device: isDevice ? { ...device } : undefined,
        }
        const { entry: got } = await readFirst(await write(entry))
        const path = given.type === 'dir' ? `${given.path}/` : given.path
        const xattrs =
          given.xattrs.length === 0
            ? undefined
            : given.xattrs.map(({ name, value }) => ({ name, value: Buffer.from(value) }))
        assert.deepEqual(got, { ...entry, path, xattrs })
      }),
      { numRuns: 300 },
    )
  })

  it('may be larger than eight GiB', async () => {
    const sizeBytes = 9 * 2 ** 30 + 5
    const archive = await write({ ...PLAIN, sizeBytes }, zeros(sizeBytes))
    assert.match(archive.toString('latin1', 512, 1024), /^\d+ size=9663676421\n/)
    const { entry, contentBytes } = await readFirst(archive)
    assert.deepEqual([entry.sizeBytes, contentBytes], [sizeBytes, sizeBytes])
  })

  it('is refused when its content is not as long as it says', async () => {
    for (const bytes of [0, 511, 513])
      await assert.rejects(write({ ...PLAIN, sizeBytes: 512 }, zeros(bytes)), { code: 'DATA_CORRUPT' })
  })
})

describe('TarReader', () => {
  it('passes over content that nobody reads, and gives the rest of what was begun', async () => {
    const parts: Buffer[] = []
    const writer = new TarWriter({
      write: async (bytes) => void parts.push(Buffer.from(bytes)),
      end: async () => undefined,
    })
    const lengths = [0, 1, 511, 512, 513, 2_500_000, 3]
    for (const length of lengths) {
      const content = (async function* () {
        yield Buffer.alloc(length, length % 251)
      })()
      await writer.add({ ...PLAIN, path: `f${length}`, sizeBytes: length }, content)
    }
    await writer.finish()
    for (const wanted of [0, 1, 600, 4_000_000]) {
      const seen: number[] = []
      for await (const { content, contentBytes } of new TarReader(sourceOf(Buffer.concat(parts)))) {
        const memory = Buffer.alloc(wanted)
        const count = (await content?.read(memory)) ?? 0
        assert.equal(count, Math.min(wanted, contentBytes))
        assert.ok(memory.subarray(0, count).equals(Buffer.alloc(count, contentBytes % 251)))
        seen.push(contentBytes)
      }
      assert.deepEqual(seen, lengths)
    }
  })
})

/** A number in a field that holds nothing else, in hex. */
function number(hex: string): number {
  return decodeNumber(Buffer.from(hex, 'hex'), 0, hex.length / 2, 'it')
}

describe('a tar header', () => {
  it('has numbers in octal, with blanks or NULs around them, or in base 256', () => {
    assert.equal(number(Buffer.from('0000644\0').toString('hex')), 0o644)
    assert.equal(number(Buffer.from('   644 \0').toString('hex')), 0o644)
    assert.equal(number(Buffer.from('77777777').toString('hex')), 0o77777777)
    assert.equal(number(Buffer.alloc(8).toString('hex')), 0)
    assert.equal(number('800000000000000200000000'), 2 ** 33)
    assert.equal(number('ffffffffffffffff'), -1)
    assert.equal(number('ffffffffffffff00'), -256)
    for (const bad of [
      Buffer.from('12x\0').toString('hex'),
      Buffer.from('-1\0\0').toString('hex'),
      '80ffffffffffffffff',
    ])
      assert.throws(() => number(bad), { code: 'ARCHIVE_CORRUPT' })
  })

  it('may have a checksum of signed bytes', () => {
    const block = Buffer.alloc(512)
    const none = Buffer.alloc(0)
    const rest = {
      mode: 0,
      uid: 0,
      gid: 0,
      sizeBytes: 0,
      mtime: 0,
      linkTarget: none,
      user: none,
      group: none,
      major: 0,
      minor: 0,
    }
    encodeHeader(block, { ...rest, path: Buffer.from([0xe9, 0xff]), type: '0' })
    const unsigned = Number.parseInt(block.toString('latin1', 148, 154), 8)
    block.write(`${(unsigned - 512).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    assert.ok(isHeader(block))
    assert.deepEqual(decodeHeader(block, 0).path, Buffer.from([0xe9, 0xff]))
    block[0] = 0xe8
    assert.ok(!isHeader(block))
  })

  it('parts a long path at a slash that leaves both parts short enough', () => {
    for (const [a, b, fits] of [
      [155, 100, true],
      [156, 100, false],
      [155, 101, false],
      [1, 98, true],
      [100, 100, true],
    ] as const) {
      const path = Buffer.from(`${'p'.repeat(a)}/${'n'.repeat(b)}`)
      const parts = splitPath(path)
      assert.equal(parts !== undefined, fits, `${a}/${b}`)
      if (parts?.prefix) assert.deepEqual([parts.prefix.length, parts.name.length], [a, b])
    }
    assert.equal(splitPath(Buffer.from(`/${'n'.repeat(100)}`)), undefined)
  })
})

describe('pax records', () => {
  it('come back, however long, and count their own length', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.stringMatching(/^[a-z.]{1,10}$/), fc.uint8Array({ minLength: 1, maxLength: 1200 })), {
          maxLength: 4,
        }),
        (given) => {
          const records = new Map(given.map(([key, value]) => [key, Buffer.from(value)]))
          const decoded = new Map<string, Buffer>()
          decodePax(encodePax(records), 0, decoded, () => undefined)
          assert.deepEqual(decoded, records)
        },
      ),
    )
    // Where the length grows by a digit because of its own digits.
    for (let length = 1; length < 1100; length++)
      assert.equal(
        Number(/^\d+/.exec(encodePax([['a', Buffer.alloc(length)]]).toString('latin1'))?.[0]),
        encodePax([['a', Buffer.alloc(length)]]).length,
      )
  })

  it('have times to the nanosecond, before and after 1970', () => {
    for (const [ns, text] of [
      [0n, '0'],
      [-1n, '-0.000000001'],
      [1_500_000_000n, '1.5'],
      [-1_500_000_000n, '-1.5'],
      [15_000_000_000_000_000_001n, '15000000000.000000001'],
    ] as const) {
      assert.equal(encodeTime(ns), text)
      assert.equal(decodeTime(text), ns)
    }
    assert.equal(decodeTime('1.0000000019'), 1_000_000_001n)
    for (const bad of ['', '1e9', '.5', '+1', '1.2.3', ' 1', '0x10']) assert.equal(decodeTime(bad), undefined, bad)
  })
})

describe('sparse maps', () => {
  it('give back the holes they were made from', () => {
    const layout = fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 })), {
      maxLength: 20,
    })
    fc.assert(
      fc.property(layout, fc.nat(1), fc.nat(500), (pieces, gap, tail) => {
        let at = gap // a hole may be first
        const holes = pieces.map(([length, data]) => {
          const hole = { offset: at, length }
          at += length + data
          return hole
        })
        const sizeBytes = at - (pieces.at(-1)?.[1] ?? 0) + tail // and last
        const dataBytes = holes.reduce((left, { length }) => left - length, sizeBytes)
        assert.deepEqual(holesBetween(extentsBetween(holes, sizeBytes), sizeBytes, dataBytes, 'f'), holes)
        assert.ok(encodeMap(extentsBetween(holes, sizeBytes)).toString('latin1').endsWith('\n'))
      }),
    )
  })
})

describe('ACLs as text', () => {
  it('are the bytes that they are made from', () => {
    for (const bad of ['', '02000000', '030000000100060000000000', '020000000300060000000000'])
      assert.equal(aclToText(Buffer.from(bad, 'hex')), undefined)
    const text = 'user::rw-\nuser:7:r--\ngroup::r--\ngroup:4294967294:rwx\nmask::r--\nother::---\n'
    assert.equal(aclToText(aclFromText(text) as Buffer), text)
    // In any order, short, with commas, comments and the numbers that star puts behind names.
    const other = 'o::-,m::r,u::rw,g::r-- # effective,group:4294967294:rwx,user:nobody-here:r--:7'
    assert.deepEqual(aclFromText(other), aclFromText(text))
  })

  it('stand for a mode, which counts more than that of the header', async () => {
    const acl = aclFromText('user::rw-,user:7:rwx,group::r--,mask::rwx,other::--x') as Buffer
    assert.equal(aclToMode(acl), 0o671)
    assert.equal(aclToMode(aclFromText('user:7:rwx,mask::rwx') as Buffer), undefined)
    const xattrs = [{ name: 'system.posix_acl_access', value: acl }]
    const { entry } = await readFirst(await write({ ...PLAIN, mode: 0o4644, xattrs }))
    assert.equal(entry.mode, 0o4671)
  })

  it('say no more than the mode, or make no sense', () => {
    assert.equal(aclFromText('user::rwx\ngroup::r-x\nother::r-x\n'), 'minimal')
    for (const bad of ['', 'user:nobody-here:r--', 'nonsense', 'user::', 'user::rwz', 'user:7:rwx:x'])
      assert.equal(aclFromText(bad), undefined, bad)
  })
})
