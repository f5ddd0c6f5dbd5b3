/** Words that are offered for values are those that commands take; what takes them says so itself. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TestRepository } from '../../../test/testing.ts'
import { COMPRESSION_CODES } from '../../codec/compression.ts'
import { listConfig } from '../../operations/config.ts'
import { collectFuseOptions } from '../mount-options.ts'
import { parseSortKeys } from '../option-values.ts'
import { parseGroupBy } from '../prune-options.ts'
import { kindOfValue } from './values.ts'

const wordsOf = (name: string): string[] => [...(kindOfValue(name, undefined).words ?? assert.fail(name))]

describe('words offered', () => {
  it('as ALGORITHM are all that there are', () => {
    assert.deepEqual(wordsOf('ALGORITHM').sort(), Object.keys(COMPRESSION_CODES).sort())
  })

  it('as KEYS, FIELDS and OPTIONS are taken, one by one and together', () => {
    for (const [name, parse] of [
      ['KEYS', parseSortKeys],
      ['FIELDS', parseGroupBy],
      ['OPTIONS', (text: string) => collectFuseOptions(text.replaceAll(/=(?=,|$)/g, '=1'))],
    ] as const) {
      const words = wordsOf(name)
      assert.ok(words.length > 2)
      for (const text of [...words, words.join(',')]) assert.doesNotThrow(() => parse(text), text)
    }
  })

  it('as SETTING are those of a repository', async () => {
    const { access } = await TestRepository.create()
    const settings = (await listConfig(access)).map(({ name }) => name)
    assert.deepEqual(wordsOf('SETTING').sort(), settings.sort())
  })
})
