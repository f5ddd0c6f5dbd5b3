import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type ByteSource, sourceOf } from '../base/byte-stream.ts'
import { openArchive } from './open-archive.ts'
import { TarWriter } from './tar-writer.ts'

const CONTENT = Buffer.alloc(3 << 20, 'content of a file, ')

async function tar(path: string): Promise<Buffer> {
  const parts: Buffer[] = []
  const writer = new TarWriter({
    write: async (bytes) => void parts.push(Buffer.from(bytes)),
    end: async () => undefined,
  })
  const plain = { mode: 0o644, uid: 0, gid: 0, user: '', group: '', mtimeNs: 0n, path }
  const pieces = (async function* () {
    yield CONTENT
  })()
  await writer.add({ ...plain, type: 'file', sizeBytes: CONTENT.length }, pieces)
  await writer.finish()
  return Buffer.concat(parts)
}

/** The first path in an archive that goes through a program, and all of its bytes that were read. */
async function readThrough(source: ByteSource, ...decompress: readonly string[]): Promise<string> {
  await using archive = await openArchive(source, undefined, { filter: { compress: [], decompress } })
  let first = ''
  for await (const { entry } of archive.reader) first ||= entry.path
  return first
}

describe('openArchive()', () => {
  it('reads through a program, also one that does not want all that it is given', async () => {
    const whole = await tar('f')
    const source = sourceOf(Buffer.concat([whole, Buffer.alloc(5 << 20, 'more')]))
    assert.equal(await readThrough(source, 'head', '-c', `${whole.length}`), 'f')
    assert.equal(await source.read(new Uint8Array(10)), 0) // whoever writes it can end well
    await assert.rejects(readThrough(sourceOf(whole), 'head', '-c', '5000'), {
      code: 'ARCHIVE_CORRUPT',
      message: /cut off/,
    })
  })

  it('fails when the program does, or is not there, or when the source breaks off', async () => {
    const whole = await tar('f')
    await assert.rejects(readThrough(sourceOf(whole), 'sh', '-c', 'cat; exit 3'), {
      code: 'ARCHIVE_CORRUPT',
      message: /ended with exit code 3/,
    })
    await assert.rejects(readThrough(sourceOf(whole), 'no-such-program'), {
      code: 'SOURCE_FAILED',
      message: /'no-such-program' cannot be run: no such file or directory; install it/,
    })
    let left = 3
    const broken: ByteSource = {
      async read(target) {
        if (left-- > 0) return target.fill(0x78).length
        throw new Error('the disk is gone')
      },
    }
    await assert.rejects(readThrough(broken, 'sh', '-c', 'cat; sleep 600'), { message: 'the disk is gone' })
  })

  it('knows a tar by its first header, whatever its first name begins with', async () => {
    for (const name of ['BZh9', '\x1f\x8b', 'PK\x03\x04', '(\u{fffd}'])
      assert.equal(await firstPath(await tar(name)), name)
  })

  it('knows zstd also by a frame that is to be passed over', async () => {
    const skipped = Buffer.from('522a4d1804000000abcdef00', 'hex')
    assert.equal(await firstPath(Buffer.concat([skipped, zstdCompressSync(await tar('f'))])), 'f')
    assert.equal(await firstPath(gzipSync(await tar('f'))), 'f')
  })
})

async function firstPath(archive: Buffer): Promise<string> {
  await using opened = await openArchive(sourceOf(archive), undefined, {})
  for await (const { entry } of opened.reader) return entry.path
  return ''
}
