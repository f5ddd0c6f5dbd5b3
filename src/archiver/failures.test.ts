/** Files that change, vanish or refuse while a run reads them; stores that fail; runs that are cancelled. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { testBytes } from '../chunker/testing.ts'
import { newDirectory } from '../platform/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { sourceOf } from '../sources/testing.ts'
import { RANGE_BYTES } from './protocol.ts'
import {
  type ArchiveRun,
  archiveInto,
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
): Promise<{ run: ArchiveRun; contents: Record<string, Buffer> }> {
  const root = newDirectory()
  for (const name of ['a', 'b', 'c']) writeFileSync(`${root}/${name}`, RANDOM.subarray(0, size))
  const entries = await entriesOf(root)
  change(root)
  const repository = await newRepository()
  const run = await archiveInto(repository, sourceOf(entries))
  const contents: Record<string, Buffer> = {}
  for (const [path, node] of await nodesOf(repository, run)) contents[path] = await contentOf(repository, node)
  return { run, contents }
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
  it('is saved as it is now, with status C and an issue', async () => {
    for (const size of SIZES) {
      const changed = RANDOM.subarray(7, 7 + size)
      const { run, contents } = await changedBetween((root) => writeFileSync(`${root}/b`, changed), size)
      assert.deepEqual(run.entries.sort(), ['A a', 'A c', 'C b'])
      assert.deepEqual(run.issues, ['CHANGED b'])
      assert.ok(contents['b']?.equals(changed))
    }
  })

  it('has the size of what was read of it when it became shorter, or longer', async () => {
    for (const size of SIZES) {
      const shorter = await changedBetween((root) => truncateSync(`${root}/b`, size >> 1), size)
      assert.deepEqual(shorter.run.issues, ['CHANGED b'])
      assert.ok(shorter.contents['b']?.equals(RANDOM.subarray(0, size >> 1)))
      const longer = await changedBetween((root) => appendFileSync(`${root}/b`, RANDOM.subarray(size, size + 5)), size)
      assert.deepEqual(longer.run.issues, ['CHANGED b'])
      const found = longer.contents['b'] ?? Buffer.alloc(0)
      assert.ok(found.length >= size && found.equals(RANDOM.subarray(0, found.length)))
    }
  })

  it('is saved with status C when only its metadata changed', async () => {
    const { run } = await changedBetween((root) => chmodSync(`${root}/b`, 0o600))
    assert.deepEqual(run.issues, ['CHANGED b'])
  })

  it('is read again by the next run', async () => {
    const root = newDirectory()
    writeFileSync(`${root}/a`, 'before')
    const entries = await entriesOf(root)
    writeFileSync(`${root}/a`, 'after!')
    const repository = await newRepository()
    const parent = await archiveInto(repository, sourceOf(entries))
    const next = await archiveInto(repository, sourceOf(entries), { parent })
    assert.deepEqual(next.entries, ['C a'])
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

/** Backs up one file of 36 MiB with one worker; `change` is called when the first pack is stored. */
async function changedWithin(change: (file: string) => void): Promise<ArchiveRun> {
  const root = newDirectory()
  writeFileSync(`${root}/file`, RANDOM)
  const repository = await newRepository('fastcdc,256K,1M,4M')
  let packs = 0
  const session = await WriteSession.open(repository)
  const run = await archiveInto(repository, folderSource(root), {
    storePack: async (pack) => {
      if (packs++ === 0) change(`${root}/file`)
      return session.storePack(pack)
    },
  })
  await session.abandon()
  assert.ok(packs > 1)
  return run
}

describe('a large file that changes while it is read', () => {
  it('has status C when somebody appends to it', async () => {
    const run = await changedWithin((file) => appendFileSync(file, 'more'))
    assert.deepEqual([run.entries, run.issues], [['C file'], ['CHANGED file']])
  })

  it('has status C when somebody rewrites what was read already, or cuts it off', async () => {
    for (const change of [overwriteBeginning, (file: string): void => truncateSync(file, 1 << 20)]) {
      const run = await changedWithin(change)
      assert.deepEqual([run.entries, run.issues], [['C file'], ['CHANGED file']])
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
    const source = { paths: [], entries: walk }
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
      // oxlint-disable-next-line require-yield
      async *entries(): AsyncGenerator<never> {
        throw new CairnError('SOURCE_FAILED', 'Cannot read the source: the test says so')
      },
    }
    await assert.rejects(archiveInto(await newRepository(), source), { code: 'SOURCE_FAILED' })
  })
})

describe('a parent snapshot that lacks chunks', () => {
  it('is an error that names the chunk, so that nobody takes the new snapshot for a whole one', async () => {
    const repository = await newRepository()
    const root = newDirectory()
    writeFileSync(`${root}/a`, 'x')
    const parent = await archiveInto(repository, folderSource(root))
    const damaged = new CairnError('DATA_CORRUPT', 'Cannot read chunk 123: the test says so')
    const loadChunk = (): Promise<never> => Promise.reject(damaged)
    await assert.rejects(archiveInto(repository, folderSource(root), { parent, loadChunk }), { code: 'DATA_CORRUPT' })
    assert.equal((await refsOf(repository, (await nodesOf(repository, parent)).get('a'))).length, 1)
  })
})
