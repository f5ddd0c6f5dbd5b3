import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { isCairnError } from '../base/errors.ts'
import { makePrivateFolder } from './private-folder.ts'

const scratch = mkdtempSync(path.join(tmpdir(), 'cairn-folder-'))
after(() => rmSync(scratch, { recursive: true }))

describe('makePrivateFolder()', () => {
  it('makes what is missing for the user alone, and leaves what is there', () => {
    chmodSync(scratch, 0o755)
    makePrivateFolder(path.join(scratch, 'a/b'))
    makePrivateFolder(path.join(scratch, 'a/b'))
    const modes = ['', 'a', 'a/b'].map((name) => statSync(path.join(scratch, name)).mode & 0o777)
    assert.deepEqual(modes, [0o755, 0o700, 0o700])
  })

  it('says what is in the way', () => {
    const file = path.join(scratch, 'file')
    writeFileSync(file, '')
    assert.throws(
      () => makePrivateFolder(path.join(file, 'x')),
      (error) => isCairnError(error, 'STORAGE_DENIED') && error.message.includes(file),
    )
  })
})
