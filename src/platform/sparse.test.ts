import assert from 'node:assert/strict'
import { once } from 'node:events'
import { ftruncateSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { closeFile } from './files.ts'
import type { Hole } from '../base/hole.ts'
import { findHoles } from './sparse.ts'
import {
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  hasPrograms,
  newDirectory,
  newFifo,
  newFile,
  newFileSystem,
  openBothWays,
  run,
} from './testing.ts'

/** Large enough for every file system's blocks, so that a written part is data and one not written is a hole. */
const BLOCK = 65_536

/** A file with data in the blocks where `pattern` has an `x`, and nothing written in the others. */
function newSparseFile(pattern: string, directory = newDirectory()): { fd: number; sizeBytes: number; path: string } {
  const path = `${directory}/sparse`
  const fd = openSync(path, 'w+')
  const sizeBytes = pattern.length * BLOCK
  ftruncateSync(fd, sizeBytes)
  for (const { index } of pattern.matchAll(/x/g)) writeSync(fd, Buffer.alloc(BLOCK, 'x'), 0, BLOCK, index * BLOCK)
  return { fd, sizeBytes, path }
}

/** The runs of `.` in a pattern. */
function holesOf(pattern: string): Hole[] {
  return [...pattern.matchAll(/\.+/g)].map((run) => ({ offset: run.index * BLOCK, length: run[0].length * BLOCK }))
}

describe('findHoles()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('finds exactly what was not written', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('x', '.'), maxLength: 24 }), (pattern) => {
        const { fd, sizeBytes } = newSparseFile(pattern)
        assert.deepEqual(findHoles(fd, sizeBytes), holesOf(pattern))
        closeFile(fd)
      }),
      { numRuns: 60 },
    )
  })

  for (const type of ['ext4', 'tmpfs'] as const) {
    it(`agrees with the system on ${type} and leaves the position at 0`, { skip: SKIP_UNLESS_ROOT }, (t) => {
      const mounted = hasPrograms(t, 'filefrag') ? newFileSystem(t, type) : undefined
      if (!mounted) return
      const { fd, sizeBytes, path } = newSparseFile('..xx.x....x.', mounted.directory)
      const holes = findHoles(fd, sizeBytes)
      assert.deepEqual(holes, holesOf('..xx.x....x.'))
      const data = sizeBytes - holes.reduce((sum, { length }) => sum + length, 0)
      assert.equal(run('du', '-B1', path).split('\t')[0], String(data))
      if (type === 'ext4') {
        const extents = run('filefrag', '-s', '-e', '-b1', path).matchAll(/^ *\d+: +(\d+)\.\. +(\d+):/gm)
        const written = Buffer.alloc(sizeBytes / BLOCK, '.')
        for (const [, first, last] of extents) written.fill('x', Number(first) / BLOCK, (Number(last) + 1) / BLOCK)
        assert.equal(written.toString(), '..xx.x....x.')
      }
      const byte = Buffer.alloc(1)
      writeSync(fd, Buffer.from('first'), 0, 5, 0)
      assert.equal(readSync(fd, byte, 0, 1, null), 1)
      assert.equal(byte.toString(), 'f')
      closeFile(fd)
    })
  }

  it('finds nothing in a full file, an empty one, a pipe, a directory and a file of the kernel', () => {
    for (const [fd, size] of [
      [openSync(newFile('content'), 'r'), 7],
      [openSync(newFile(''), 'r'), 0],
      [openBothWays(newFifo()), 1000],
      [openSync('/proc/self/status', 'r'), 1000],
    ] as const) {
      assert.deepEqual(findHoles(fd, size), [])
      closeFile(fd)
    }
  })

  it('takes a file of holes alone as one hole, whatever its size', () => {
    const fd = openSync(newFile(''), 'r+')
    for (const size of [1, 4095, 2 ** 31, 2 ** 32 + 1, 2 ** 43]) {
      ftruncateSync(fd, size)
      assert.deepEqual(findHoles(fd, size), [{ offset: 0, length: size }])
    }
    closeFile(fd)
  })

  it('ends where the size given ends, be the file longer or shorter by now', () => {
    const { fd, sizeBytes } = newSparseFile('x..x..x.')
    assert.deepEqual(findHoles(fd, 2 * BLOCK + 5), [{ offset: BLOCK, length: BLOCK + 5 }])
    assert.deepEqual(findHoles(fd, BLOCK), [])
    ftruncateSync(fd, 4 * BLOCK)
    for (const hole of findHoles(fd, sizeBytes)) assert.ok(hole.offset + hole.length <= sizeBytes)
    ftruncateSync(fd, 0)
    for (const hole of findHoles(fd, sizeBytes)) assert.ok(hole.offset + hole.length <= sizeBytes)
    closeFile(fd)
  })

  it('keeps the largest holes when there are more than wanted', () => {
    const pattern = 'x.x..x...x..x.x....x'
    const { fd, sizeBytes } = newSparseFile(pattern)
    const all = holesOf(pattern)
    for (let maxHoles = 0; maxHoles <= all.length + 1; maxHoles++) {
      const found = findHoles(fd, sizeBytes, { maxHoles })
      const largest = all.toSorted((a, b) => b.length - a.length || a.offset - b.offset).slice(0, maxHoles)
      assert.deepEqual(
        found,
        largest.sort((a, b) => a.offset - b.offset),
      )
    }
    closeFile(fd)
  })

  it('keeps the largest of very many', () => {
    const fd = openSync(newFile(''), 'r+')
    let end = 0
    for (let i = 0; i < 6000; i++) writeSync(fd, 'x', (end += i % 1000 === 0 ? 10 * BLOCK : 8192))
    const all = findHoles(fd, end)
    assert.equal(all.length, 6000)
    const large = all.filter(({ length }) => length > BLOCK)
    assert.equal(large.length, 6)
    assert.deepEqual(findHoles(fd, end, { maxHoles: 6 }), large)
    const some = findHoles(fd, end, { maxHoles: 20 })
    assert.equal(some.length, 20)
    assert.deepEqual(
      some.filter(({ length }) => length > BLOCK),
      large,
    )
    closeFile(fd)
  })

  it('comes to an end, and with holes in order, while another thread changes the file', async () => {
    const { fd, sizeBytes, path } = newSparseFile('x.x.x.x.x.x.x.x.')
    const script = `const { parentPort, workerData } = require('node:worker_threads'); const fs = require('node:fs')
      parentPort.postMessage('started')
      const fd = fs.openSync(workerData.path, 'r+')
      for (;;) {
        fs.ftruncateSync(fd, Math.floor(Math.random() * 2) * workerData.sizeBytes)
        fs.writeSync(fd, 'x', Math.floor(Math.random() * workerData.sizeBytes))
      }`
    const worker = new Worker(script, { eval: true, workerData: { path, sizeBytes } })
    await once(worker, 'message')
    let changed = 0
    for (let round = 0, before = ''; changed < 100 && round < 5_000_000; round++) {
      const holes = findHoles(fd, sizeBytes)
      let end = -1
      for (const { offset, length } of holes) {
        assert.ok(offset > end && length > 0 && offset + length <= sizeBytes)
        end = offset + length
      }
      const text = JSON.stringify(holes)
      if (text !== before) changed++
      before = text
    }
    await worker.terminate()
    assert.equal(changed, 100)
    closeFile(fd)
    assert.ok(readFileSync(path).length <= sizeBytes)
  })
})
