import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { LineWriter, type OutputStream } from './line-writer.ts'

/** A stream that keeps its chunks and can be told to fail; it takes `bufferBytes` before asking to wait. */
function testStream(options: { isTTY?: boolean; failWith?: string; bufferBytes?: number } = {}): {
  stream: OutputStream
  chunks: string[]
  release: () => void
} {
  const chunks: string[] = []
  const waiting: (() => void)[] = []
  const writable = new Writable({
    decodeStrings: false,
    highWaterMark: options.bufferBytes ?? 1 << 20,
    write(chunk, _encoding, done) {
      chunks.push(String(chunk))
      if (options.failWith) done(Object.assign(new Error(options.failWith), { code: options.failWith }))
      else if (options.bufferBytes) waiting.push(done)
      else done()
    },
  })
  const stream = Object.assign(writable, { isTTY: options.isTTY })
  return { stream, chunks, release: () => waiting.shift()?.() }
}

describe('LineWriter', () => {
  it('writes at once to a terminal, and in large pieces elsewhere', async () => {
    const terminal = testStream({ isTTY: true })
    new LineWriter(terminal.stream).write('a\n')
    assert.deepEqual(terminal.chunks, ['a\n'])

    const pipe = testStream()
    const writer = new LineWriter(pipe.stream)
    for (let i = 0; i < 10_000; i++) writer.write(`line ${i}\n`)
    await writer.end()
    assert.ok(pipe.chunks.length < 10, `${pipe.chunks.length} writes`)
    assert.equal(pipe.chunks.join('').split('\n').length, 10_001)
  })

  it('goes quiet when the reader has gone', async () => {
    const { stream, chunks } = testStream({ failWith: 'EPIPE' })
    const writer = new LineWriter(stream)
    writer.write('a\n')
    await writer.end()
    assert.equal(writer.closed, true)
    assert.equal(writer.failure, undefined)
    writer.write('b\n')
    await writer.ready()
    await writer.end()
    assert.deepEqual(chunks, ['a\n'])
  })

  it('keeps the reason when the stream cannot take more', async () => {
    const { stream } = testStream({ failWith: 'ENOSPC' })
    const writer = new LineWriter(stream)
    writer.write('a\n')
    await writer.end()
    assert.match(writer.failure?.message ?? '', /ENOSPC/)
  })

  it('makes producers wait for a slow reader, once per full buffer and without piling up listeners', async () => {
    const { stream, release } = testStream({ bufferBytes: 10 })
    const writer = new LineWriter(stream)
    for (let round = 0; round < 30; round++) {
      writer.write('more than ten bytes\n')
      writer.flush()
      let waited = false
      const waiting = writer.ready().then(() => (waited = true))
      await Promise.resolve()
      assert.equal(waited, false)
      release()
      await waiting
    }
    assert.ok(stream.listenerCount('close') <= 1 && stream.listenerCount('drain') === 0)
  })
})
