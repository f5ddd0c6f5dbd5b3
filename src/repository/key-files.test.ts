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
    assert.equal(await keyFiles.load(ID), undefined)
    const file = await keyFiles.save(ID, 'a slot\n')
    assert.equal(file, path.join(folder, `${ID}.key`))
    assert.equal(file, keyFiles.pathOf(ID))
    assert.equal(readFileSync(file, 'utf8'), 'a slot\n')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    assert.deepEqual(readdirSync(folder), [`${ID}.key`])
    assert.equal(await new FolderKeyFiles(folder).load(ID), 'a slot\n')
  })

  it('never replaces a key file', async () => {
    const keyFiles = new FolderKeyFiles(path.join(root, 'twice'))
    await keyFiles.save(ID, 'first')
    await assert.rejects(keyFiles.save(ID, 'second'), { code: 'STORAGE_DENIED', message: new RegExp(`${ID}\\.key`) })
    assert.equal(await keyFiles.load(ID), 'first')
    assert.deepEqual(readdirSync(path.join(root, 'twice')), [`${ID}.key`])
  })

  it('says what stands in its way, and what to do', async () => {
    const file = path.join(root, 'a file')
    writeFileSync(file, '')
    const keyFiles = new FolderKeyFiles(file)
    await assert.rejects(keyFiles.save(ID, 'x'), { code: 'STORAGE_DENIED', message: /CAIRN_KEYS_DIR/ })
    await assert.rejects(keyFiles.load(ID), { code: 'WRONG_PASSWORD', message: /Cannot read the key file/ })
  })
})
