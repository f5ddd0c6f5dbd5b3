import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ZipMember, encodeDescriptor, encodeLocalHeader } from './records.ts'

const MEMBER: ZipMember = {
  name: Buffer.from('f'),
  isUtf8: true,
  mode: 0o100644,
  isFolder: false,
  uid: 0,
  gid: 0,
  mtimeNs: 0n,
  offset: 0,
  method: 8,
  crc: 0,
  storedBytes: 0,
  sizeBytes: 0,
  isStreamed: true,
}

describe('encodeDescriptor()', () => {
  it('has numbers as long as the header says that came before, also where deflate made content longer', () => {
    for (let sizeBytes = 2 ** 32 - 2 ** 25; sizeBytes < 2 ** 32 + 2 ** 25; sizeBytes += 2 ** 19) {
      const isZip64 = encodeLocalHeader({ ...MEMBER, sizeBytes }).readUInt16LE(4) === 45
      const stored = { ...MEMBER, sizeBytes, storedBytes: sizeBytes + 5 * Math.ceil(sizeBytes / 2 ** 14) }
      assert.equal(encodeDescriptor(stored).length, isZip64 ? 24 : 16, `${sizeBytes}`)
    }
  })
})
