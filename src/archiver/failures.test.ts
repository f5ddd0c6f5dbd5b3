/** Files that change, vanish or refuse while a run reads them; stores that fail; runs that are cancelled. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  closeSync,
  constants,
  lchownSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { CairnError } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { SKIP_UNLESS_ROOT, newDirectory } from '../platform/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { sourceOf } from '../sources/testing.ts'
import { RANGE_BYTES } from './protocol.ts'
import {
  type ArchiveRun,
  archiveInto,
  chunkIdsOf,
  contentOf,
  entriesOf,
  folderSource,
  newRepository,
  nodesOf,
  refsOf,
} from './testing.ts'

/** Content that does not get smaller, so that packs fill up. */
const RANDOM = testBytes('random', 36 << 20)

/** Backs up a folder of three files, `change`d after it was listed and before it is read. */
async function changedBetween(
  change: (root: string) => void,
  size = 1000,
): Promise<{ run: ArchiveRun; contents: Record<string, Buffer>; nodes: Map<string, TreeNode> }> {
  const root = newDirectory()
  for (const name of ['a', 'b', 'c']) writeFileSync(`${root}/${name}`, RANDOM.subarray(0, size))
  const entries = await entriesOf(root)
  change(root)
  const repository = await newRepository()
  const run = await archiveInto(repository, sourceOf(entries))
  const contents: Record<string, Buffer> = {}
  const nodes = await nodesOf(repository, run)
  for (const [path, node] of nodes) contents[path] = await contentOf(repository, node)
  return { run, contents, nodes }
}

/** Sizes of files: of one chunk, of several, of several ranges. */
const SIZES = [1000, 500_000, RANGE_BYTES + 500_000] as const
const [SMALL, , LARGE] = SIZES

function overwriteBeginning(file: string): void {
  const fd = openSync(file, 'r+')
  writeFileSync(fd, 'over the beginning')
  closeSync(fd)
}

describe('a file that changes between scan and read', () => {
  it('is read in peace as it is now, which is nothing to complain of', async () => {
    for (const size of SIZES) {
      const changed = RANDOM.subarray(7, 7 + size)
      const { run, contents } = await changedBetween((root) => writeFileSync(`${root}/b`, changed), size)
      assert.deepEqual(run.entries.sort(), ['A a', 'A b', 'A c'])
      assert.deepEqual(run.issues, [])
      assert.ok(contents['b']?.equals(changed))
    }
  })

  it('has the size and the time it has now, also when it became shorter, or longer', async () => {
    for (const size of SIZES) {
      for (const now of [size >> 1, 0, size + 5, size * 3]) {
        const mtime = 1_234_567_890
        const { run, contents, nodes } = await changedBetween((root) => {
          writeFileSync(`${root}/b`, RANDOM.subarray(0, now))
          utimesSync(`${root}/b`, mtime, mtime)
        }, size)
        assert.deepEqual(run.issues, [])
        assert.ok(contents['b']?.equals(RANDOM.subarray(0, now)), `${size} → ${now}`)
        assert.deepEqual(
          [nodes.get('b')?.sizeBytes, nodes.get('b')?.mtimeNs],
          [contents['b']?.length, BigInt(mtime) * 10n ** 9n],
        )
      }
    }
  })

  it('is read again by the next run', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/a`, 'before')
    const entries = await entriesOf(root)
    writeFileSync(`${root}/a`, 'after!')
    const repository = await newRepository()
    const parent = await archiveInto(repository, sourceOf(entries))
    const next = await archiveInto(repository, folderSource(root), { parent })
    assert.deepEqual(next.entries, ['M a'])
    const last = await archiveInto(repository, folderSource(root), { parent: next })
    assert.deepEqual(last.entries, ['U a'])
  })
})

describe('a file whose folder is swapped for a symlink between scan and read', { skip: SKIP_UNLESS_ROOT }, () => {
  it("is not read when what lies there is somebody else's", async () => {
    for (const size of [SMALL, LARGE]) {
      const root = newDirectory()
      mkdirSync(`${root}/mine`)
      mkdirSync(`${root}/others`)
      writeFileSync(`${root}/mine/file`, RANDOM.subarray(0, size))
      writeFileSync(`${root}/others/file`, RANDOM.subarray(size, 2 * size))
      lchownSync(`${root}/mine/file`, 1000, 1000)
      const entries = (await entriesOf(root)).filter(({ path }) => path.startsWith('mine'))
      renameSync(`${root}/mine`, `${root}/away`)
      symlinkSync('others', `${root}/mine`)
      const repository = await newRepository()
      const run = await archiveInto(repository, sourceOf(entries))
      assert.deepEqual(run.issues, ['ESTALE mine/file'])
      assert.equal((await nodesOf(repository, run)).has('mine/file'), false)
    }
  })
})

describe('a file that cannot be read any more', () => {
  const ways: Record<string, { change: (root: string) => void; code: string }> = {
    'is gone': { change: (root) => rmSync(`${root}/b`), code: 'ENOENT' },
    'became a directory': {
      change: (root) => {
        rmSync(`${root}/b`)
        mkdirSync(`${root}/b`)
      },
      code: 'E(STALE|ISDIR)',
    },
    'became a symlink, which is not followed': {
      change: (root) => {
        renameSync(`${root}/b`, `${root}/bb`)
        symlinkSync('bb', `${root}/b`)
      },
      code: 'ELOOP',
    },
    'lies in a directory that is gone': { change: (root) => renameSync(root, `${root}-moved`), code: 'ENOENT' },
  }
  for (const [way, { change, code }] of Object.entries(ways)) {
    it(`is an issue with status E when it ${way}`, async () => {
      for (const size of [SMALL, LARGE]) {
        const { run, contents } = await changedBetween(change, size)
        const others = way.includes('lies in') ? [] : ['a', 'c']
        assert.deepEqual(Object.keys(contents), others)
        assert.equal(run.entries.filter((entry) => entry.startsWith('E')).length, 3 - others.length)
        for (const issue of run.issues) assert.match(issue, new RegExp(`^${code} `))
        for (const path of others) assert.ok(contents[path]?.equals(RANDOM.subarray(0, size)))
      }
    })
  }

  it('is an issue when it became a FIFO, and nobody waits for its writer', async () => {
    for (const size of [0, SMALL, LARGE]) {
      let writer = -1
      const change = (root: string): void => {
        rmSync(`${root}/b`)
        execFileSync('mkfifo', [`${root}/b`])
        writer = openSync(`${root}/b`, constants.O_RDWR | constants.O_NONBLOCK) // a writer that never writes
      }
      const { run } = await changedBetween(change, size)
      closeSync(writer)
      assert.deepEqual(run.entries.sort(), ['A a', 'A c', 'E b'])
    }
  })
})

/** Backs up a large file, `change`d when its first pack is stored, or again and again until it is read. */
async function changedWithin(change: (file: string) => void, how: 'once' | 'always'): Promise<[ArchiveRun, string[]]> {
  const root = newDirectory()
  const file = `${root}/file`
  writeFileSync(file, RANDOM)
  const repository = await newRepository('fastcdc,256K,1M,4M')
  let packs = 0
  const session = await WriteSession.open(repository)
  const writing = how === 'always' ? setInterval(() => change(file), 1) : undefined
  const run = await archiveInto(repository, folderSource(root), {
    storePack: async (pack) => {
      if (packs++ === 0 && how === 'once') change(file)
      return session.storePack(pack)
    },
  }).finally(() => clearInterval(writing))
  await session.commit({})
  await repository.loadIndex()
  assert.ok(packs > 1)
  const nodes = await nodesOf(repository, run)
  return [run, (await refsOf(repository, nodes.get('file'))).map(({ id }) => toHex(id))]
}

describe('a large file that changes while it is read', () => {
  const changes: ((file: string) => void)[] = [
    (file) => appendFileSync(file, 'more'),
    overwriteBeginning,
    (file) => truncateSync(file, 1 << 20),
  ]

  it('is read a second time, in peace', async () => {
    for (const change of changes) {
      const [run, ids] = await changedWithin(change, 'once')
      assert.deepEqual([run.entries, run.issues], [['A file'], []])
      const root = newDirectory()
      writeFileSync(`${root}/file`, RANDOM)
      change(`${root}/file`)
      const repository = await newRepository('fastcdc,256K,1M,4M')
      assert.deepEqual(ids, await chunkIdsOf(repository, await archiveInto(repository, folderSource(root))))
    }
  })

  it('has status C, an issue, and a node that says so when it goes on changing', async () => {
    const [run] = await changedWithin((file) => appendFileSync(file, 'more'), 'always')
    assert.deepEqual([run.entries, run.issues], [['C file'], ['CHANGED file']])
  })
})

describe('a small file that changes all the time', () => {
  it('has status C and an issue, is marked, and is read again by the next run', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/file`, RANDOM.subarray(0, 15 << 20)) // takes longer to read than most pauses of the writer
    const writer = spawn('sh', ['-c', 'while :; do printf x; done >>"$1"', 'sh', `${root}/file`])
    try {
      await setTimeout(100)
      let repository = await newRepository()
      let run = await archiveInto(repository, folderSource(root))
      // Where others have the processor, the writer may pause for longer.
      for (let attempts = 1; run.issues.length === 0 && attempts < 20; attempts++) {
        repository = await newRepository()
        run = await archiveInto(repository, folderSource(root))
      }
      assert.deepEqual([run.entries, run.issues], [['C file'], ['CHANGED file']])
      const node = (await nodesOf(repository, run)).get('file')
      assert.equal(node?.changed, true)
      assert.equal((await contentOf(repository, node)).length, node.sizeBytes)
      writer.kill('SIGKILL')
      await once(writer, 'close')
      const next = await archiveInto(repository, folderSource(root), { parent: run })
      assert.deepEqual([next.entries, next.issues], [['M file'], []])
      assert.equal((await nodesOf(repository, next)).get('file')?.changed, undefined)
    } finally {
      writer.kill('SIGKILL')
    }
  })
})

describe('a store that fails', () => {
  const failure = new CairnError('STORAGE_FULL', 'Cannot store it: the test says so')

  it('ends the run with its error, be it at the first pack, a later one, or the trees', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/large`, RANDOM)
    writeFileSync(`${root}/small`, 'small')
    const repository = await newRepository('fastcdc,256K,1M,4M')
    for (const failing of [1, 2, 3, 4]) {
      let packs = 0
      const run = archiveInto(repository, folderSource(root), {
        storePack: async (pack) => {
          if (++packs >= failing) throw failure
          return pack.bytes.buffer
        },
      })
      await assert.rejects(run, { code: 'STORAGE_FULL', message: failure.message }, `pack ${failing}`)
      await repository.loadIndex() // forgets what was claimed
    }
  })

  it('leaves no threads and no timers: the process ends by itself', () => {
    const root = newDirectory()
    writeFileSync(`${root}/large`, RANDOM)
    const code = `
      import { archiveInto, folderSource, newRepository } from ${JSON.stringify(new URL('testing.ts', import.meta.url).href)}
      const repository = await newRepository('fastcdc,256K,1M,4M')
      const storePack = async () => { throw Object.assign(new Error('no disk'), { code: 'EIO' }) }
      await archiveInto(repository, folderSource(${JSON.stringify(root)}), { storePack, workers: 2 }).then(
        () => console.log('done'),
        (error) => console.log(error.message.split('\\n')[0], process.getActiveResourcesInfo().join()),
      )`
    const { stdout, status } = spawnSync(process.execPath, ['-e', code], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(status, 0)
    assert.match(stdout, /no disk/)
    assert.doesNotMatch(stdout, /Timeout|MessagePort|Worker/)
  })
})

describe('a run that is cancelled', () => {
  it('ends with CANCELLED soon, also in the middle of a single large file', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/file`, RANDOM)
    const repository = await newRepository('fastcdc,256K,1M,4M')
    const abort = new AbortController()
    let packs = 0
    const run = archiveInto(repository, folderSource(root), {
      signal: abort.signal,
      storePack: async (pack) => {
        packs++
        abort.abort()
        return pack.bytes.buffer
      },
    })
    await assert.rejects(run, { code: 'CANCELLED' })
    assert.equal(packs, 1) // of three
  })

  it('ends with CANCELLED when the source is being walked, and when it was cancelled before', async () => {
    const root = newDirectory()
    for (let i = 0; i < 2000; i++) writeFileSync(`${root}/${i}`, '')
    const repository = await newRepository()
    const abort = new AbortController()
    const entries = await entriesOf(root)
    async function* walk(): AsyncGenerator<typeof entries> {
      yield entries.slice(0, 500)
      abort.abort()
      yield entries.slice(500, 1000)
      assert.fail('the walk went on')
    }
    const source = {
      paths: [],
      walk: () => ({ [Symbol.asyncIterator]: walk, [Symbol.asyncDispose]: async () => undefined }),
    }
    await assert.rejects(archiveInto(repository, source, { signal: abort.signal }), { code: 'CANCELLED' })
    await assert.rejects(archiveInto(repository, folderSource(root), { signal: abort.signal }), { code: 'CANCELLED' })
  })

  it('ends with the error that the abort was given as its reason', async () => {
    const reason = new CairnError('SESSION_FENCED', 'Cannot go on: another run took over')
    const run = archiveInto(await newRepository(), folderSource(newDirectory()), { signal: AbortSignal.abort(reason) })
    await assert.rejects(run, { code: 'SESSION_FENCED' })
  })
})

describe('a source that fails as a whole', () => {
  it('ends the run with its error', async () => {
    const source = {
      paths: [],
      walk: () => ({
        // oxlint-disable-next-line require-yield
        async *[Symbol.asyncIterator](): AsyncGenerator<never> {
          throw new CairnError('SOURCE_FAILED', 'Cannot read the source: the test says so')
        },
        [Symbol.asyncDispose]: async () => undefined,
      }),
    }
    await assert.rejects(archiveInto(await newRepository(), source), { code: 'SOURCE_FAILED' })
  })
})

describe('a parent snapshot that lacks chunks', () => {
  it('is passed over with a warning that names the chunk, and everything is read', async () => {
    const repository = await newRepository()
    const root = newDirectory()
    writeFileSync(`${root}/a`, 'x')
    const parent = await archiveInto(repository, folderSource(root))
    const damaged = new CairnError('DATA_CORRUPT', 'Cannot read chunk 123: the test says so')
    const loadChunk = (): Promise<never> => Promise.reject(damaged)
    const again = await archiveInto(repository, folderSource(root), { parent, loadChunk })
    assert.deepEqual(again.tree, parent.tree)
    assert.equal(again.warnings.length, 1)
    assert.match(again.warnings[0] ?? '', /previous snapshot is damaged.*chunk 123/)
    assert.deepEqual(again.issues, [])
  })
})
