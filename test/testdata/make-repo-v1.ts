/**
 * Made the repositories below `repo-v1/`, one for each mode of encryption: `node test/testdata/make-repo-v1.ts FOLDER`.
 * Those are never made again, since later versions have to read them as they are; other tests make new ones.
 */
import { chmodSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fromRawName, toSystemPath } from '../../src/base/raw-name.ts'
import { createSnapshot } from '../../src/operations/create.ts'
import { setTimes } from '../../src/platform/native.ts'
import { FolderKeyFiles } from '../../src/repository/key-files.ts'
import { createRepository } from '../../src/repository/create-repository.ts'
import { LocalStorage } from '../../src/storage/local/local-storage.ts'
import { type FixtureEntry, REPO_V1_ENTRIES, REPO_V1_PASSPHRASE, REPO_V1_SNAPSHOTS, addedBy } from './repo-v1.ts'

const MODES = ['repokey', 'keyfile', 'none'] as const

/** Makes the repositories `repokey`, `keyfile` and `none` in `target`, and their key files in `target/keys`. */
export async function makeRepoV1(target: string, snapshots: readonly string[] = REPO_V1_SNAPSHOTS): Promise<void> {
  const source = mkdtempSync(path.join(tmpdir(), 'repo-v1-'))
  process.chdir(source) // so that paths in the snapshots begin here
  try {
    for (const entry of REPO_V1_ENTRIES) make(entry)
    for (const entry of REPO_V1_ENTRIES.toReversed()) finish(source, entry)
    await makeRepositories(target)
    for (const [i, name] of snapshots.entries()) {
      if (i > 0) {
        make(addedBy(name))
        finish(source, addedBy(name))
      }
      for (const encryption of MODES) await makeSnapshot(path.join(target, encryption), path.join(target, 'keys'), name)
    }
  } finally {
    process.chdir(target)
    rmSync(source, { recursive: true })
  }
}

async function makeRepositories(target: string): Promise<void> {
  const argon2 = { memoryKiB: 64, passes: 1, parallelism: 1 }
  const keyFiles = new FolderKeyFiles(path.join(target, 'keys'))
  const chunker = { algorithm: 'fixed', blockBytes: 4096 } as const
  mkdirSync(target, { recursive: true })
  for (const encryption of MODES) {
    const storage = await LocalStorage.create(path.join(target, encryption))
    const passphrase = encryption === 'none' ? undefined : REPO_V1_PASSPHRASE
    await createRepository(storage, { encryption, passphrase, keyFiles, chunker, argon2 })
  }
}

const askPassphrase = async (): Promise<string> => REPO_V1_PASSPHRASE

async function makeSnapshot(location: string, keyFolder: string, name: string): Promise<void> {
  await createSnapshot({ location, keyFolder, askPassphrase }, { name, paths: ['.'], compression: name, workers: 1 })
}

function make(entry: FixtureEntry): void {
  const name = toSystemPath(fromRawName(Buffer.from(entry.path, 'latin1')))
  if (entry.type === 'dir') mkdirSync(name)
  else if (entry.type === 'file') writeFileSync(name, entry.content)
  else symlinkSync(Buffer.from(entry.target, 'latin1'), name)
}

function finish(source: string, entry: FixtureEntry): void {
  const name = fromRawName(Buffer.from(entry.path, 'latin1'))
  if (process.getuid?.() === 0) lchownSync(toSystemPath(name), 1234, 5678)
  if (entry.type !== 'symlink') chmodSync(toSystemPath(name), entry.mode)
  setTimes(`${source}/${name}`, entry.mtimeNs, entry.mtimeNs)
}

if (import.meta.main) await makeRepoV1(path.resolve(process.argv[2] ?? ''))
