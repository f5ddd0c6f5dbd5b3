import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { SessionId } from '../src/base/ids.ts'
import { changeLabel, changeName } from '../src/repository/labels.ts'
import { FolderKeyFiles } from '../src/repository/key-files.ts'
import { openRepository } from '../src/repository/repository.ts'
import { LocalStorage } from '../src/storage/local/local-storage.ts'
import { rotateKey } from '../src/operations/key.ts'
import { type ForeignNode, ForeignReader } from './format-reader.ts'
import { makeRepoV1 } from './testdata/make-repo-v1.ts'
import { type FixtureEntry, REPO_V1_PASSPHRASE, entriesOf } from './testdata/repo-v1.ts'
import { TestRepository, newFolder } from './testing.ts'

/* What was written from docs/format.md alone reads what the program writes: the document is complete and true. */

const TYPES = { file: 1, dir: 2, symlink: 3 }

/** All nodes below a tree, with their paths in latin1. */
function* walk(reader: ForeignReader, tree: Buffer, folder: string): Generator<[string, ForeignNode]> {
  for (const node of reader.nodes(tree)) {
    const name = folder + node.name.toString('latin1')
    yield [name, node]
    const below = node.tags.get(5)
    if (below) yield* walk(reader, below, `${name}/`)
  }
}

function assertHolds(reader: ForeignReader, node: ForeignNode, entry: FixtureEntry): void {
  assert.deepEqual([node.type, node.mtimeNs], [TYPES[entry.type], entry.mtimeNs], entry.path)
  if (entry.type !== 'symlink') assert.equal(node.mode, entry.mode, entry.path)
  if (entry.type === 'symlink') assert.equal(node.tags.get(3)?.toString('latin1'), entry.target)
  if (entry.type !== 'file') return
  assert.equal(node.sizeBytes, entry.content.length)
  assert.ok(reader.content(node.tags.get(4)).equals(entry.content), entry.path)
}

describe('a repository whose key was rotated, read with docs/format.md', () => {
  for (const encryption of ['repokey', 'keyfile'] as const) {
    it(`gives back what was saved before and after (${encryption})`, async () => {
      const repository = await TestRepository.create({ encryption })
      const [source, askPassphrase] = [newFolder(), async () => 'secret']
      const access = { ...repository.access, askPassphrase }
      writeFileSync(path.join(source, 'file'), 'before')
      await repository.create([source], { name: 'before', access })
      await rotateKey(access)
      writeFileSync(path.join(source, 'file'), 'and after')
      await repository.create([source], { name: 'after', access })

      const files = encryption === 'keyfile' ? readdirSync(access.keyFolder) : []
      const slots = files.map((name) => readFileSync(path.join(access.keyFolder, name), 'utf8'))
      const reader = new ForeignReader(access.location, 'secret', encryption === 'keyfile' ? slots : undefined)
      for (const [name, content] of Object.entries({ before: 'before', after: 'and after' }))
        assert.equal(reader.file(reader.find(name, path.join(source, 'file').slice(1))).toString(), content)
    })
  }
})

/** Opens a repository made by `makeRepoV1`. */
function open(folder: string, encryption: string): ForeignReader {
  const keys = path.join(folder, 'keys')
  const slots =
    encryption === 'keyfile' ? readdirSync(keys).map((name) => readFileSync(path.join(keys, name), 'utf8')) : undefined
  return new ForeignReader(path.join(folder, encryption), REPO_V1_PASSPHRASE, slots)
}

for (const made of ['now', 'by version 1'] as const) {
  describe(`a repository made ${made}, read with docs/format.md`, () => {
    const here = process.cwd()
    let folder = path.join(here, 'test/testdata/repo-v1')
    if (made === 'now') {
      before(async () => {
        folder = mkdtempSync(path.join(tmpdir(), 'cairn-format-'))
        await makeRepoV1(folder, ['zstd'])
        process.chdir(here)
      })
      after(() => rmSync(folder, { recursive: true }))
    }

    for (const encryption of ['repokey', 'keyfile', 'none']) {
      it(`gives every file back (${encryption})`, () => {
        const reader = open(folder, encryption)
        const record = reader.snapshots().get('zstd')
        const entries = entriesOf('zstd').sort((a, b) => Buffer.compare(raw(a.path), raw(b.path)))
        const nodes = new Map(walk(reader, Buffer.from(record?.tree ?? '', 'hex'), ''))
        assert.deepEqual([...nodes.keys()].sort(), entries.map((entry) => entry.path).sort())
        for (const entry of entries) assertHolds(reader, nodes.get(entry.path) as ForeignNode, entry)

        // The fixture has what is rare in it: a directory in several chunks, content with a list.
        const large = reader.find('zstd', 'large').tags.get(4)
        assert.equal(large?.[0], 1)
        const links = reader.find('zstd', 'links')
        assert.equal(reader.chunk(links.tags.get(5) as Buffer)[1], 1)

        // One stamp for each node that is no directory.
        const stamps = reader.content(Buffer.from(String(record?.['stamps']), 'base64'))
        assert.equal(stamps.length, 16 * entries.filter(({ type }) => type !== 'dir').length)
      })
    }

    if (made === 'now') {
      it('has the names, comments and tags that snapshots have now', async () => {
        const storage = await LocalStorage.open(path.join(folder, 'none'))
        const keyFiles = new FolderKeyFiles(path.join(folder, 'keys'))
        const repository = await openRepository(storage, { keyFiles, askPassphrase: async () => undefined })
        const [session] = readdirSync(path.join(folder, 'none/commits')) as [SessionId]
        const [before] = open(folder, 'none').snapshots().values()
        await changeName(repository, session, 'renamed')
        for (let i = 0; i < 10; i++) await changeLabel(repository, session, () => ({ comment: `${i}`, tags: ['t'] }))
        const after = open(folder, 'none').snapshots().get('renamed')
        assert.deepEqual(after, { ...before, name: 'renamed', comment: '9', tags: ['t'] })
        await changeName(repository, session, String(before?.['name']))
        await storage.close()
      })

      it('does not show a snapshot that is forgotten', () => {
        const names = [...open(folder, 'none').snapshots().keys()]
        const [key = ''] = readdirSync(path.join(folder, 'none/commits'))
        mkdirSync(path.join(folder, 'none/forgotten'))
        writeFileSync(path.join(folder, 'none/forgotten', key), '')
        assert.equal(open(folder, 'none').snapshots().size, names.length - 1)
      })
    }

    it('does not open with another passphrase', () => {
      assert.throws(() => new ForeignReader(path.join(folder, 'repokey'), 'wrong'))
    })
  })
}

function raw(latin1: string): Buffer {
  return Buffer.from(latin1, 'latin1')
}
