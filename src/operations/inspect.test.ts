/** Everything that only reads: list, info, diff, and opening a repository for them. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { LATIN1_NAME, TestRepository, newFolder } from '../../test/testing.ts'
import type { CairnError } from '../base/errors.ts'
import { toSystemPath } from '../base/raw-name.ts'
import { testBytes } from '../chunker/testing.ts'
import { getConfig } from './config.ts'
import { type DiffChange, diffSnapshots } from './diff.ts'
import { repositoryInfo, snapshotInfo } from './info.ts'
import { initRepository } from './init.ts'
import { DIGESTS, listEntries, listSnapshots } from './list.ts'
import { VERSION } from './version.ts'

const source = newFolder()
const inside = source.slice(1)
let repository: TestRepository
let ids: string[]

before(async () => {
  repository = await TestRepository.create()
  mkdirSync(`${source}/d/e`, { recursive: true })
  writeFileSync(`${source}/a`, 'old')
  writeFileSync(`${source}/d/same`, 'same')
  writeFileSync(`${source}/d/e/gone`, 'gone')
  writeFileSync(`${source}/type`, 'file')
  const first = await repository.create([source], { name: 'one' })
  writeFileSync(`${source}/a`, 'newer')
  chmodSync(`${source}/d/same`, 0o600)
  rmSync(`${source}/d/e/gone`)
  rmSync(`${source}/type`)
  symlinkSync('a', `${source}/type`)
  writeFileSync(toSystemPath(`${source}/${LATIN1_NAME}`), testBytes('x', 50_000))
  const second = await repository.create([source], { name: 'two' })
  ids = [first.snapshot.id, second.snapshot.id]
})

async function entries(snapshot: string, ...paths: string[]): Promise<string[]> {
  const found: string[] = []
  await listEntries(repository.access, snapshot, paths, {
    onEntry: ({ path, type, sizeBytes }) => void found.push(`${type} ${path.slice(inside.length + 1)} ${sizeBytes}`),
  })
  return found
}

describe('listSnapshots()', () => {
  it('gives them oldest first, with all that was said when they were made', async () => {
    const { snapshots, encryption, repositoryId } = await listSnapshots(repository.access)
    assert.deepEqual(
      snapshots.map(({ id, name }) => [id, name]),
      [
        [ids[0], 'one'],
        [ids[1], 'two'],
      ],
    )
    assert.equal(encryption, 'keyfile')
    assert.match(repositoryId, /^[0-9a-f]{32}$/)
  })

  it('gives none for a new repository', async () => {
    assert.deepEqual((await listSnapshots((await TestRepository.create()).access)).snapshots, [])
  })
})

describe('listEntries()', () => {
  it('gives every entry in the order of paths, without what is only on the way', async () => {
    const want = ['dir  0', 'file a 3', 'dir d 0', 'dir d/e 0', 'file d/e/gone 4', 'file d/same 4', 'file type 4']
    assert.deepEqual(await entries('one'), want)
    assert.deepEqual(await entries(ids[0] ?? ''), want)
    assert.deepEqual(await entries((ids[0] ?? '').slice(0, 10)), want)
    assert.deepEqual(await entries('latest'), [
      'dir  0',
      'file a 5',
      `file ${LATIN1_NAME} 50000`,
      'dir d 0',
      'dir d/e 0',
      'file d/same 4',
      'symlink type 0',
    ])
  })

  it('gives those at or below paths', async () => {
    assert.deepEqual(await entries('one', `${source}/d/e`, `${inside}/a`), ['file a 3', 'dir d/e 0', 'file d/e/gone 4'])
  })

  it('gives those that patterns choose', async () => {
    const kept: string[] = []
    await listEntries(
      repository.access,
      'one',
      ['sh:**/e/*', 'sh:**/d/same', `fm:*/a`],
      { onEntry: ({ path: found }) => void kept.push(found.slice(inside.length + 1)) },
      { patterns: [{ kind: 'exclude', value: 'sh:**/same' }] },
    )
    assert.deepEqual(kept, ['a', 'd/e/gone'])
  })

  it('counts chunks and takes digests of contents when asked for', async () => {
    const found: Record<string, unknown> = {}
    await listEntries(
      repository.access,
      'one',
      [`${inside}/a`],
      { onEntry: ({ chunks, digests }) => void Object.assign(found, { chunks, digests }) },
      { withChunks: true, digests: DIGESTS },
    )
    const { chunks, digests } = found as { chunks: number; digests: Record<string, string> }
    assert.equal(chunks, 1)
    const content = 'old'
    assert.deepEqual(Object.keys(digests), DIGESTS)
    for (const name of ['md5', 'sha1', 'sha256', 'sha512'])
      assert.equal(digests[name], createHash(name).update(content).digest('hex'))
  })

  it('waits for a slow reader, and passes on what it throws', async () => {
    let running = 0
    await listEntries(repository.access, 'one', [], {
      async onEntry() {
        assert.equal(++running, 1)
        await new Promise((resolve) => setImmediate(resolve))
        running--
      },
    })
    const broken = new Error('broken pipe')
    await assert.rejects(listEntries(repository.access, 'one', [], { onEntry: () => Promise.reject(broken) }), broken)
  })

  it('throws NOT_FOUND for an unknown snapshot or path', async () => {
    await assert.rejects(entries('three'), { code: 'NOT_FOUND' })
    await assert.rejects(entries('one', 'nowhere'), { code: 'NOT_FOUND' })
  })
})

/** Changes in short, but for those of metadata of directories. */
async function diff(before: string, after: string, ...paths: string[]): Promise<string[]> {
  const changes: DiffChange[] = []
  await diffSnapshots(repository.access, before, after, paths, (change) => void changes.push(change))
  return changes
    .filter(({ change, before }) => !(change === 'metadata' && before?.type === 'dir'))
    .map(({ change, path, bytesAdded, bytesRemoved }) => {
      return `${change} ${path.slice(inside.length + 1)} +${bytesAdded} -${bytesRemoved}`
    })
}

describe('diffSnapshots()', () => {
  const all = [
    'modified a +5 -3',
    `added ${LATIN1_NAME} +50000 -0`,
    'removed d/e/gone +0 -4',
    'metadata d/same +0 -0',
    'type type +0 -4',
  ]

  it('tells what changed, in the order of paths', async () => {
    assert.deepEqual(await diff('one', 'two'), all)
    assert.deepEqual(await diff('one', 'latest'), all)
    assert.deepEqual(await diff('two', 'two'), [])
  })

  it('tells it the other way round', async () => {
    assert.deepEqual(await diff('two', 'one'), [
      'modified a +3 -5',
      `removed ${LATIN1_NAME} +0 -50000`,
      'added d/e/gone +4 -0',
      'metadata d/same +0 -0',
      'type type +4 -0',
    ])
  })

  it('keeps to what lies at or below paths, as a shell user means them', async () => {
    const below = ['removed d/e/gone +0 -4', 'metadata d/same +0 -0']
    for (const paths of [[`${source}/d`], [`${inside}/d/`], [`./${inside}//d`], [`${source}/d/e`, `${source}/d/same`]])
      assert.deepEqual(await diff('one', 'two', ...paths), below, paths.join())
    assert.deepEqual(await diff('one', 'two', `${source}/a`, `${source}/typ`), ['modified a +5 -3'])
    for (const path of ['/', '.', '']) assert.deepEqual(await diff('one', 'two', path), all, path)
    assert.deepEqual(await diff('one', 'two', `${source}/${LATIN1_NAME}`), [`added ${LATIN1_NAME} +50000 -0`])
  })

  it('gives the entries before and after', async () => {
    const changes: DiffChange[] = []
    await diffSnapshots(repository.access, 'one', 'two', [`${source}/d/same`], (change) => void changes.push(change))
    assert.deepEqual([changes[0]?.before?.mode, changes[0]?.after?.mode], [0o644, 0o600])
  })

  it('throws NOT_FOUND for an unknown snapshot', async () => {
    await assert.rejects(diff('one', 'three'), { code: 'NOT_FOUND' })
    await assert.rejects(diff('three', 'one'), { code: 'NOT_FOUND' })
  })
})

describe('repositoryInfo() and snapshotInfo()', () => {
  it('tell what a repository is and holds', async () => {
    const info = await repositoryInfo(repository.access)
    assert.deepEqual(
      [info.location, info.encryption, info.cipher, info.chunkerParams, info.snapshots, info.lastSnapshot?.name],
      [repository.location, 'keyfile', 'aes-256-gcm', 'fastcdc,4K,16K,64K', 2, 'two'],
    )
    assert.match(readFileSync(info.keyFile ?? '', 'utf8'), /cairn_key/)
    const { snapshots } = await listSnapshots(repository.access)
    const sum = (of: (stats: (typeof snapshots)[0]['stats']) => number): number =>
      snapshots.reduce((total, { stats }) => total + of(stats), 0)
    assert.equal(
      info.totals.originalBytes,
      sum((stats) => stats.originalBytes),
    )
    assert.equal(
      info.totals.chunksTotal,
      sum((stats) => stats.chunksTotal),
    )
    assert.equal(
      info.totals.chunksUnique,
      sum((stats) => stats.chunksNew + stats.treeChunksNew),
    )
    const packs = repository.objects('packs/')
    assert.equal(info.packs, packs.length)
    assert.equal(
      info.totals.deduplicatedBytes,
      packs.reduce((total, key) => total + readFileSync(path.join(repository.location, key)).length, 0),
    )
  })

  it('tell about one snapshot', async () => {
    const { snapshots, repository: info } = await snapshotInfo(repository.access, { wanted: ['one'] })
    const [snapshot = assert.fail()] = snapshots
    assert.deepEqual([snapshot.name, snapshot.stats.originalBytes, info.snapshots], ['one', 15, 2])
    await assert.rejects(snapshotInfo(repository.access, { wanted: ['three'] }), { code: 'NOT_FOUND' })
  })

  it('tell about an empty repository', async () => {
    const empty = await TestRepository.create({ encryption: 'none' })
    const info = await repositoryInfo(empty.access)
    assert.deepEqual([info.packs, info.snapshots, info.lastSnapshot, info.keyFile], [0, 0, undefined, undefined])
    assert.deepEqual(info.totals, {
      originalBytes: 0,
      compressedBytes: 0,
      deduplicatedBytes: 0,
      chunksUnique: 0,
      chunksTotal: 0,
      uniqueBytes: 0,
    })
  })
})

describe('a repository with damaged objects', () => {
  it('shows what can be read to whoever wants to know what cannot, and is an error to all others', async () => {
    const damagedRepository = await TestRepository.create()
    for (const name of ['one', 'two', 'three']) {
      const folder = newFolder()
      writeFileSync(`${folder}/${name}`, name)
      await damagedRepository.create([folder], { name })
    }
    const { access, location } = damagedRepository
    const { snapshots } = await listSnapshots(access)
    const [one, two] = snapshots
    const keys = [`commits/${one?.id}`, ...damagedRepository.objects(`index/${two?.id}`)]
    for (const key of keys) {
      const bytes = readFileSync(path.join(location, key))
      bytes[60] = (bytes[60] ?? 0) ^ 4
      writeFileSync(path.join(location, key), bytes)
    }
    await assert.rejects(listSnapshots(access), { code: 'DATA_CORRUPT' })
    await assert.rejects(repositoryInfo(access), { code: 'DATA_CORRUPT' })
    const damaged = new Set<unknown>()
    const tolerant = { ...access, onDamaged: ({ details }: CairnError) => void damaged.add(details['object']) }
    assert.deepEqual(
      (await listSnapshots(tolerant)).snapshots.map(({ name }) => name),
      ['two', 'three'],
    )
    assert.deepEqual([...damaged].sort(), keys)
    assert.equal((await repositoryInfo(tolerant)).snapshots, 2)
    const names: string[] = []
    await listEntries(tolerant, 'three', [], { onEntry: (entry) => void names.push(path.basename(entry.path)) })
    assert.equal(names.at(-1), 'three')
    await assert.rejects(listEntries(tolerant, 'one', [], { onEntry: () => undefined }), { code: 'NOT_FOUND' })
    // What the damaged index object named is unknown now; nothing is made up for it.
    await assert.rejects(
      diffSnapshots(tolerant, 'three', 'two', [], () => undefined),
      { code: 'NOT_FOUND' },
    )
  })
})

describe('opening a repository', () => {
  it('asks for the passphrase again after a wrong one, until it is right or none is given', async () => {
    const locked = await TestRepository.create({ encryption: 'repokey' })
    const asked: number[] = []
    const answers = (...passphrases: (string | undefined)[]): object => ({
      ...locked.access,
      async askPassphrase({ attempt }: { attempt: number }) {
        asked.push(attempt)
        return passphrases[attempt - 1]
      },
    })
    await listSnapshots(answers('wrong', 'secret') as typeof locked.access)
    assert.deepEqual(asked, [1, 2])
    await assert.rejects(listSnapshots(answers('wrong') as typeof locked.access), { code: 'WRONG_PASSWORD' })
    await assert.rejects(listSnapshots(answers() as typeof locked.access), { code: 'WRONG_PASSWORD' })
  })

  it('throws REPOSITORY_NOT_FOUND where there is none', async () => {
    for (const location of [path.join(newFolder(), 'missing'), newFolder()])
      await assert.rejects(listSnapshots({ ...repository.access, location }), { code: 'REPOSITORY_NOT_FOUND' })
  })

  it('throws WRONG_PASSWORD when the key file is missing', async () => {
    await assert.rejects(listSnapshots({ ...repository.access, keyFolder: newFolder() }), { code: 'WRONG_PASSWORD' })
  })
})

describe('initRepository()', () => {
  it('makes the folders above it when told to, for nobody else, and has the settings given from the beginning', async () => {
    const folder = newFolder()
    const location = path.join(folder, 'a/b/c/repo')
    const given = { location, keyFolder: folder, encryption: 'none', passphrase: undefined } as const
    await assert.rejects(initRepository(given), { code: 'INVALID_ARGUMENT', message: /make it first/ })
    assert.deepEqual(readdirSync(folder), [])
    await initRepository({ ...given, makeParents: true, settings: { storageQuota: 12_345_678 } })
    for (const name of ['a', 'a/b', 'a/b/c', 'a/b/c/repo'])
      assert.equal(statSync(path.join(folder, name)).mode & 0o777, 0o700)
    const access = { location, keyFolder: folder, askPassphrase: async () => undefined }
    assert.equal((await getConfig(access, 'storage_quota')).value, 12_345_678)
  })

  it('refuses a second repository in one place, and leaves the first as it is', async () => {
    const { location, keyFolder } = repository.access
    const before = repository.objects('')
    const options = { location, keyFolder, passphrase: 'x' }
    for (const encryption of ['keyfile', 'repokey', 'none'] as const)
      await assert.rejects(initRepository({ ...options, encryption }), { code: 'REPOSITORY_EXISTS' })
    assert.deepEqual(repository.objects(''), before)
  })

  it('refuses chunker parameters that make no sense, and makes nothing', async () => {
    const location = path.join(newFolder(), 'new')
    const options = { location, keyFolder: newFolder(), encryption: 'none', passphrase: undefined } as const
    await assert.rejects(initRepository({ ...options, chunkerParams: 'fastcdc,1,2,3' }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(listSnapshots({ ...repository.access, location }), { code: 'REPOSITORY_NOT_FOUND' })
    await initRepository(options)
  })
})

describe('VERSION', () => {
  it('is that of package.json', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    assert.equal(VERSION, version)
  })
})
