import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { renameSync, symlinkSync } from 'node:fs'
import { describe, it } from 'node:test'
import { text } from 'node:stream/consumers'
import { openInputStream } from './input-stream.ts'
import { newDirectory, newFifo, newFile } from './testing.ts'

const SCRIPT = `
import { standardInput } from '${import.meta.resolve('./input-stream.ts')}'
import { createHash } from 'node:crypto'
const input = standardInput()
const memory = new Uint8Array(Number(process.argv[2]))
const hash = createHash('sha256')
let bytes = 0
for (;;) {
  const count = await input.read(memory)
  hash.update(memory.subarray(0, count))
  bytes += count
  if (count < memory.length) break
}
input[Symbol.dispose]()
console.log(bytes, hash.digest('hex'))`

function readBy(how: string, file: string, pieceBytes: number): string {
  const script = newFile(SCRIPT, 'script.mjs')
  const command = how.replaceAll('NODE', `'${process.execPath}' '${script}' ${pieceBytes}`)
  return execFileSync('sh', ['-c', command, 'sh', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim()
}

describe('standardInput()', () => {
  it('gives every byte, of a pipe, a file, a device and nothing at all', () => {
    const file = newFile(Buffer.alloc(3_000_017, 'some bytes of a file, '))
    const sum = execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64)
    for (const pieceBytes of [1 << 16, 100_003, 4 << 20]) {
      for (const how of ['NODE <"$1"', 'cat "$1" | NODE', '(head -c 7 "$1"; sleep 0.1; tail -c +8 "$1") | NODE'])
        assert.equal(readBy(how, file, pieceBytes), `3000017 ${sum}`, `${how} ${pieceBytes}`)
    }
    const nothing = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    for (const how of ['NODE </dev/null', ': | NODE']) assert.equal(readBy(how, file, 10), `0 ${nothing}`)
  })

  it('does not take a directory for nothing', () => {
    assert.equal(readBy('NODE <"$1" 2>&1 | grep -om1 EISDIR', newDirectory(), 10), 'EISDIR')
  })

  it('does not keep a process that is told to end', async () => {
    const code = `
      const { standardInput } = await import('${import.meta.resolve('./input-stream.ts')}')
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 100)
      const input = standardInput({ signal: controller.signal })
      await input.read(new Uint8Array(10)).catch((error) => console.log(error.code))
      input[Symbol.dispose]()`
    const child = spawn(process.execPath, ['-e', code], { stdio: ['pipe', 'pipe', 'inherit'] })
    assert.equal((await text(child.stdout)).trim(), 'CANCELLED')
  })
})

describe('openInputStream()', () => {
  it('reads files, through symlinks, and FIFOs', async () => {
    const file = newFile('content')
    const link = `${newDirectory()}/link`
    symlinkSync(file, link)
    const fifo = newFifo()
    const writer = spawn('sh', ['-c', 'printf content > "$1"', 'sh', fifo])
    for (const at of [file, link, fifo]) {
      using input = openInputStream(at)
      const memory = Buffer.alloc(20)
      assert.equal(memory.toString('utf8', 0, await input.read(memory)), 'content')
      assert.equal(input.random?.sizeBytes, at === fifo ? undefined : 7)
    }
    writer.kill()
    assert.throws(() => openInputStream(`${file}.missing`), { code: 'ENOENT' })
    assert.throws(() => openInputStream(newDirectory()), { code: 'EISDIR' })
  })

  it('waits for somebody who writes to a FIFO, and for nobody after an abort', async () => {
    const controller = new AbortController()
    const { signal } = controller
    using input = openInputStream(newFifo(), { signal })
    setTimeout(() => controller.abort(), 100)
    await assert.rejects(input.read(new Uint8Array(10)), { code: 'CANCELLED' })
    const fifo = newFifo()
    using late = openInputStream(fifo)
    const memory = Buffer.alloc(20)
    const reading = late.read(memory)
    spawn('sh', ['-c', 'sleep 0.3; printf content > "$1"', 'sh', fifo])
    assert.equal(memory.toString('utf8', 0, await reading), 'content')
  })

  it('reads a regular file anywhere too, as it was opened', async () => {
    const file = newFile('0123456789')
    using input = openInputStream(file)
    const { random } = input
    assert.equal(random?.sizeBytes, 10)
    renameSync(newFile('another one of this name'), file)
    const memory = Buffer.alloc(4)
    assert.deepEqual([await random.readAt(memory, 3), memory.toString()], [4, '3456'])
    assert.deepEqual([await input.read(memory), memory.toString()], [4, '0123'])
    assert.deepEqual([await random.readAt(memory, 8), memory.toString('utf8', 0, 2)], [2, '89'])
    assert.equal(await random.readAt(memory, 100), 0)
    using device = openInputStream('/dev/null')
    assert.equal(device.random, undefined)
  })
})
