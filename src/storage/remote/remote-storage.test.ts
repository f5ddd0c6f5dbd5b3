import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, Transform } from 'node:stream'
import { describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { CairnError } from '../../base/errors.ts'
import { MemoryStorage } from '../memory/memory-storage.ts'
import type { Storage } from '../storage.ts'
import { describeStorage } from '../suite.ts'
import { FaultyStorage } from '../testing.ts'
import { type Frame, FrameReader, encodeFrame } from './frames.ts'
import { GREETING } from './messages.ts'
import { RemoteStorage } from './remote-storage.ts'
import { serveStorage } from './serve-storage.ts'
import { connect, linkOf } from './testing.ts'

describeStorage('RemoteStorage', async () => (await connect(new FaultyStorage(new MemoryStorage()))).remote)

describe('FrameReader', () => {
  it('puts together what was taken apart anywhere', () => {
    const frames = fc.array(fc.tuple(fc.dictionary(fc.string(), fc.jsonValue()), fc.uint8Array({ maxLength: 300 })))
    fc.assert(
      fc.property(frames, fc.infiniteStream(fc.integer({ min: 1, max: 50 })), (wanted, steps) => {
        const bytes = Buffer.concat(wanted.flatMap(([header, body]) => [encodeFrame(header, body), body]))
        const reader = new FrameReader()
        const found = []
        for (let at = 0; at < bytes.length;) {
          const piece = bytes.subarray(at, (at += Number(steps.next().value)))
          found.push(...reader.push(piece))
        }
        assert.equal(reader.isInside, false)
        assert.deepEqual(
          found.map(({ header, body }) => [header, body]),
          wanted.map(([header, body]) => [JSON.parse(JSON.stringify(header)), body]),
        )
      }),
    )
  })

  it('takes no flipped bit for a frame', () => {
    const body = Buffer.from('some bytes')
    const bytes = Buffer.concat([encodeFrame({ id: 1, op: 'put' }, body), body])
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.throws(() => [...new FrameReader().push(flipped)], { code: 'STORAGE_UNAVAILABLE' }, `bit ${bit}`)
    }
  })

  it('makes no room for lengths that no message has', () => {
    for (const [header, body] of [
      [0, 0],
      [2 ** 32 - 1, 0],
      [10, 2 ** 32 - 1],
    ]) {
      const prefix = Buffer.alloc(16)
      prefix.writeUInt32LE(header ?? 0, 0)
      prefix.writeUInt32LE(body ?? 0, 4)
      prefix.writeUInt32LE(crc32(prefix.subarray(0, 12)), 12)
      assert.throws(() => [...new FrameReader().push(prefix)], { code: 'STORAGE_UNAVAILABLE' })
    }
  })
})

describe('RemoteStorage', () => {
  it('passes on the errors of the far storage, and says where', async () => {
    const store = new FaultyStorage(new MemoryStorage())
    const { remote } = await connect(store)
    store.fail({ kind: 'put', error: new CairnError('STORAGE_FULL', 'Cannot store it: the disk is full') })
    await assert.rejects(remote.put('a', Buffer.from('x')), {
      code: 'STORAGE_FULL',
      message: 'Cannot store it: the disk is full (at ssh://far/repo)',
    })
    await remote.put('a', Buffer.from('x'))
    await remote.close()
  })

  it('takes a bug at the far end for no bug here', async () => {
    const store = new FaultyStorage(new MemoryStorage())
    const { remote } = await connect(store)
    store.fail({ kind: 'get', error: new TypeError('oops') as unknown as CairnError })
    await assert.rejects(remote.get('a'), {
      code: 'STORAGE_UNAVAILABLE',
      message: /^ssh:\/\/far\/repo failed: .*oops/s,
    })
    await remote.close()
  })

  it('fails all that is open when the connection is cut, and what comes later', async () => {
    const { remote, down } = await connect(new MemoryStorage({ turn: () => new Promise(() => undefined) }))
    const open = [remote.get('a'), remote.put('b', new Uint8Array(5)), Array.fromAsync(remote.list(''))]
    setImmediate(() => down.destroy())
    for (const result of await Promise.allSettled(open)) {
      assert.equal(result.status, 'rejected')
      assert.equal(result.reason.code, 'STORAGE_UNAVAILABLE')
      assert.match(result.reason.message, /^Cannot .*: the connection to ssh:\/\/far\/repo broke: .*run it again/)
    }
    await assert.rejects(remote.delete('c'), { code: 'STORAGE_UNAVAILABLE', message: /^Cannot delete c: the conn/ })
  })

  it('says what those in between say', async () => {
    const { remote, down } = await connect(new MemoryStorage(), { explainEnd: async () => 'ssh: no route to host' })
    down.destroy()
    await assert.rejects(remote.get('a'), { message: /broke: ssh: no route to host; run/ })
  })

  it('notices a far end that says nothing any more', async () => {
    let isStalled = false
    const down = new Transform({ transform: (piece, _, done) => (isStalled ? undefined : done(null, piece)) })
    const { remote } = await connect(new MemoryStorage(), { down, silenceMs: 200 })
    await remote.put('a', Buffer.from('x'))
    isStalled = true
    await assert.rejects(remote.get('a'), {
      code: 'STORAGE_UNAVAILABLE',
      message: /nothing has arrived for 0.2 seconds/,
    })
  })

  it('waits for a far end that is only slow', async () => {
    const store = new MemoryStorage({ turn: () => new Promise((resolve) => setTimeout(resolve, 700)) })
    const { remote } = await connect(store, { silenceMs: 200 })
    await remote.put('a', Buffer.from('x'))
    await remote.close()
  })

  it('stores nothing of an object that is cut off on its way, nor of one that was damaged', async () => {
    const object = new Uint8Array(300_000).fill(7)
    for (const isCut of [true, false]) {
      const store = new MemoryStorage()
      let passed = 0
      const up: Transform = new Transform({
        transform(piece: Buffer, _, done) {
          passed += piece.length
          if (passed < 100_000) done(null, piece)
          else if (isCut) up.destroy()
          else done(null, Buffer.from(piece.map((byte) => byte ^ 16)))
        },
      })
      const { remote, served } = await connect(store, { up })
      await assert.rejects(remote.put('packs/a', object), { code: 'STORAGE_UNAVAILABLE' })
      await assert.rejects(served, { code: 'STORAGE_UNAVAILABLE', message: /^The connection to the client broke/ })
      assert.deepEqual(await Array.fromAsync(store.list('')), [])
    }
  })

  it('stores nothing wrong whatever bit is flipped on the way, and returns nothing wrong', async () => {
    const object = Buffer.from('the content of an object')
    const tryFlip = async (at: number): Promise<void> => {
      const store = new MemoryStorage()
      const [up, down] = [newFlipper(at), newFlipper(at * 3)]
      try {
        const { remote } = await connect(store, { up, down, silenceMs: 80 })
        await remote.put('a', object)
        assert.deepEqual(Buffer.from(await remote.get('a')), object, `byte ${at}`)
        await remote.close()
      } catch (error) {
        assert.ok(error instanceof CairnError, String(error))
      }
      const stored = await store.get('a').catch(() => object)
      assert.deepEqual(Buffer.from(stored), object)
    }
    for (let at = 0; at < 900; at += 60) await Promise.all(Array.from({ length: 60 }, (_, i) => tryFlip(at + i)))
  })

  it('trusts no answer', async () => {
    const answers: [object, (remote: RemoteStorage) => Promise<unknown>][] = [
      [{ objects: [['../../etc/passwd', 1, 1]], isLast: true }, (remote) => Array.fromAsync(remote.list(''))],
      [{ objects: [['a', -1, 1]], isLast: true }, (remote) => Array.fromAsync(remote.list(''))],
      [{ objects: 'all', isLast: true }, (remote) => Array.fromAsync(remote.list(''))],
      [{}, (remote) => Array.fromAsync(remote.list(''))],
      [{}, (remote) => remote.putIfAbsent('a', Buffer.from('x'))],
      [{ error: null }, (remote) => remote.get('a')],
      [{ error: { code: 'toString', message: 5 } }, (remote) => remote.get('a')],
    ]
    for (const [answer, ask] of answers) {
      const remote = await fakeServer(() => answer)
      await assert.rejects(ask(remote), { code: 'STORAGE_UNAVAILABLE' }, JSON.stringify(answer))
      await remote.close()
    }
    const remote = await fakeServer(() => ({}))
    await assert.rejects(remote.get('a', { offset: 0, length: 3 }), { code: 'DATA_CORRUPT' })
    await remote.close()
  })

  it('reads past what a login prints before the greeting', async () => {
    const down = new PassThrough()
    down.write('Welcome to Debian\nYou have mail.\n')
    const { remote } = await connect(new MemoryStorage(), { down })
    await remote.put('a', Buffer.from('x'))
    await remote.close()
  })

  it('says what it got in place of a greeting', async () => {
    const code = 'STORAGE_UNAVAILABLE'
    await assert.rejects(open(''), { code, message: /^Cannot open ssh:\/\/far\/repo: it answers nothing/ })
    await assert.rejects(open('This \x1b[31maccount\n is not available.\n'), {
      code,
      message: /answers 'This \[31maccount is not available\.', and is no 'cairn serve'/,
    })
    await assert.rejects(open('x'.repeat(100_000)), { code, message: /answers 'x{99,101}…'/ })
    await assert.rejects(open('cairn serve 2\n'), { code: 'FORMAT_UNSUPPORTED', message: /version 2 .* this one 1/ })
  })

  it('ends a request when it is aborted, and goes on with others', async () => {
    const store = new MemoryStorage({ turn: () => new Promise((resolve) => setTimeout(resolve, 100)) })
    const { remote } = await connect(store)
    const abort = new AbortController()
    const put = remote.put('a', new Uint8Array(10), { signal: abort.signal })
    setTimeout(() => abort.abort(), 10)
    await assert.rejects(put, { code: 'CANCELLED' })
    await remote.put('b', new Uint8Array(3))
    await remote.close()
  })

  it('lets go of listings that are not read to their end', async () => {
    const store = new MemoryStorage()
    for (let i = 0; i < 5000; i++) await store.put(`packs/${i}`, new Uint8Array())
    const { remote } = await connect(store)
    for await (const { key } of remote.list('packs/')) if (key.endsWith('7')) break
    assert.equal((await Array.fromAsync(remote.list('packs/'))).length, 5000)
    await remote.close()
  })
})

describe('serveStorage()', () => {
  it('ends when the client does, after what was begun', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const store = new MemoryStorage({ turn: () => promise })
    const { remote, served, up } = await connect(store)
    const put = remote.put('a', Buffer.from('x'))
    put.catch(() => undefined)
    await new Promise(setImmediate)
    up.end()
    await new Promise(setImmediate)
    resolve()
    await served
    assert.equal((await store.get('a')).length, 1)
  })

  it('answers nonsense with errors', async () => {
    const requests: [object, string][] = [
      [{ op: 'open', path: 5 }, 'INVALID_ARGUMENT'],
      [{ op: 'get', key: 'a' }, 'INVALID_ARGUMENT'],
      [{ op: 'open', path: 'x' }, ''],
      [{ op: 'open', path: 'x' }, 'INVALID_ARGUMENT'],
      [{ op: 'get', key: ['a'] }, 'INVALID_ARGUMENT'],
      [{ op: 'get', key: '../x' }, 'INVALID_ARGUMENT'],
      [{ op: 'get', key: 'a', offset: -1, length: 4 }, 'INVALID_ARGUMENT'],
      [{ op: 'get' }, 'INTERNAL'],
      [{ op: 'next', listing: 77 }, 'INVALID_ARGUMENT'],
      [{ op: 'constructor' }, 'INVALID_ARGUMENT'],
      [{}, 'INVALID_ARGUMENT'],
    ]
    const [up, down] = [new PassThrough(), new PassThrough()]
    const served = serveStorage({ input: up, output: down, open: async () => new MemoryStorage() })
    const reader = new FrameReader()
    down.read(GREETING.length)
    for (const [i, [request, code]] of requests.entries()) {
      up.write(encodeFrame({ id: i, ...request }, new Uint8Array()))
      await once(down, 'readable')
      const [{ header }] = [...reader.push(down.read() as Buffer)] as [Frame]
      assert.equal((header['error'] as { code?: unknown } | undefined)?.code ?? '', code, JSON.stringify(request))
    }
    up.end()
    await served
  })

  it('takes no more than it can work on at once', async () => {
    let running = 0
    let most = 0
    const store: Storage = Object.assign(new MemoryStorage(), {
      async put() {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 5))
        running--
      },
    })
    const { remote } = await connect(store)
    await Promise.all(Array.from({ length: 200 }, (_, i) => remote.put(`k${i}`, new Uint8Array(70_000))))
    assert.ok(most > 1 && most <= 20, String(most))
    await remote.close()
  })
})

/** Opens a server that says this and ends. */
async function open(said: string): Promise<void> {
  const [up, down] = [new PassThrough(), new PassThrough()]
  down.end(said)
  const request = { path: '', create: false, mayContain: [] }
  await RemoteStorage.open(linkOf(up, down), { location: 'ssh://far/repo', open: request })
}

/** Flips a bit of the byte that many bytes on, once. */
function newFlipper(byte: number): Transform {
  let passed = 0
  return new Transform({
    transform(piece: Buffer, _, done) {
      const at = byte - passed
      passed += piece.length
      const out = Buffer.from(piece)
      if (at >= 0 && at < out.length) out[at] = (out[at] as number) ^ 4
      done(null, out)
    },
  })
}

/** A client of a server that greets, opens, and then answers as it is told. */
async function fakeServer(answer: () => object): Promise<RemoteStorage> {
  const [up, down] = [new PassThrough(), new PassThrough()]
  const reader = new FrameReader()
  up.on('data', (piece: Buffer) => {
    for (const { header } of reader.push(piece)) {
      const { id, op } = header
      down.write(encodeFrame({ id, ...(op === 'open' ? {} : answer()) }, new Uint8Array()))
    }
  })
  up.on('end', () => down.end())
  down.write(GREETING)
  const request = { path: '', create: false, mayContain: [] }
  return RemoteStorage.open(linkOf(up, down), { location: 'ssh://far/repo', open: request })
}
