import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { FolderKeyFiles } from './key-files.ts'

const ID = '00112233445566778899aabbccddeeff'
const root = mkdtempSync(path.join(tmpdir(), 'cairn-keys-'))
after(() => rmSync(root, { recursive: true }))

describe('FolderKeyFiles', () => {
  it('keeps one file a repository, for its owner alone, in a folder that it makes', async () => {
    const folder = path.join(root, 'config', 'keys')
    const keyFiles = new FolderKeyFiles(folder)
    assert.deepEqual(await keyFiles.list(ID), [])
    const file = await keyFiles.save(ID, 'a slot\n')
    assert.equal(file, path.join(folder, `${ID}.key`))
    assert.equal(file, keyFiles.pathOf(ID))
    assert.equal(readFileSync(file, 'utf8'), 'a slot\n')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    assert.deepEqual(readdirSync(folder), [`${ID}.key`])
    assert.deepEqual(await new FolderKeyFiles(folder).list(ID), [{ path: file, text: 'a slot\n' }])
  })

  it('keeps several of a repository, and never replaces one', async () => {
    const folder = path.join(root, 'twice')
    const keyFiles = new FolderKeyFiles(folder)
    const first = await keyFiles.save(ID, 'first')
    const second = await keyFiles.save(ID, 'second')
    await keyFiles.save(ID.replace('00', 'ff'), 'of another repository')
    assert.match(path.basename(second), new RegExp(`^${ID}-[0-9a-f]{16}\\.key$`))
    writeFileSync(path.join(folder, `${ID}.key.old`), 'no key file')
    const texts = async (): Promise<string[]> => (await keyFiles.list(ID)).map(({ text }) => text).sort()
    assert.deepEqual(await texts(), ['first', 'second'])
    assert.equal(await keyFiles.moveToFront(ID, second), second)
    await keyFiles.remove({ path: first, text: 'something else' })
    assert.deepEqual(await texts(), ['first', 'second'])
    assert.equal(readFileSync(first, 'utf8'), 'first')
    await keyFiles.remove({ path: first, text: 'first' })
    await keyFiles.remove({ path: first, text: 'first' })
    assert.deepEqual(await texts(), ['second'])
    assert.equal(await keyFiles.moveToFront(ID, second), first)
    assert.equal(await keyFiles.moveToFront(ID, first), first)
    assert.deepEqual(await keyFiles.list(ID), [{ path: first, text: 'second' }])
    assert.equal(statSync(first).mode & 0o777, 0o600)
    assert.equal(readdirSync(folder).length, 3)
  })

  it('says what stands in its way, and what to do', async () => {
    const file = path.join(root, 'a file')
    writeFileSync(file, '')
    const keyFiles = new FolderKeyFiles(file)
    await assert.rejects(keyFiles.save(ID, 'x'), { code: 'STORAGE_DENIED', message: /CAIRN_KEYS_DIR/ })
    await assert.rejects(keyFiles.list(ID), { code: 'WRONG_PASSWORD', message: /Cannot read the key file/ })
  })
})
