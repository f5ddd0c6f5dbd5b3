import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isCairnError } from '../base/errors.ts'
import { checkSnapshotName } from './snapshot-name.ts'

describe('checkSnapshotName()', () => {
  for (const name of [
    'monday',
    'vm-2026-11-21T13:44:05',
    'a b',
    'ä ö',
    'gaia_data::x',
    '日本',
    '.hidden',
    'x'.repeat(200),
  ]) {
    it(`takes ${JSON.stringify(name)}`, () => checkSnapshotName(name))
  }
  const bad = [
    '',
    'a/b',
    '/',
    ' a',
    'a ',
    'a\nb',
    '\u001B[2J',
    'a\u0085',
    'a\u2028b',
    '\uDCE9',
    'latest',
    '.',
    '..',
    'x'.repeat(201),
  ]
  for (const name of bad) {
    it(`refuses ${JSON.stringify(name)}`, () => {
      assert.throws(
        () => checkSnapshotName(name),
        (error) => isCairnError(error, 'INVALID_ARGUMENT') && error.message.isWellFormed(),
      )
    })
  }
})
