import assert from 'node:assert/strict'
import { readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { newFolder } from '../../test/testing.ts'
import { createSnapshot } from './create.ts'
import { initRepository } from './init.ts'
import { listSnapshots } from './list.ts'
import type { RepositoryAccess } from './repository-access.ts'

/** A repository with that encryption, as somebody else's machine would make it. */
async function makeRepository(location: string, encryption: 'repokey' | 'none', knownFolder?: string): Promise<void> {
  const passphrase = encryption === 'none' ? undefined : 'secret'
  await initRepository({ location, keyFolder: newFolder(), knownFolder, encryption, passphrase })
}

function newAccess(): RepositoryAccess & { readonly knownFolder: string } {
  const folder = newFolder()
  return {
    location: path.join(folder, 'repo'),
    keyFolder: path.join(folder, 'keys'),
    knownFolder: path.join(folder, 'known'),
    askPassphrase: async () => 'secret',
  }
}

const REPLACED = { code: 'REPOSITORY_REPLACED', message: /is not encrypted.*; if that was you, remove \/.* and run/ }

describe('a repository in the place of another one', () => {
  it('is not opened when the other one was encrypted and it is not, and nothing is saved in it', async () => {
    const access = newAccess()
    await makeRepository(access.location, 'repokey')
    await listSnapshots(access)
    renameSync(access.location, `${access.location}.aside`)
    await makeRepository(access.location, 'none')
    const before = readdirSync(access.location, { recursive: true })
    for (const location of [access.location, path.relative(process.cwd(), access.location)])
      await assert.rejects(listSnapshots({ ...access, location }), REPLACED)
    const source = newFolder()
    await assert.rejects(createSnapshot(access, { name: 'n', paths: [source], workers: 1 }), REPLACED)
    assert.deepEqual(readdirSync(access.location, { recursive: true }), before)

    // The message says how to go on.
    const [file = ''] = readdirSync(access.knownFolder)
    assert.equal(statSync(path.join(access.knownFolder, file)).mode & 0o777, 0o600)
    const { location } = JSON.parse(readFileSync(path.join(access.knownFolder, file), 'utf8')) as { location: string }
    assert.equal(location, access.location)
    rmSync(path.join(access.knownFolder, file))
    await listSnapshots(access)
  })

  it('is opened where its owner made it, or was never encrypted', async () => {
    const access = newAccess()
    await makeRepository(access.location, 'repokey')
    await listSnapshots(access)
    rmSync(access.location, { recursive: true })
    await makeRepository(access.location, 'none', access.knownFolder)
    await listSnapshots(access)
    await listSnapshots(access)
  })

  it('is opened where nothing can be remembered', async () => {
    const access = newAccess()
    writeFileSync(access.knownFolder, 'a file')
    await makeRepository(access.location, 'repokey')
    await listSnapshots(access)
    rmSync(access.location, { recursive: true })
    await makeRepository(access.location, 'none')
    await listSnapshots(access)
  })
})
