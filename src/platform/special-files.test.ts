import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { makeSymlink, statFile } from './files.ts'
import { deviceNumbers, makeSpecialFile } from './special-files.ts'
import {
  BECOME_NOBODY,
  LATIN1_NAME,
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  newDirectory,
  newFile,
  run,
  runScript,
  skip,
} from './testing.ts'

const MODULE = import.meta.resolve('./special-files.ts')
const NONE = { major: 0, minor: 0 }

/** What makedev(3) of glibc gives. */
const VECTORS = [
  [0, 0, 0x0n],
  [1, 3, 0x103n],
  [8, 4096, 0x100_0800n],
  [259, 65_537, 0x1001_0301n],
  [4095, 1_048_575, 0xffff_ffffn],
  [55, 259, 0x10_3703n],
  [0, 256, 0x10_0000n],
  [4096, 0, 0x1000_0000_0000n],
  [0xabcd_e123, 0x9876_5432, 0xabcd_e987_6541_2332n],
  [0xffff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffffn],
] as const

describe('deviceNumbers()', () => {
  it('takes apart what makedev(3) put together', () => {
    for (const [major, minor, rdev] of VECTORS) assert.deepEqual(deviceNumbers(rdev), { major, minor })
  })

  it('loses none of the 64 bits', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(63), (rdev, bit) => {
        assert.notDeepEqual(deviceNumbers(rdev), deviceNumbers(rdev ^ (1n << BigInt(bit))))
      }),
    )
  })
})

describe('makeSpecialFile()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('makes a FIFO with the mode given, less the umask', () => {
    const path = `${newDirectory()}/${LATIN1_NAME}`
    makeSpecialFile(path, 'fifo', 0o644, { major: 4, minor: 5 })
    const { type, mode, rdev } = statFile(path)
    assert.deepEqual([type, mode & ~process.umask(), rdev], ['fifo', 0o644 & ~process.umask(), 0n])
    assert.match(run('stat', '-c', '%F', path), /^fifo$/m)
  })

  it('makes devices that stat(1) sees as those of mknod(1)', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const directory = newDirectory()
    for (const [i, [major, minor]] of VECTORS.entries()) {
      if (major > 4095 || minor > 1_048_575) continue
      if (major === 0 && minor === 0) continue // what overlay marks removed files with, and lets nobody make
      for (const [type, letter] of [
        ['chardev', 'c'],
        ['blockdev', 'b'],
      ] as const) {
        const [ours, theirs] = [`${directory}/${letter}${i}`, `${directory}/mknod-${letter}${i}`]
        try {
          run('mknod', '-m', '600', theirs, letter, String(major), String(minor))
        } catch (error) {
          return skip(t, `devices cannot be made: ${String(error)}`)
        }
        makeSpecialFile(ours, type, 0o600, { major, minor })
        assert.equal(run('stat', '-c', '%F %t %T %a', ours), run('stat', '-c', '%F %t %T %a', theirs))
        assert.equal(statFile(ours).type, type)
        assert.deepEqual(deviceNumbers(statFile(ours).rdev), { major, minor })
      }
    }
  })

  it('refuses numbers that the kernel would cut', () => {
    for (const device of [
      { major: 4096, minor: 0 },
      { major: 0, minor: 1_048_576 },
      { major: -1, minor: 0 },
      { major: 0, minor: -1 },
      { major: Number.NaN, minor: 0 },
    ]) {
      const path = `${newDirectory()}/device`
      assert.throws(() => makeSpecialFile(path, 'chardev', 0o600, device), { code: 'EINVAL', syscall: 'mknodat', path })
    }
  })

  it('replaces nothing, not even a dangling symlink', () => {
    const file = newFile()
    makeSymlink(`${file}-missing`, `${file}-link`)
    for (const path of [file, `${file}-link`]) {
      assert.throws(() => makeSpecialFile(path, 'fifo', 0o600, NONE), { code: 'EEXIST', path })
    }
    assert.throws(() => makeSpecialFile(`${file}/x`, 'fifo', 0o600, NONE), { code: 'ENOTDIR' })
  })

  it('lets users without rights make FIFOs alone', { skip: SKIP_UNLESS_ROOT }, () => {
    const directory = newDirectory()
    run('chmod', '777', directory)
    const output = runScript(`
      import { makeSpecialFile } from '${MODULE}'
      ${BECOME_NOBODY}
      const codeOf = (action) => { try { return action() } catch (error) { return error.code } }
      for (const type of ['fifo', 'chardev', 'blockdev']) {
        console.log(codeOf(() => makeSpecialFile('${directory}/' + type, type, 0o600, { major: 1, minor: 3 })))
      }`)
    assert.equal(output, 'undefined\nEPERM\nEPERM\n')
  })
})
