import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { makeSpecialFile } from '../src/platform/special-files.ts'
import { setXattr } from '../src/platform/xattrs.ts'
import { IS_ROOT, needs, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

describe('digestTree()', () => {
  it('sees every kind of change, and nothing else', { skip: needs(IS_ROOT, 'needs root') }, () => {
    const root = newFolder()
    mkdirSync(`${root}/d`)
    writeFileSync(`${root}/d/f`, 'content')
    symlinkSync('target', `${root}/l`)
    const latin1 = Buffer.concat([Buffer.from(`${root}/`), Buffer.of(0xff)])
    const seen = new Set<string>()
    const expectNew = (what: string): void => {
      const digest = digestTree(root).join('\n')
      assert.equal(digestTree(root).join('\n'), digest)
      assert.ok(!seen.has(digest), what)
      seen.add(digest)
    }
    expectNew('at first')
    const keepTime = (change: () => void): void => {
      change()
      for (const path of [root, `${root}/d`, `${root}/d/f`]) utimesSync(path, 1000, 1000)
    }
    keepTime(() => undefined)
    expectNew('times')
    const changes: Record<string, () => void> = {
      content: () => writeFileSync(`${root}/d/f`, 'CONTENT'),
      mode: () => chmodSync(`${root}/d/f`, 0o4600),
      'mode of a directory': () => chmodSync(`${root}/d`, 0o700),
      owner: () => chownSync(`${root}/d/f`, 5, 0),
      group: () => chownSync(`${root}/d`, 0, 5),
      'owner of a link': () => lchownSync(`${root}/l`, 5, 5),
      'an empty file': () => writeFileSync(`${root}/e`, ''),
      'a name that is not UTF-8': () => writeFileSync(latin1, ''),
      'an attribute': () => setXattr(`${root}/d/f`, 'user.a', Buffer.from('a')),
      'its value': () => setXattr(`${root}/d/f`, 'user.a', Buffer.from('b')),
      'one of a directory': () => setXattr(`${root}/d`, 'trusted.a', Buffer.from('a')),
      'one of a link': () => setXattr(`${root}/l`, 'trusted.a', Buffer.from('a')),
      'a device': () => makeSpecialFile(`${root}/null`, 'chardev', 0o600, { major: 1, minor: 3 }),
      'its number': () => {
        unlinkSync(`${root}/null`)
        makeSpecialFile(`${root}/null`, 'chardev', 0o600, { major: 1, minor: 5 })
      },
      zeros: () => writeFileSync(`${root}/d/f`, Buffer.alloc(1 << 20)),
      'a hole in their place': () => {
        truncateSync(`${root}/d/f`, 0)
        truncateSync(`${root}/d/f`, 1 << 20)
      },
      'two equal files': () => {
        for (const name of ['x', 'y']) writeFileSync(`${root}/d/${name}`, 'same')
        for (const name of ['x', 'y']) utimesSync(`${root}/d/${name}`, 1000, 1000)
      },
      'two names of one': () => {
        unlinkSync(`${root}/d/y`)
        linkSync(`${root}/d/x`, `${root}/d/y`)
      },
      'a file in place of a link': () => {
        unlinkSync(`${root}/l`)
        writeFileSync(`${root}/l`, 'target')
      },
    }
    for (const [what, change] of Object.entries(changes)) {
      keepTime(change)
      expectNew(what)
    }
    utimesSync(`${root}/d`, 1000, 1000.000001)
    expectNew('a microsecond')
  })
})
