import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteWriter } from '../base/binary.ts'
import { asChunkId } from '../base/ids.ts'
import { isCairnError } from '../base/errors.ts'
import { toRawName } from '../base/raw-name.ts'
import { anyNode } from './testing.ts'
import { type TreeNode, decodeNode, encodeNode, sameNode } from './tree-node.ts'

const FILE: TreeNode = {
  name: 'a',
  type: 'file',
  mode: 0o644,
  uid: 1000,
  gid: 100,
  user: '',
  group: '',
  sizeBytes: 2 ** 32 + 5,
  mtimeNs: -1n,
}

function encode(node: TreeNode): Buffer {
  const writer = new ByteWriter()
  encodeNode(node, writer, new ByteWriter())
  return writer.copy()
}

function decode(bytes: Uint8Array): TreeNode {
  return decodeNode(new ByteReader(bytes, 'a node'), 'a node')
}

/** A node with fields written by hand, and its length in front. */
function craft(name: Uint8Array, type: number, fields: Uint8Array = new Uint8Array(0)): Buffer {
  const body = new ByteWriter()
  body.bytes(name)
  body.u8(type)
  for (let i = 0; i < 3; i++) body.varint(0) // mode, uid, gid
  body.i64(0n)
  body.u32(0)
  body.varint(0)
  body.raw(fields)
  const node = new ByteWriter()
  node.bytes(body.view())
  return node.copy()
}

describe('encodeNode() and decodeNode()', () => {
  it('give back any node: raw names, times before 1970 and after 2262, sizes beyond 32 bits', () => {
    fc.assert(
      fc.property(anyNode, (node) => assert.deepEqual(decode(encode(node)), node)),
      { numRuns: 2000 },
    )
  })

  it('have these bytes for a file', () => {
    const content = Buffer.from('00', 'hex')
    const bytes = encode({ ...FILE, user: 'u', group: 'gr', content })
    const want = [
      '23', // length of what follows
      '0161', // name
      '01', // type
      'a403', // mode
      'e807', // uid
      '64', // gid
      'ffffffffffffffff', // second before 1970 …
      'ffc99a3b', // … and 999,999,999 ns
      '8580808010', // size
      '010175', // user
      '02026772', // group
      '040100', // content
    ]
    assert.equal(bytes.toString('hex'), want.join(''))
  })

  it('have these bytes for a directory and for a symlink', () => {
    const directory = encode({
      ...FILE,
      name: 'd',
      type: 'dir',
      sizeBytes: 0,
      mtimeNs: 1_700_000_000_123_456_789n,
      tree: asChunkId(Buffer.alloc(32, 0xab)),
      leaves: 300,
      ancestor: true,
    })
    assert.equal(
      directory.toString('hex'),
      `3d 0164 02 a403 e807 64 00f1536500000000 15cd5b07 00 0520${'ab'.repeat(32)} 0602ac02 0700`.replaceAll(' ', ''),
    )
    const link = encode({
      ...FILE,
      name: 'l',
      type: 'symlink',
      mode: 0o777,
      sizeBytes: 0,
      mtimeNs: 0n,
      linkTarget: '/',
    })
    assert.equal(
      link.toString('hex'),
      '18 016c 03 ff03 e807 64 0000000000000000 00000000 00 03012f'.replaceAll(' ', ''),
    )
  })

  it('pass over fields of tags they do not know, wherever those stand', () => {
    const unknown = Buffer.from('c803010203', 'hex') // tag 200, three bytes
    const user = Buffer.from('010175', 'hex')
    for (const fields of [
      [unknown, user],
      [user, unknown],
      [unknown, user, unknown],
    ]) {
      assert.equal(decode(craft(Buffer.from('x'), 1, Buffer.concat(fields))).user, 'u')
    }
  })

  it('refuse names that could leave their directory', () => {
    for (const name of ['', '.', '..', '/', 'a/b', '/etc', 'a\0b', '\0', '../x'])
      assert.throws(() => decode(craft(Buffer.from(name), 1)), { code: 'DATA_CORRUPT' }, JSON.stringify(name))
    // The same in a name that is not UTF-8.
    for (const name of [Buffer.from('\xff/x', 'latin1'), Buffer.from('\xff\0', 'latin1')])
      assert.throws(() => decode(craft(name, 1)), { code: 'DATA_CORRUPT' })
    // An overlong "/" is no "/" to any kernel: it is a name like others and comes back byte for byte.
    const overlong = Buffer.from('c0af', 'hex')
    assert.ok(toRawName(decode(craft(overlong, 1)).name).equals(overlong))
  })

  it('refuse unknown types, directories without a tree, and ids of a wrong length', () => {
    for (const type of [0, 7, 255]) assert.throws(() => decode(craft(Buffer.from('x'), type)), { code: 'DATA_CORRUPT' })
    assert.throws(() => decode(craft(Buffer.from('d'), 2)), { code: 'DATA_CORRUPT', message: /has no tree/ })
    for (const bytes of [0, 31, 33]) {
      const tree = Buffer.concat([Buffer.of(5, bytes), Buffer.alloc(bytes)])
      assert.throws(() => decode(craft(Buffer.from('d'), 2, tree)), { code: 'DATA_CORRUPT' })
    }
  })

  it('refuse a tree on anything but a directory, and content on anything but a file', () => {
    const tree = Buffer.concat([Buffer.of(5, 32), Buffer.alloc(32)])
    const content = Buffer.of(4, 1, 0)
    for (const type of [1, 3, 4, 5, 6])
      assert.throws(() => decode(craft(Buffer.from('x'), type, tree)), { code: 'DATA_CORRUPT', message: /has a tree/ })
    for (const type of [3, 4, 5, 6])
      assert.throws(() => decode(craft(Buffer.from('x'), type, content)), { code: 'DATA_CORRUPT', message: /content/ })
    assert.throws(() => decode(craft(Buffer.from('x'), 2, Buffer.concat([content, tree]))), { code: 'DATA_CORRUPT' })
  })

  it('end in DATA_CORRUPT, or in another node, for every truncation and every flipped bit', () => {
    fc.assert(
      fc.property(anyNode, (node) => {
        const bytes = encode(node)
        for (let length = 0; length < bytes.length; length++)
          assert.throws(() => decode(bytes.subarray(0, length)), { code: 'DATA_CORRUPT' })
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          const damaged = Buffer.from(bytes)
          damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7))
          let found: TreeNode
          try {
            found = decode(damaged)
          } catch (error) {
            assert.ok(isCairnError(error, 'DATA_CORRUPT'), String(error))
            continue
          }
          assert.match(found.name, /^(?!\.{0,2}$)[^/\0]+$/s)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('sameNode()', () => {
  it('holds exactly for nodes that have the same bytes in a tree', () => {
    fc.assert(
      fc.property(anyNode, anyNode, fc.nat(20), (a, b, n) => {
        // The node itself with one field of another.
        const names = Object.keys({ ...a, ...b }) as (keyof TreeNode)[]
        const name = names[n % names.length] ?? 'name'
        const mixed = { ...a, [name]: b[name] } as TreeNode
        assert.equal(sameNode(a, { ...a }), true)
        for (const other of [b, mixed]) assert.equal(sameNode(a, other), encode(a).equals(encode(other)), name)
      }),
      { numRuns: 2000 },
    )
  })
})
