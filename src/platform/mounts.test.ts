import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { toRawName } from '../base/raw-name.ts'
import { type Mount, mountOf, parseMounts, readMounts } from './mounts.ts'

const TEXT =
  String.raw`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
90 22 0:55 / /mnt/nas rw,noatime shared:2 master:3 - nfs4 server:/export rw,vers=4.2,acregmin=3,acregmax=60
91 22 0:56 /sub /mnt/with\040space\011tab ro - vfat /dev/sdb1 ro
broken line
92 22 0:57 / /mnt/caf` + '\xe9 rw - fuse.sshfs user@host: rw,user_id=0\n'

const mount = (mountPoint: string, type: string): Mount => ({ mountPoint, type, options: [] })

describe('parseMounts()', () => {
  it('reads mount points, types and options, and passes over anything else', () => {
    const mounts = parseMounts(Buffer.from(TEXT, 'latin1'))
    assert.deepEqual(
      mounts.map(({ type }) => type),
      ['ext4', 'nfs4', 'vfat', 'fuse.sshfs'],
    )
    assert.deepEqual(mounts[1]?.options, ['rw', 'noatime', 'rw', 'vers=4.2', 'acregmin=3', 'acregmax=60'])
    assert.equal(mounts[2]?.mountPoint, '/mnt/with space\ttab')
    assert.equal(toRawName(mounts[3]?.mountPoint ?? '').toString('latin1'), '/mnt/caf\xe9')
    assert.deepEqual(parseMounts(Buffer.from('')), [])
  })
})

describe('mountOf()', () => {
  it('is the innermost one above a path, and of several on one path the last', () => {
    const mounts = [mount('/', 'a'), mount('/mnt', 'b'), mount('/mnt', 'c'), mount('/mnt/x', 'd')]
    const typeOf = (path: string): string | undefined => mountOf(mounts, path)?.type
    assert.deepEqual(['/', '/mnt', '/mnt/y', '/mntx', '/mnt/x/y'].map(typeOf), ['a', 'c', 'c', 'a', 'd'])
  })
})

describe('readMounts()', () => {
  it('knows the root of this system', { skip: process.platform === 'linux' ? false : 'needs Linux' }, () => {
    assert.ok(mountOf(readMounts(), '/usr'))
  })
})
