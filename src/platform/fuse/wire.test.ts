import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  DirentWriter,
  type FuseAttributes,
  decodeRequest,
  encodeAttributes,
  encodeEntry,
  encodeInit,
  encodeIoctl,
  encodeOpen,
  encodeReplyHeader,
  encodeStatfs,
} from './wire.ts'

/** Structures as linux/fuse.h lays them out, written down by hand. */

const ATTRIBUTES: FuseAttributes = {
  inode: 0x1122334455667788n,
  mode: 0o100644,
  linkCount: 3,
  uid: 1000,
  gid: 0xfffffffe,
  sizeBytes: 2 ** 40 + 5,
  blocks: 9,
  atimeNs: 1_500_000_000n,
  mtimeNs: -1n,
  ctimeNs: -2_000_000_000n,
  device: { major: 259, minor: 70_000 },
}

const ATTRIBUTES_HEX = [
  '8877665544332211', // ino
  '0500000000010000', // size
  '0900000000000000', // blocks
  '0100000000000000', // atime: 1 s
  'ffffffffffffffff', // mtime: -1 s, and 999,999,999 ns
  'feffffffffffffff', // ctime: -2 s
  '0065cd1d', // atimensec: 500,000,000
  'ffc99a3b', // mtimensec
  '00000000', // ctimensec
  'a4810000', // mode
  '03000000', // nlink
  'e8030000', // uid
  'feffffff', // gid
  '70031111', // rdev: minor 0x11170, major 0x103
  '00100000', // blksize
  '00000000', // flags
].join('')

const ZERO = '0'.repeat(16)

function init(major: number, minor: number): Buffer {
  const body = Buffer.alloc(64)
  for (const [i, word] of [major, minor, 131_072, 0xffffffff].entries()) body.writeUInt32LE(word, i * 4)
  return body
}

describe('FUSE messages', () => {
  it('have the layout of linux/fuse.h', () => {
    assert.equal(encodeReplyHeader(7n, 2, 5).toString('hex'), '15000000feffffff0700000000000000')
    assert.equal(encodeAttributes(ATTRIBUTES, 3).toString('hex'), `03000000000000000000000000000000${ATTRIBUTES_HEX}`)
    const entry = { node: 9n, attributes: ATTRIBUTES, validS: 2, nameValidS: 1 }
    const head = `0900000000000000${ZERO}01000000000000000200000000000000${ZERO}`
    assert.equal(encodeEntry(entry).toString('hex'), head + ATTRIBUTES_HEX)
    assert.equal(encodeOpen(5, 2).toString('hex'), '05000000000000000200000000000000')
    assert.equal(encodeIoctl(0x10).toString('hex'), `${'0'.repeat(32)}10000000`)
    assert.equal(encodeStatfs().length, 80)
  })

  it('are read up to their length, and not when they are cut off', () => {
    const request = Buffer.alloc(44)
    request.writeUInt32LE(44, 0)
    request.writeUInt32LE(1, 4)
    request.writeBigUInt64LE(3n, 8)
    request.writeBigUInt64LE(1n, 16)
    request.writeUInt32LE(7, 32)
    request.write('abc\0', 40)
    assert.deepEqual(decodeRequest(request), { opcode: 1, unique: 3n, node: 1n, thread: 7, body: Buffer.from('abc\0') })
    for (const length of [0, 16, 39, 43]) assert.equal(decodeRequest(request.subarray(0, length)), undefined)
  })

  it('agree on a version', () => {
    const version = (major: number, minor: number): number[] | undefined => {
      const reply = encodeInit(init(major, minor), true)
      return reply && [reply.readUInt32LE(0), reply.readUInt32LE(4)]
    }
    assert.deepEqual(version(7, 45), [7, 38])
    assert.deepEqual(version(7, 23), [7, 23])
    assert.deepEqual(version(8, 0), [7, 0]) // it asks again
    assert.equal(version(7, 22), undefined)
    assert.equal(version(6, 99), undefined)
    const reply = encodeInit(init(7, 31), false)
    assert.equal(reply?.toString('hex', 0, 32), '070000001f000000000002000168e40040003000001000000100000000010000')
  })

  it('list names, padded to eight bytes, as long as there is room', () => {
    const writer = new DirentWriter(64)
    const dirent = { inode: 5n, mode: 0o100000, next: 1 }
    assert.equal(writer.add({ ...dirent, name: 'a' }), true)
    assert.equal(writer.add({ ...dirent, name: 'ninebytes' }), false)
    assert.equal(writer.add({ ...dirent, name: '12345678' }), true)
    assert.equal(
      writer.bytes.toString('hex'),
      '050000000000000001000000000000000100000008000000' +
        '6100000000000000' +
        '050000000000000001000000000000000800000008000000' +
        '3132333435363738',
    )
    assert.equal(writer.add({ ...dirent, name: '' }), false)
  })
})
