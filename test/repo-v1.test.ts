import assert from 'node:assert/strict'
import { cpSync, lstatSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { fromRawName, toRawName, toSystemPath } from '../src/base/raw-name.ts'
import { createSnapshot } from '../src/operations/create.ts'
import { extractSnapshot } from '../src/operations/extract.ts'
import { listEntries, listSnapshots } from '../src/operations/list.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import type { EntryInfo } from '../src/operations/snapshot-info.ts'
import { type FixtureEntry, REPO_V1_PASSPHRASE, REPO_V1_SNAPSHOTS, entriesOf } from './testdata/repo-v1.ts'

/* Repositories made by the first version, one for each mode of encryption: read by every version that follows. */

// Copies: nothing that a test does may change the fixtures.
const folder = mkdtempSync(path.join(tmpdir(), 'cairn-repo-v1-'))
cpSync('test/testdata/repo-v1', folder, { recursive: true })
after(() => rmSync(folder, { recursive: true, force: true }))

async function askPassphrase({ attempt }: { attempt: number }): Promise<string | undefined> {
  return attempt === 1 ? REPO_V1_PASSPHRASE : undefined
}

function accessTo(encryption: string): RepositoryAccess {
  return { location: path.join(folder, encryption), keyFolder: path.join(folder, 'keys'), askPassphrase }
}

function byPath(entries: readonly FixtureEntry[]): Map<string, FixtureEntry> {
  return new Map(entries.map((entry) => [entry.path, entry]))
}

function latin1(rawName: string): string {
  return toRawName(rawName).toString('latin1')
}

function assertListed(info: EntryInfo, entry: FixtureEntry | undefined): void {
  assert.ok(entry, info.path)
  assert.deepEqual([info.type, info.mtimeNs], [entry.type, entry.mtimeNs], info.path)
  if (entry.type === 'symlink') assert.equal(latin1(info.linkTarget ?? ''), entry.target)
  else assert.equal(info.mode, entry.mode, info.path)
  if (entry.type === 'file') assert.equal(info.sizeBytes, entry.content.length)
  assert.deepEqual([info.uid, info.gid], [1234, 5678])
}

/** Checks one restored entry; owners only where the test may set them. */
function assertRestored(target: string, entry: FixtureEntry): void {
  const file = toSystemPath(`${target}/${fromRawName(Buffer.from(entry.path, 'latin1'))}`)
  const stats = lstatSync(file, { bigint: true })
  const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'dir' : 'symlink'
  assert.deepEqual([type, stats.mtimeNs], [entry.type, entry.mtimeNs], entry.path)
  if (entry.type === 'symlink') assert.equal(readlinkSync(file, 'latin1'), entry.target)
  else assert.equal(Number(stats.mode) & 0o7777, entry.mode, entry.path)
  if (entry.type === 'file') assert.ok(readFileSync(file).equals(entry.content), entry.path)
  if (process.getuid?.() === 0) assert.deepEqual([stats.uid, stats.gid], [1234n, 5678n])
}

async function extract(access: RepositoryAccess, snapshot: string): Promise<string> {
  const target = mkdtempSync(path.join(folder, 'restored-'))
  const result = await extractSnapshot(access, { snapshot, paths: [], target, workers: 1 })
  assert.equal(result.issues, 0)
  return target
}

describe('a repository of format version 1', () => {
  for (const encryption of ['repokey', 'keyfile', 'none']) {
    it(`is listed and restored (${encryption})`, async () => {
      const access = accessTo(encryption)
      const { snapshots, encryption: mode } = await listSnapshots(access)
      assert.equal(mode, encryption)
      assert.deepEqual(
        snapshots.map(({ name }) => name),
        REPO_V1_SNAPSHOTS,
      )
      for (const name of REPO_V1_SNAPSHOTS) {
        const wanted = byPath(entriesOf(name))
        let listed = 0
        await listEntries(access, name, [], {
          onEntry: (info) => {
            listed++
            assertListed(info, wanted.get(latin1(info.path)))
          },
        })
        assert.equal(listed, wanted.size)
      }

      const target = await extract(access, 'latest')
      const wanted = byPath(entriesOf('lzma'))
      const found = readdirSync(target, { recursive: true, encoding: 'latin1' })
      assert.deepEqual(found.sort(), [...wanted.keys()].sort())
      for (const entry of wanted.values()) assertRestored(target, entry)
    })
  }

  it('takes snapshots of this version beside its own', async () => {
    const access = accessTo('repokey')
    const source = mkdtempSync(path.join(folder, 'source-'))
    writeFileSync(path.join(source, 'new'), 'added by this version')
    await createSnapshot(access, { name: 'new', paths: [source], workers: 1 })
    const target = await extract(access, 'new')
    assert.equal(readFileSync(path.join(target, source, 'new'), 'utf8'), 'added by this version')
    const old = await extract(access, 'zlib')
    for (const entry of entriesOf('zlib')) assertRestored(old, entry)
  })

  it('keeps its secrets', async () => {
    const access = { ...accessTo('repokey'), askPassphrase: async () => undefined }
    await assert.rejects(listSnapshots(access), { code: 'WRONG_PASSWORD' })
    const keyFolder = path.join(folder, 'no keys')
    await assert.rejects(listSnapshots({ ...accessTo('keyfile'), keyFolder }), { code: 'WRONG_PASSWORD' })
  })
})
