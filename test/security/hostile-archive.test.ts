/** Archives made to do harm: refused with an error that says why, or defused, and never more than that. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { TarReader } from '../../src/archives/tar-reader.ts'
import { encodeHeader } from '../../src/archives/tar/header.ts'
import { encodePax } from '../../src/archives/tar/pax.ts'
import { ZipReader } from '../../src/archives/zip-reader.ts'
import { ZipWriter } from '../../src/archives/zip-writer.ts'
import { sourceOf } from '../../src/base/byte-stream.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import type { CreateEvent, CreateResult } from '../../src/operations/create.ts'
import { importArchive } from '../../src/operations/import.ts'
import { listEntries, listSnapshots } from '../../src/operations/list.ts'
import { TestRepository, expectSound, issuesOf, newFolder } from '../testing.ts'

interface Member {
  readonly path: string
  readonly type?: string
  readonly content?: string | Buffer
  /** When it is to lie. */
  readonly size?: number
  readonly link?: string
  readonly pax?: readonly (readonly [string, string])[]
}

function header({ path: name, type = '0', content = '', size, link = '' }: Member): Buffer {
  const block = Buffer.alloc(512)
  const none = Buffer.alloc(0)
  encodeHeader(block, {
    path: Buffer.from(name),
    mode: 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: size ?? Buffer.byteLength(content),
    mtime: 1_000_000_000,
    type,
    linkTarget: Buffer.from(link),
    user: none,
    group: none,
    major: 0,
    minor: 0,
  })
  return block
}

function padded(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string)
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

function member(given: Member): Buffer {
  const extended = given.pax
    ? [member({ path: 'pax', type: 'x', content: encodePax(given.pax.map(([k, v]) => [k, Buffer.from(v)])) })]
    : []
  return Buffer.concat([...extended, header(given), padded(given.content ?? '')])
}

function sparseMember(text: string, realsize = '1000'): Member {
  return {
    path: 'f',
    content: Buffer.concat([padded(text), Buffer.alloc(10)]),
    pax: [
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 'f'],
      ['GNU.sparse.realsize', realsize],
    ],
  }
}

function extendedMember(content: string | Buffer, size?: number): Member {
  return {
    path: 'x',
    type: 'x',
    content,
    ...(size !== undefined && { size }),
  }
}

const END = Buffer.alloc(1024)

function tarOf(...members: readonly Member[]): Buffer {
  return Buffer.concat([...members.map(member), END])
}

async function tryImport(archive: Buffer): Promise<CreateResult & { events: CreateEvent[]; paths: string[] }> {
  const repository = await TestRepository.create({ encryption: 'none' })
  const file = path.join(newFolder(), 'archive')
  writeFileSync(file, archive)
  const events: CreateEvent[] = []
  const result = await importArchive(repository.access, {
    file,
    name: 'x',
    workers: 1,
    onEvent: (event) => events.push(event),
  })
  await expectSound(repository)
  const paths: string[] = []
  await listEntries(repository.access, 'x', [], { onEntry: (entry) => void paths.push(entry.path) })
  return { ...result, events, paths }
}

/** Refused, and nothing is saved. */
async function expectRefused(archive: Buffer, message: RegExp, code: ErrorCode = 'ARCHIVE_CORRUPT'): Promise<void> {
  const repository = await TestRepository.create({ encryption: 'none' })
  const file = path.join(newFolder(), 'archive')
  writeFileSync(file, archive)
  await assert.rejects(importArchive(repository.access, { file, name: 'x', workers: 1 }), { code, message })
  assert.deepEqual((await listSnapshots(repository.access)).snapshots, [])
}

describe('a hostile tar', () => {
  it('puts nothing anywhere: paths become relative, and what leads out is left out', async () => {
    const { paths, events, issues } = await tryImport(
      tarOf(
        { path: '/etc/passwd', content: 'root' },
        { path: '../../escape', content: 'x' },
        { path: 'a/../../b', content: 'x' },
        { path: 'ok/./f', content: 'x' },
        { path: 'link', type: '2', link: '/etc' },
        { path: 'link/shadow', content: 'x' },
        { path: 'h', type: '1', link: '../../../etc/shadow' },
        { path: 'after', content: 'x' },
      ),
    )
    assert.deepEqual(paths, ['after', 'etc/passwd', 'link', 'ok/f'])
    assert.equal(issues, 4)
    const left = ['../../escape', 'a/../../b', 'h', 'link/shadow'].map((name) => `LEFT_OUT ${name}`)
    assert.deepEqual(issuesOf(events), [...left, 'SKIPPED /etc/passwd'])
  })

  it('has hard links to what came before, or none', async () => {
    const { paths, issues } = await tryImport(
      tarOf(
        { path: 'self', type: '1', link: 'self' },
        { path: 'one', type: '1', link: 'two' },
        { path: 'two', type: '1', link: 'one' },
        { path: 'f', content: 'x' },
        { path: 'good', type: '1', link: './f' },
        { path: 'absolute', type: '1', link: '/f' },
      ),
    )
    assert.deepEqual(paths, ['absolute', 'f', 'good'])
    assert.equal(issues, 3)
  })

  it('is refused when it is cut off, wherever that is', async () => {
    const whole = tarOf({ path: 'f', content: 'x'.repeat(2000) }, { path: 'g', content: 'y' })
    for (let at = 0; at < whole.length - END.length + 1; at += 256)
      await assert.rejects(readAll(whole.subarray(0, at)), { code: 'ARCHIVE_CORRUPT' }, `${at}`)
    await expectRefused(whole.subarray(0, whole.length - END.length), /cut off: it ends at byte 3584, in or behind g/)
  })

  it('is refused when a header has a wrong checksum, or is none', async () => {
    const bad = tarOf({ path: 'f', content: 'x' }, { path: 'g', content: 'y' })
    bad[1024] = 0x68
    await expectRefused(bad, /the header at byte 1024 has a wrong checksum/)
    for (const text of ['no archive at all', 'no archive at all'.repeat(100)])
      await expectRefused(Buffer.from(text), /it is neither a tar nor a zip archive/)
    await expectRefused(Buffer.alloc(0), /it is empty/)
  })

  it('is refused when sizes lie', async () => {
    await expectRefused(tarOf({ path: 'f', content: 'x', size: 1 << 30 }), /cut off/)
    await expectRefused(tarOf({ path: 'f', content: 'x', pax: [['size', '99999999999']] }), /cut off/)
    await expectRefused(tarOf({ path: 'f', content: 'x', pax: [['size', '-1']] }), /senseless value of 'size'/)
    await expectRefused(tarOf({ path: 'd', type: '5', content: 'x'.repeat(512) }), /has content and is no file/)
    await expectRefused(tarOf({ path: 's', type: '2', link: 'x', content: 'x' }), /has content and is no file/)
  })

  it('is refused when a sparse map lies', async () => {
    await expectRefused(tarOf(sparseMember('1\n0\n20\n')), /has 10 bytes of data, its map says 20/)
    await expectRefused(tarOf(sparseMember('2\n100\n5\n50\n5\n')), /makes no sense at byte 50/)
    await expectRefused(tarOf(sparseMember('1\n995\n10\n')), /makes no sense at byte 995/)
    await expectRefused(tarOf(sparseMember('99999999\n0\n')), /more than 262144 stretches/, 'FORMAT_UNSUPPORTED')
    await expectRefused(tarOf(sparseMember('9\n0\n10\n')), /is not complete/)
    await expectRefused(tarOf(sparseMember('x\n')), /is not complete/)
    await expectRefused(tarOf(sparseMember('')), /is not complete/)
    const old = [
      ['GNU.sparse.size', '100'],
      ['GNU.sparse.numblocks', '2'],
      ['GNU.sparse.map', '0,1,50'],
    ] as const
    await expectRefused(tarOf({ path: 'f', content: 'x', pax: old }), /is not complete/)
    // Star's own format has its map elsewhere in the header.
    await expectRefused(tarOf({ path: 'f', type: 'S', content: 'x' }), /of a format that is not known/)
    // A file of a petabyte costs nothing but its map.
    const { paths } = await tryImport(tarOf(sparseMember('1\n0\n10\n', String(2 ** 50))))
    assert.deepEqual(paths, ['f'])
  })

  it('is refused when extended headers are senseless, or so large that they only fill the memory', async () => {
    for (const text of ['no record', '5 a=b\n', '99999999 a=b\n', '0 a=b\n', '7 a=b', '6 ab\n\n', '-7 a=b\n'])
      await expectRefused(tarOf(extendedMember(text), { path: 'f' }), /has a record that is none/)
    await expectRefused(tarOf(extendedMember('', 2 ** 33 - 1), { path: 'f' }), /more than anything needs/)
    await expectRefused(tarOf({ path: 'l', type: 'L', size: 2 ** 30 }, { path: 'f' }), /more than anything needs/)
    await expectRefused(tarOf({ path: 'f', pax: [['path', 'a\0b']] }), /a name with a NUL in it/)
    await expectRefused(tarOf({ path: 'f', pax: [['mtime', '1e9']] }), /senseless value of 'mtime'/)
    await expectRefused(
      tarOf(extendedMember(encodePax([['path', Buffer.from('lost')]]))),
      /where an entry should begin/,
    )
    await expectRefused(tarOf({ path: 'v', type: 'M', content: 'x' }), /from another volume/)
    const volume = encodePax([['GNU.volume.filename', Buffer.from('f')]])
    const part = { path: 'GNUFileParts/f.2', content: 'the end of it' }
    await expectRefused(tarOf({ path: 'g', type: 'g', content: volume }, part), /from another volume/)
  })

  it('has devices, and attributes, that no system has', async () => {
    const device = member({ path: 'd', type: '3' })
    const negative = Buffer.concat([device, END])
    negative.write('ffffffffffffffff', 329, 'hex')
    negative.write('        ', 148)
    const sum = negative.subarray(0, 512).reduce((total, byte) => total + byte, 0)
    negative.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    await expectRefused(negative, /is a device -1:0, which no system has/)

    // GNU tar would read no further than to the first of them, were they exported again.
    const pax = [
      ['SCHILY.xattr.', 'x'],
      ['SCHILY.xattr.user.a\0b', 'x'],
      ['SCHILY.xattr.user.good', 'x'],
      ['SCHILY.acl.ace', 'owner@:rw-p--aARWcCos:-------:allow'],
    ] as const
    const { events, issues, paths } = await tryImport(tarOf({ path: 'f', content: 'x', pax }))
    assert.deepEqual([paths, issues, issuesOf(events)], [['f'], 2, ['LOST f', 'LOST f']])
  })

  it('has more behind its end mark, and whoever did not mean that is told', async () => {
    const { events, paths } = await tryImport(Buffer.concat([tarOf({ path: 'f' }), tarOf({ path: 'g' })]))
    assert.deepEqual([paths, issuesOf(events)], [['f'], ['LOST f']])
    const padded = await tryImport(Buffer.concat([tarOf({ path: 'f' }), Buffer.alloc(3 << 20)]))
    assert.equal(padded.issues, 0)
  })

  it('has names and paths that no file system takes', async () => {
    const { paths, events } = await tryImport(
      tarOf(
        { path: '.', content: 'the top is no file' },
        { path: 'f', pax: [['path', 'd/'.repeat(40_000)]] },
        { path: 'deep', pax: [['path', `${'d/'.repeat(3000)}f`]] },
        { path: 'less-deep', pax: [['path', `${'d/'.repeat(999)}f`]] },
        { path: 'empty', type: '2', link: '' },
      ),
    )
    assert.equal(paths.length, 1) // directories on the way are not listed
    assert.equal(issuesOf(events).filter((issue) => issue.startsWith('LEFT_OUT')).length, 4)
  })

  it('is a bomb, and costs time but neither memory nor space', async () => {
    const zeros = Buffer.alloc(64 << 20)
    const content = Buffer.concat([header({ path: 'zeros', size: zeros.length * 3 }), zeros, zeros, zeros, END])
    const archive = gzipSync(content)
    assert.ok(archive.length < 1 << 20)
    const { snapshot } = await tryImport(archive)
    assert.equal(snapshot.stats.originalBytes, zeros.length * 3)
    assert.ok(snapshot.stats.addedBytes < 1 << 20)
  })

  it('is refused when what compresses it is damaged or cut off', async () => {
    const good = gzipSync(tarOf({ path: 'f', content: Buffer.alloc(100_000, 'abc') }))
    await expectRefused(good.subarray(0, good.length - 4), /Cannot decompress/)
    const bad = Buffer.from(good)
    bad[good.length - 6] = (bad[good.length - 6] as number) ^ 1
    await expectRefused(bad, /Cannot decompress/)
    await expectRefused(Buffer.concat([good, Buffer.from('and something else')]), /Cannot decompress/)
  })
})

async function readAll(archive: Buffer): Promise<void> {
  for await (const { content, contentBytes } of new TarReader(sourceOf(archive)))
    await content?.read(new Uint8Array(contentBytes))
}

async function zipOf(...members: readonly { path: string; content: string; type?: 'symlink' }[]): Promise<Buffer> {
  const parts: Buffer[] = []
  const writer = new ZipWriter({
    write: async (bytes) => void parts.push(Buffer.from(bytes)),
    end: async () => undefined,
  })
  for (const { path: name, content, type } of members) {
    const bytes = Buffer.from(content)
    const plain = { mode: 0o644, uid: 0, gid: 0, user: '', group: '', mtimeNs: 0n, path: name }
    const pieces = (async function* () {
      yield bytes
    })()
    if (type === 'symlink') await writer.add({ ...plain, type, sizeBytes: 0, linkTarget: content })
    else await writer.add({ ...plain, type: 'file', sizeBytes: bytes.length }, pieces)
  }
  await writer.finish()
  return Buffer.concat(parts)
}

async function readZip(bytes: Buffer): Promise<void> {
  const source = {
    sizeBytes: bytes.length,
    readAt: async (target: Uint8Array, at: number) => bytes.copy(target, 0, at),
  }
  for await (const { content, contentBytes } of new ZipReader(source)) await content?.read(new Uint8Array(contentBytes))
}

describe('a hostile zip', () => {
  it('slips nowhere', async () => {
    const { paths, issues } = await tryImport(
      await zipOf(
        { path: '../../escape', content: 'x' },
        { path: '/absolute', content: 'x' },
        { path: 'link', content: '/etc', type: 'symlink' },
        { path: 'link/passwd', content: 'x' },
        { path: 'f', content: 'x' },
      ),
    )
    assert.deepEqual([paths, issues], [['absolute', 'f', 'link'], 2])
  })

  it('is refused when members share bytes', async () => {
    const zip = await zipOf({ path: 'a', content: 'x'.repeat(5000) }, { path: 'b', content: 'x'.repeat(5000) })
    const directory = zip.lastIndexOf(Buffer.from('504b0102', 'hex'))
    zip.writeUInt32LE(0, directory + 42) // the second member begins where the first one does
    await expectRefused(zip, /two members lie at byte 0/)
  })

  it('is refused when sizes or checksums lie, or a member is called two names', async () => {
    const good = await zipOf({ path: 'a', content: 'x'.repeat(5000) })
    const directory = good.lastIndexOf(Buffer.from('504b0102', 'hex'))
    const changed = (change: (zip: Buffer) => void): Buffer => {
      const zip = Buffer.from(good)
      change(zip)
      return zip
    }
    await expectRefused(
      changed((zip) => zip.writeUInt32LE(100, directory + 24)),
      /cannot be decompressed/,
    )
    await expectRefused(
      changed((zip) => zip.writeUInt32LE(9999, directory + 24)),
      /has 5000 bytes, not 9999/,
    )
    await expectRefused(
      changed((zip) => zip.writeUInt32LE(1 << 30, directory + 24)),
      /has 5000 bytes, not/,
    )
    await expectRefused(
      changed((zip) => zip.writeUInt32LE(0, directory + 24)),
      /cannot be decompressed|has more than 0 bytes/,
    )
    await expectRefused(
      changed((zip) => zip.writeUInt32LE(1, directory + 16)),
      /does not fit its checksum/,
    )
    await expectRefused(
      changed((zip) => zip.write('b', 30)),
      /called something else/,
    )
    await expectRefused(
      changed((zip) => zip.writeUInt16LE(1, directory + 8)),
      /encrypted/,
      'FORMAT_UNSUPPORTED',
    )
    await expectRefused(
      changed((zip) => zip.writeUInt16LE(9, directory + 10)),
      /compressed by method 9/,
      'FORMAT_UNSUPPORTED',
    )
    await expectRefused(
      changed((zip) => zip.write('\0', directory + 46)),
      /a NUL in it/,
    )
    for (const behind of [1, 300_000])
      await expectRefused(
        changed((zip) => zip.writeUInt32LE(zip.length + behind, zip.length - 6)),
        /cut off|central directory/,
      )
    await expectRefused(good.subarray(0, good.length - 30), /./)
  })

  it('is refused when it is cut off, wherever that is', async () => {
    const whole = await zipOf({ path: 'a', content: 'x'.repeat(500) }, { path: 'l', content: 'a', type: 'symlink' })
    for (let length = 0; length < whole.length; length++)
      await assert.rejects(readZip(whole.subarray(0, length)), { code: 'ARCHIVE_CORRUPT' }, `${length}`)
    await readZip(whole)
  })
})
