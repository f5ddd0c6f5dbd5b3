import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { constants, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import {
  COMPRESSION_CODES,
  MAX_COMPRESSION_BYTES,
  type CompressionName,
  compress,
  decompress,
  formatCompression,
  parseCompression,
} from './compression.ts'

// The types of Node leave it out.
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum?: number; shared?: boolean }) => { buffer: ArrayBuffer }
}

const NAMES = ['none', 'lz4', 'zstd', 'zlib', 'lzma'] as const satisfies CompressionName[]
const COMPRESSING = ['lz4', 'zstd', 'zlib', 'lzma'] as const satisfies CompressionName[]
const MIB = 1 << 20

const pack = (text: string, data: Uint8Array): Buffer => Buffer.from(compress(parseCompression(text), data))
const unpack = (name: CompressionName, data: Uint8Array, rawLength: number): Uint8Array =>
  decompress(COMPRESSION_CODES[name], data, rawLength)

/** Text with words and repetitions, which compresses about as source code does; always the same. */
function prose(length: number): Buffer {
  let state = 1
  const next = (below: number): number => (state = (state * 48_271) % 0x7fff_ffff) % below
  const words = Array.from({ length: 3000 }, () =>
    next(0x7fff_ffff)
      .toString(36)
      .slice(-1 - next(6)),
  )
  const text = Buffer.alloc(length)
  let end = 0
  while (end < length) {
    const quoted = next(end + 1)
    if (next(12)) end += text.write(`${words[next(next(3000) + 1)]} `, end)
    else end += text.copy(text, end, quoted, Math.min(end, quoted + next(300)))
  }
  return text
}

/** Bytes as they come: short noise, long runs, and repetitions at a distance. */
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 2000 }),
  fc
    .record({ part: fc.uint8Array({ minLength: 1, maxLength: 300 }), times: fc.nat({ max: 500 }) })
    .map(({ part, times }) => Uint8Array.from(Buffer.alloc(part.length * times, part))),
  fc.nat({ max: 20_000 }).map((length) => Uint8Array.from(prose(length))),
)

/** What may come of damaged data: DATA_CORRUPT, or as many bytes as were wanted. Says whether it was the former. */
function refuses(name: CompressionName, damaged: Uint8Array, rawLength: number): boolean {
  try {
    assert.equal(unpack(name, damaged, rawLength).length, rawLength)
    return false
  } catch (error) {
    assert.ok(isCairnError(error, 'DATA_CORRUPT'), String(error))
    return true
  }
}

/** `part` as often as makes 1 GiB of 4 MiB. */
const repeat = (part: Uint8Array): Uint8Array[] => Array.from({ length: 256 }, () => part)

describe('compress() and decompress()', () => {
  it('give back every content with every algorithm', () => {
    const choices = fc.constantFrom('none', 'lz4', 'zstd', 'zlib', 'lzma', 'zstd,-7', 'zstd,-1', 'zstd,19', 'zlib,0')
    fc.assert(
      fc.property(choices, anyBytes, (text, data) => {
        const compression = parseCompression(text)
        const packed = compress(compression, data)
        const raw = unpack(compression.name, packed, data.length)
        assert.equal(Buffer.compare(raw, data), 0)
        for (const wrong of [data.length + 1, data.length - 1, 2 * data.length + 100]) {
          assert.throws(() => unpack(compression.name, packed, wrong), { code: 'DATA_CORRUPT' })
        }
      }),
    )
  })

  it('give back every length around the block sizes of the formats', () => {
    const data = Buffer.concat([prose(5 * MIB), Buffer.alloc(4 * MIB), prose(100)])
    for (const name of ['lz4', 'zstd', 'zlib'] as const) {
      for (const length of [65_535, 65_536, 65_537, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB, data.length]) {
        const packed = pack(name, data.subarray(0, length))
        assert.equal(Buffer.compare(unpack(name, packed, length), data.subarray(0, length)), 0)
      }
    }
    const long = Buffer.concat([prose(200_000), Buffer.alloc(9 * MIB), prose(200_000)]) // longer than LZMA's dictionary
    assert.equal(Buffer.compare(unpack('lzma', pack('lzma', long), long.length), long), 0)
  })

  it('take every level', () => {
    const data = prose(20_000)
    const levels = Array.from({ length: 30 }, (_, i) => i - 7)
      .filter(Boolean)
      .map((level) => `zstd,${level}`)
    for (let level = 0; level <= 9; level++) levels.push(`zlib,${level}`, `lzma,${level}`)
    for (const text of levels) {
      const { name } = parseCompression(text)
      assert.equal(Buffer.compare(unpack(name, pack(text, data), data.length), data), 0, text)
    }
  })

  it('come out smaller the harder they try', () => {
    const data = prose(MIB)
    const size = (text: string): number => pack(text, data).length
    const orders = [
      ['none', 'zstd,-7', 'zstd,-2', 'zstd,-1', 'zstd,1', 'zstd,2', 'zstd,9', 'zstd,19'],
      ['zlib,0', 'none', 'lz4', 'zlib,1', 'zlib,6', 'zlib,9', 'lzma'],
    ]
    for (const order of orders) {
      const sizes = order.map(size)
      for (let i = 1; i < sizes.length; i++)
        assert.ok(Number(sizes[i]) < Number(sizes[i - 1]), `${order.join(' ')}: ${sizes.join(' ')}`)
    }
    assert.ok(size('lzma') < data.length / 3) // a library whose encoder only stores would be found here
  })

  it('add little to what does not compress', () => {
    const noise = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (Math.sin(i) * 1e9) & 0xff))
    for (const name of COMPRESSING) assert.ok(pack(name, noise).length < noise.length * 1.001 + 100, name)
  })

  it('work on views of WebAssembly memory', () => {
    const view = new Uint8Array(new WebAssembly.Memory({ initial: 2 }).buffer, 77, 100_000)
    view.set(prose(100_000))
    for (const name of NAMES) assert.equal(Buffer.compare(unpack(name, pack(name, view), 100_000), view), 0)
  })

  it('work in several threads at the same time', async () => {
    const url = new URL('compression.ts', import.meta.url).href
    const code = `const { parentPort } = require('node:worker_threads')
      import(${JSON.stringify(url)}).then(({ compress, decompress, parseCompression, COMPRESSION_CODES }) => {
        const data = Buffer.alloc(300_000, 'several threads ')
        const done = ['none', 'lz4', 'zstd', 'zlib', 'lzma'].filter((name) =>
          data.equals(decompress(COMPRESSION_CODES[name], compress(parseCompression(name), data), data.length)))
        parentPort.postMessage(done)
      })`
    const results = Array.from({ length: 3 }, async () => {
      const worker = new Worker(code, { eval: true })
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    })
    assert.deepEqual(await Promise.all(results), [NAMES, NAMES, NAMES])
  })

  it('refuse more than a segment can be', () => {
    for (const name of NAMES) {
      for (const length of [-1, 0.5, Number.NaN, MAX_COMPRESSION_BYTES + 1, 2 ** 53]) {
        assert.throws(() => unpack(name, Buffer.alloc(10), length), { code: 'DATA_CORRUPT' })
      }
    }
  })
})

describe('decompress()', () => {
  const TEXT = 'cairn cairn cairn cairn, a heap of stones\n'
  // All but lz4 are what the tools zstd 1.5, zlib and xz write for this text.
  const PINNED = {
    none: Buffer.from(TEXT).toString('hex'),
    lz4: '04224d186070731e0000006d636169726e200600f0042c20612068656170206f662073746f6e65730a00000000',
    zstd: '28b52ffd202afd0000c8636169726e202c20612068656170206f662073746f6e65730a0100994b11',
    zlib: '78da4b4ecc2cca53484627751412153252130b14f2d3148a4bf2f3528bb90043740ebb',
    lzma: 'e00029001f5d0031984972da2dcd2b80d9e0fd2cd23606a78d34339775b25a8863a9c3cd910000',
  }

  it('reads the pinned bytes', () => {
    for (const name of NAMES) {
      const raw = unpack(name, Buffer.from(PINNED[name], 'hex'), TEXT.length)
      assert.equal(Buffer.from(raw).toString(), TEXT)
    }
  })

  it('reports a code it does not know as made by a newer version', () => {
    for (const code of [5, 255, -1, 0.5]) {
      assert.throws(() => decompress(code, Buffer.alloc(3), 3), { code: 'FORMAT_UNSUPPORTED' })
    }
  })

  it('refuses every truncation', () => {
    const raw = Buffer.concat([prose(3000), Buffer.alloc(5000), Buffer.from('end')])
    for (const name of COMPRESSING) {
      for (const data of [raw, Buffer.alloc(0)]) {
        const packed = pack(name, data)
        for (let length = 0; length < packed.length; length++) {
          assert.ok(refuses(name, packed.subarray(0, length), data.length), `${name} cut to ${length}`)
        }
      }
    }
  })

  it('refuses anything after the end', () => {
    for (const name of COMPRESSING) {
      const packed = pack(name, Buffer.from(TEXT))
      for (const more of ['\0', 'x', '\0\0\0\0\0\0\0\0', packed]) {
        const longer = Buffer.concat([packed, Buffer.from(more)])
        assert.throws(() => unpack(name, longer, TEXT.length), { code: 'DATA_CORRUPT' }, name)
      }
    }
  })

  it('survives every flipped bit', () => {
    const data = Buffer.concat([prose(2000), Buffer.alloc(3000), Buffer.from('end')])
    for (const name of COMPRESSING) {
      const packed = pack(name, data)
      let refused = 0
      for (let bit = 0; bit < packed.length * 8; bit++) {
        const damaged = Buffer.from(packed)
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        if (refuses(name, damaged, data.length)) refused++
      }
      assert.ok(refused > 0, name)
    }
  })

  it('survives noise', () => {
    const bytes = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(
        fc.constantFrom(...COMPRESSING),
        fc.nat({ max: 60 }),
        bytes,
        fc.nat({ max: 5000 }),
        (name, kept, noise, n) => {
          const start = Buffer.from(PINNED[name], 'hex').subarray(0, kept)
          refuses(name, Buffer.concat([start, noise]), n)
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('refuses 1 GiB behind a small length without making room for it', () => {
    const zeros = Buffer.alloc(4 * MIB)
    const lz4 = pack('lz4', zeros)
    const bombs = {
      lz4: [lz4.subarray(0, 7), ...repeat(lz4.subarray(7, -4)), lz4.subarray(-4)],
      zstd: repeat(pack('zstd', zeros)),
      zlib: [Buffer.from('789c', 'hex'), ...repeat(deflateRawSync(zeros, { finishFlush: constants.Z_FULL_FLUSH }))],
      lzma: [...repeat(pack('lzma', zeros).subarray(0, -1)), Buffer.alloc(1)],
    }
    for (const name of COMPRESSING) {
      const bomb = Buffer.concat(bombs[name])
      const before = process.resourceUsage().maxRSS
      for (const rawLength of [0, 1, 1000, MIB, 4 * MIB]) {
        assert.throws(() => unpack(name, bomb, rawLength), { code: 'DATA_CORRUPT' })
      }
      const grownMiB = (process.resourceUsage().maxRSS - before) / 1024
      assert.ok(grownMiB < 128, `${name} took ${grownMiB} MiB`)
    }
  })
})

describe('compress()', () => {
  const DECODERS = {
    zstd: ['zstd', '-dc'],
    lz4: ['lz4', '-dc'],
    lzma: ['xz', '--format=raw', '--lzma2=dict=8MiB', '-dc'],
    zlib: ['python3', '-c', 'import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))'],
  }

  for (const name of COMPRESSING) {
    const [tool = '', ...args] = DECODERS[name]
    const missing = spawnSync(tool, ['--version']).error && process.env['CAIRN_TEST_REQUIRE_ALL'] !== '1'
    it(`makes ${name} data that ${tool} reads`, { skip: missing && `${tool} is not installed` }, () => {
      const contents = [Buffer.alloc(0), Buffer.from('a'), prose(300_000), Buffer.alloc(9 * MIB)]
      for (const content of contents) {
        const result = spawnSync(tool, args, { input: pack(name, content), maxBuffer: 64 * MIB })
        assert.equal(result.status, 0, String(result.stderr ?? result.error))
        assert.equal(Buffer.compare(result.stdout, content), 0)
      }
    })
  }
})

describe('parseCompression()', () => {
  it('reads what formatCompression() writes', () => {
    for (const text of [
      'none',
      'lz4',
      'zstd,-7',
      'zstd,-1',
      'zstd,1',
      'zstd,22',
      'zlib,0',
      'zlib,9',
      'lzma,0',
      'lzma,9',
    ]) {
      assert.equal(formatCompression(parseCompression(text)), text)
    }
  })

  it('fills in the default level', () => {
    const texts = ['zstd', 'zlib', 'lzma', 'lz4', 'none'].map((text) => formatCompression(parseCompression(text)))
    assert.deepEqual(texts, ['zstd,2', 'zlib,6', 'lzma,6', 'lz4', 'none'])
    assert.equal(formatCompression({ name: 'zstd', level: undefined }), 'zstd')
  })

  it("takes Borg's auto, for the algorithm behind it", () => {
    for (const text of ['zstd,9', 'lz4', 'lzma,3', 'zlib'])
      assert.deepEqual(parseCompression(`auto,${text}`), parseCompression(text))
    for (const text of ['auto', 'auto,', 'auto,none', 'auto,auto,lz4', 'auto,zstd,23', 'obfuscate,110,lz4'])
      assert.throws(() => parseCompression(text), { code: 'INVALID_ARGUMENT' }, text)
  })

  it('refuses everything else with the choices', () => {
    const wrong = [
      '',
      ' ',
      ',',
      'brotli',
      'zstd,',
      'zstd,x',
      'zstd,1.5',
      'zstd,+3',
      'zstd 3',
      'lz4,1',
      'none,0',
      'zstd,3,4',
    ]
    const levels = ['zstd,0', 'zstd,-0', 'zstd,-8', 'zstd,23', 'zlib,-1', 'zlib,10', 'lzma,10', 'lzma,-1', 'zstd,1000']
    for (const text of [...wrong, ...levels, 'constructor', '__proto__', 'toString']) {
      assert.throws(() => parseCompression(text), { code: 'INVALID_ARGUMENT' }, text)
    }
    assert.throws(() => parseCompression('brotli'), { message: /want none, lz4, zstd.*zlib.*or lzma/ })
    assert.throws(() => parseCompression('zlib,10'), { message: /want a level from 0 to 9$/ })
  })

  it('knows what other programs call it', () => {
    const meant = { gzip: 'zlib', 'gzip,9': 'zlib', xz: 'lzma', ZSTD: 'zstd', 'zst,3': 'zstd', off: 'none', LZ4: 'lz4' }
    for (const [text, name] of Object.entries(meant)) {
      assert.throws(() => parseCompression(text), {
        code: 'INVALID_ARGUMENT',
        message: new RegExp(`did you mean ${name}`),
      })
    }
  })
})
