import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { LocalStorage } from './local/local-storage.ts'
import { RemoteStorage } from './remote/remote-storage.ts'
import { linkOf } from './remote/testing.ts'
import { type ServeFoldersOptions, serveFolders } from './serve-folders.ts'
import { describeStorage } from './suite.ts'

function newFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'cairn-serve-')))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A client that asks a server with these limits for `where`. */
async function open(where: string, options: ServeFoldersOptions & { create?: boolean } = {}): Promise<RemoteStorage> {
  const [up, down] = [new PassThrough(), new PassThrough()]
  serveFolders({ input: up, output: down }, options).catch(() => undefined)
  const request = { path: where, create: options.create ?? false, mayContain: [] }
  return RemoteStorage.open(linkOf(up, down), { location: 'ssh://far/repo', open: request })
}

async function opens(where: string, options: ServeFoldersOptions): Promise<boolean> {
  try {
    await (await open(where, options)).close()
    return true
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'STORAGE_DENIED', `${where}: ${String(error)}`)
    return false
  }
}

describeStorage('LocalStorage, served', async (t) => open(path.join(newFolder(t), 'repo'), { create: true }))

describe('serveFolders()', () => {
  it('makes and opens folders, also below the home folder', async (t) => {
    const folder = newFolder(t)
    const made = await open(`${folder}/repo`, { create: true })
    await made.put('config', Buffer.from('x'))
    await made.close()
    assert.ok(existsSync(`${folder}/repo/config`))
    await assert.rejects(open(`${folder}/none`), { code: 'REPOSITORY_NOT_FOUND', message: /\(at ssh:\/\/far\/repo\)$/ })
    await assert.rejects(open(`${folder}/repo`, { create: true }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(open(`~/no such folder of cairn`), {
      code: 'REPOSITORY_NOT_FOUND',
      message: new RegExp(`at ${homedir()}/no such`),
    })
    await assert.rejects(open('~bob/repo'), { code: 'INVALID_ARGUMENT', message: /full path in place of ~bob/ })
  })

  it('opens nothing outside of the folders it is limited to', async (t) => {
    const folder = newFolder(t)
    for (const name of ['a/repo', 'a/repo/packs', 'ab', 'b']) mkdirSync(path.join(folder, name), { recursive: true })
    symlinkSync(`${folder}/b`, `${folder}/a/link`)
    symlinkSync(`${folder}/a`, `${folder}/c`)
    const limits = { restrictToPaths: [`${folder}/a`] }
    for (const [where, isOpened] of [
      ['a', true],
      ['a/repo', true],
      ['c/repo', true],
      ['a/../a/./repo', true],
      ['ab', false],
      ['b', false],
      ['a/link', false],
      ['a/../b', false],
      ['', false],
      ['none', false],
    ] as const) {
      assert.equal(await opens(`${folder}/${where}`, limits), isOpened, where)
    }
    assert.ok(await opens(`${folder}/b`, { restrictToPaths: ['/'] }))
    assert.equal(await opens(`${folder}/b`, { restrictToPaths: [`${folder}/none`] }), false)
    await assert.rejects(open(`${folder}/b/new`, { ...limits, create: true }), { code: 'STORAGE_DENIED' })
    await assert.rejects(open(`${folder}/a/link/new`, { ...limits, create: true }), { code: 'STORAGE_DENIED' })
    assert.equal(existsSync(`${folder}/b/new`), false)
    await (await open(`${folder}/a/new`, { ...limits, create: true })).close()
  })

  it('opens no folder below a repository that it is limited to', async (t) => {
    const folder = newFolder(t)
    mkdirSync(`${folder}/repo/packs`, { recursive: true })
    const limits = { restrictToRepositories: [`${folder}/repo`, `${folder}/new`] }
    assert.equal(await opens(`${folder}/repo`, limits), true)
    assert.equal(await opens(`${folder}/repo/packs`, limits), false)
    assert.equal(await opens(folder, limits), false)
    await (await open(`${folder}/new`, { ...limits, create: true })).close()
  })

  it('guards what it opens', async (t) => {
    const folder = newFolder(t)
    await LocalStorage.create(`${folder}/repo`)
    const storage = await open(`${folder}/repo`, { appendOnly: true, quotaBytes: 10 })
    await storage.put('packs/a', Buffer.from('x'))
    await assert.rejects(storage.delete('packs/a'), { code: 'STORAGE_DENIED' })
    await assert.rejects(storage.put('packs/b', new Uint8Array(11)), { code: 'STORAGE_FULL' })
    await storage.close()
  })
})
