import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { toRawName, toSystemPath } from '../base/raw-name.ts'
import {
  closeFile,
  describeSystemError,
  findFile,
  listDirectory,
  makeDirectory,
  makeHardLink,
  makeSymlink,
  openForReading,
  openForWriting,
  readFully,
  readLink,
  setMode,
  statFile,
  statOpenFile,
  truncateFile,
  type FileStat,
} from './files.ts'
import { setTimes } from './native.ts'
import {
  LATIN1_NAME,
  SKIP_UNLESS_ROOT,
  SKIP_UNLESS_LINUX,
  newDirectory,
  newFile,
  newFifo,
  openBothWays,
  runScript,
  skip,
} from './testing.ts'

/** The record as stat(1) of the system sees it. */
function statBySystem(file: string): Omit<FileStat, 'type'> {
  const text = execFileSync('stat', ['-c', '%a %u %g %s %.9Y %.9Z %i %d %h %t %T %b', file], { encoding: 'utf8' })
  const [mode = '', uid, gid, size, mtime = '', ctime = '', inode = '', device = '', links, major, minor, blocks] = text
    .trim()
    .split(' ')
  const [high, low] = [BigInt(`0x${major}`), BigInt(`0x${minor}`)]
  return {
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    sizeBytes: Number(size),
    mtimeNs: BigInt(mtime.replace('.', '')),
    ctimeNs: BigInt(ctime.replace('.', '')),
    inode: BigInt(inode),
    device: BigInt(device),
    linkCount: Number(links),
    // makedev(3)
    rdev: ((high & ~0xfffn) << 32n) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | (low & 0xffn),
    blocks: Number(blocks),
  }
}

function assertStat(file: string, type: FileStat['type']): void {
  assert.deepEqual(statFile(file), { type, ...statBySystem(file) })
}

describe('statFile()', () => {
  it('agrees with stat(1) on every type of file', async () => {
    const directory = newDirectory()
    const file = path.join(directory, 'file')
    writeFileSync(file, randomBytes(10_000))
    setMode(file, 0o6741)
    makeHardLink(file, path.join(directory, 'second'))
    makeSymlink('nowhere', path.join(directory, 'link'))
    const server = createServer().listen(path.join(directory, 'socket'))
    await once(server, 'listening')
    try {
      assertStat(file, 'file')
      assertStat(directory, 'dir')
      assertStat(path.join(directory, 'link'), 'symlink')
      assertStat(path.join(directory, 'socket'), 'socket')
      assertStat(newFifo(), 'fifo')
      assertStat('/dev/null', 'chardev')
      assert.equal(statFile(file).mode, 0o6741)
      assert.equal(statFile(file).linkCount, 2)
    } finally {
      server.close()
    }
  })

  it('gives large device numbers as the kernel packs them', (t) => {
    const directory = newDirectory()
    for (const [type, name, major, minor] of [
      ['blockdev', 'b', '7', '3'],
      ['blockdev', 'b', '259', '65537'],
      ['chardev', 'c', '4095', '1048575'],
    ] as const) {
      const device = path.join(directory, `${name}${major}`)
      const made = spawnSync('mknod', [device, name, major, minor], { encoding: 'utf8' })
      if (made.status !== 0) return skip(t, `devices cannot be made: ${made.stderr}`)
      assertStat(device, type)
    }
  })

  it('sees sizes beyond 32 bits and the blocks a sparse file does not have', () => {
    const file = newFile()
    const fd = openForWriting(file)
    truncateFile(fd, 5 * 2 ** 30)
    closeFile(fd)
    assert.equal(statFile(file).sizeBytes, 5 * 2 ** 30)
    assert.ok(statFile(file).blocks < 1000)
  })

  it('throws the system error, which findFile() turns into undefined only for ENOENT', () => {
    const file = newFile()
    assert.throws(() => statFile(`${file}-missing`), { code: 'ENOENT' })
    assert.throws(() => statFile(`${file}/below`), { code: 'ENOTDIR' })
    assert.equal(findFile(`${file}-missing`), undefined)
    assert.throws(() => findFile(`${file}/below`), { code: 'ENOTDIR' })
    assert.deepEqual(findFile(file), statFile(file))
    assert.throws(() => findFile(`${newDirectory()}/${'x'.repeat(300)}`), { code: 'ENAMETOOLONG' })
  })
})

describe('listDirectory()', () => {
  it('gives every name byte for byte in byte order', () => {
    const anyName = fc
      .oneof(
        fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 }).map((text) => Buffer.from(text)),
        fc.constantFrom('\ufffd', 'a\ufffd', '\ue000', '😀', 'é').map((text) => Buffer.from(text)),
      )
      .filter((name) => !name.includes(0) && !name.includes(0x2f) && !['.', '..'].includes(name.toString()))
    fc.assert(
      fc.property(fc.array(anyName, { maxLength: 20 }), (names) => {
        const directory = `${newDirectory()}/${LATIN1_NAME}`
        makeDirectory(directory, 0o700)
        for (const name of names) writeFileSync(Buffer.concat([toRawName(directory), Buffer.from('/'), name]), '')
        const expected = readdirSync(toSystemPath(directory), 'buffer').sort((a, b) => Buffer.compare(a, b))
        const listed = listDirectory(directory)
        assert.deepEqual(listed.map(toRawName), expected)
        for (const name of listed) assert.equal(statFile(`${directory}/${name}`).type, 'file')
      }),
      { numRuns: 50 },
    )
  })

  it('throws the system error', () => {
    assert.throws(() => listDirectory(newFile()), { code: 'ENOTDIR' })
    assert.throws(() => listDirectory(`${newDirectory()}/missing`), { code: 'ENOENT' })
  })
})

describe('readLink()', () => {
  it('gives back every target that makeSymlink() was given', () => {
    for (const target of ['a', '../é/😀', `/x/${LATIN1_NAME}/y`, 'with \ufffd in it', 'x'.repeat(4000)]) {
      const link = `${newDirectory()}/${LATIN1_NAME}`
      makeSymlink(target, link)
      assert.equal(readLink(link), target)
      assert.deepEqual(readlinkSync(toSystemPath(link), 'buffer'), toRawName(target))
    }
  })
})

describe('openForReading()', () => {
  it('refuses a symlink and does not wait for the writer of a FIFO', () => {
    const link = path.join(newDirectory(), 'link')
    makeSymlink(newFile(), link)
    assert.throws(() => openForReading(link), { code: 'ELOOP' })

    const fd = openForReading(newFifo())
    assert.equal(statOpenFile(fd).type, 'fifo')
    closeFile(fd)
  })

  it('leaves the access time alone', () => {
    const file = newFile()
    setTimes(file, 1n, 2n) // older than the modification: any other reader would move it
    for (const ownerUid of [undefined, process.getuid?.()]) {
      const fd = openForReading(file, ownerUid)
      assert.equal(readFully(fd, Buffer.alloc(10), 0, 10), 7)
      closeFile(fd)
    }
    assert.equal(execFileSync('stat', ['-c', '%.9X', file], { encoding: 'utf8' }).trim(), '0.000000001')
  })

  it('opens what others own', { skip: SKIP_UNLESS_ROOT }, () => {
    const file = newFile()
    execFileSync('chmod', ['755', path.dirname(file)])
    const output = runScript(
      `import { openForReading, readFully } from '${import.meta.resolve('./files.ts')}'
       process.seteuid(65534)
       for (const owner of [undefined, 0, 65534]) {
         const buffer = Buffer.alloc(7)
         readFully(openForReading(${JSON.stringify(file)}, owner), buffer, 0, 7)
         console.log(buffer.toString())
       }`,
    )
    assert.equal(output, 'content\ncontent\ncontent\n')
  })

  it('waits until the holder of a lease gives it up', async (t) => {
    const file = newFile()
    const script = `use Fcntl; open(F, '+<', $ARGV[0]) or die; $SIG{IO} = sub { fcntl(F, 1024, 2) }; $| = 1;
      print fcntl(F, 1024, 1) ? "leased\\n" : "refused\\n"; sleep 30 until 0;`
    const holder = spawn('perl', ['-e', script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const started = await Promise.race([once(holder.stdout, 'data'), once(holder, 'error')])
    try {
      if (started[0] instanceof Error) return skip(t, `perl is missing: ${started[0].message}`)
      if (String(started[0]).trim() === 'refused') return skip(t, 'the file system grants no leases')
      const fd = openForReading(file)
      assert.equal(readFully(fd, Buffer.alloc(10), 0, 10), 7)
      closeFile(fd)
    } finally {
      holder.kill('SIGKILL')
    }
  })
})

describe('readFully()', () => {
  it('reads from any position into any part of a buffer, and less only at the end', () => {
    const content = randomBytes(100_000)
    const fd = openForReading(newFile(content))
    fc.assert(
      fc.property(fc.nat(110_000), fc.nat(110_000), fc.nat(50), (position, length, offset) => {
        const buffer = Buffer.alloc(offset + length + 1, 7)
        const count = readFully(fd, buffer, offset, length, position)
        assert.equal(count, Math.max(0, Math.min(length, content.length - position)))
        const around = [Buffer.alloc(offset, 7), Buffer.alloc(offset + length + 1 - offset - count, 7)] as const
        assert.ok(buffer.equals(Buffer.concat([around[0], content.subarray(position, position + count), around[1]])))
      }),
    )
    closeFile(fd)
  })

  it('goes on where it was when no position is given', () => {
    const fd = openForReading(newFile('0123456789'))
    const buffer = Buffer.alloc(4)
    assert.deepEqual(
      [1, 2, 3, 4].map(() => buffer.toString('latin1', 0, readFully(fd, buffer, 0, 4))),
      ['0123', '4567', '89', ''],
    )
    closeFile(fd)
  })

  it('collects what arrives in parts through a pipe in non-blocking mode', () => {
    const fifo = newFifo()
    const script = `const fs = require('fs'); const fd = fs.openSync(${JSON.stringify(fifo)}, 'r+'); fs.writeSync(fd, 'ab')
      setTimeout(() => { fs.writeSync(fd, 'cde'); setTimeout(() => {}, 1e6) }, 50)`
    const writer = spawn(process.execPath, ['-e', script])
    const fd = openBothWays(fifo)
    try {
      const buffer = Buffer.alloc(5)
      assert.equal(readFully(fd, buffer, 0, 5), 5)
      assert.equal(buffer.toString(), 'abcde')
    } finally {
      closeFile(fd)
      writer.kill('SIGKILL')
    }
  })

  it('throws the system error', () => {
    const fd = openForReading(newDirectory())
    assert.throws(() => readFully(fd, Buffer.alloc(1), 0, 1), { code: 'EISDIR' })
    closeFile(fd)
    assert.throws(() => readFully(fd, Buffer.alloc(1), 0, 1), { code: 'EBADF' })
  })
})

describe('describeSystemError()', () => {
  it('says what went wrong in words', () => {
    assert.equal(describeSystemError(failure(() => statFile(`${newDirectory()}/missing`))), 'no such file or directory')
    assert.equal(
      describeSystemError(failure(() => setTimes(`${newDirectory()}/missing`, 0n, 0n))),
      'no such file or directory',
    )
    assert.equal(describeCode(-13), 'permission denied')
    assert.equal(describeSystemError(new RangeError('some text')), 'some text')
    assert.equal(describeSystemError('only text'), 'only text')
  })

  it('knows errors of Linux that Node does not', { skip: SKIP_UNLESS_LINUX }, () => {
    assert.deepEqual(
      [116, 117, 122, 126].map((errno) => describeCode(-errno)),
      ['stale file handle', 'structure needs cleaning', 'disk quota exceeded', 'required key not available'],
    )
  })
})

function describeCode(errno: number): string {
  return describeSystemError(Object.assign(new Error('x'), { errno }))
}

function failure(action: () => unknown): unknown {
  try {
    return assert.fail(String(action()))
  } catch (error) {
    return error
  }
}
