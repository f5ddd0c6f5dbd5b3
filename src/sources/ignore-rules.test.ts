import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { IgnoreRules } from './ignore-rules.ts'

// What the rules mean is in ignore-rules-like-git.test.ts.

describe('IgnoreRules.below()', () => {
  it('leaves the rules it is called on as they were', () => {
    const outer = IgnoreRules.none.below('', 'x')
    const inner = outer.below('a', '!x')
    assert.equal(outer.isIgnored('a/x', false), true)
    assert.equal(inner.isIgnored('a/x', false), false)
    assert.equal(inner.isIgnored('x', false), true)
    assert.equal(IgnoreRules.none.isIgnored('x', false), false)
  })

  it('gives back the same rules for a file without any', () => {
    assert.equal(IgnoreRules.none.below('a', '\ufeff# nothing\r\n\n   \n/\n!\n[x'), IgnoreRules.none)
    const rules = IgnoreRules.none.below('', 'x')
    assert.equal(rules.below('a', ''), rules)
  })

  it('has nothing to say on the directory of a file and on paths outside of it', () => {
    const rules = IgnoreRules.none.below('a', '*\n**\n/**')
    for (const path of ['a', 'ab', 'ab/c', 'b', 'b/a/c']) assert.equal(rules.isIgnored(path, true), false, path)
    assert.equal(rules.isIgnored('a/c', true), true)
  })

  it('takes a file of a hundred thousand lines', () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `${i % 2 === 0 ? '' : '!'}name-${i}`).join('\n')
    const rules = IgnoreRules.none.below('', text)
    assert.equal(rules.isIgnored('name-99998', false), true)
    assert.equal(rules.isIgnored('name-99999', false), false)
  })
})

describe('IgnoreRules.isIgnored()', () => {
  it('comes to an end for patterns with many stars and very long ones', () => {
    const long = 'a'.repeat(4000)
    const deep = 'a/'.repeat(2000)
    for (const [pattern, path] of [
      ['*a'.repeat(30) + 'b', long],
      ['/' + '*a'.repeat(30) + 'b', long],
      ['*[!b]'.repeat(30) + 'b', long],
      ['*?'.repeat(30) + 'b', long],
      ['**/a/'.repeat(30) + 'b', `${deep}a`],
      ['**/*a*a*a/'.repeat(30) + 'b', `${'aaaa/'.repeat(800)}a`],
      ['*'.repeat(4000) + 'b', long],
      ['**/'.repeat(1000) + 'b', deep],
      ['?'.repeat(4096), 'a'],
      ['*a'.repeat(2048), 'b'],
      ['[!a]'.repeat(1024), 'a'],
      [' '.repeat(4096), long],
      [`${' '.repeat(100_000)}b${' '.repeat(100_000)}`, long],
    ] as const)
      assert.equal(IgnoreRules.none.below('', pattern).isIgnored(path, false), false)
  })
})

describe('IgnoreRules.isIncluded()', () => {
  const rules = IgnoreRules.none.below('', 'dist/\n/docs\n*.jar\n!/dist/tmp\nsrc/*.ts')

  it('takes what matches and everything below it', () => {
    assert.equal(rules.isIncluded('dist', true), true)
    assert.equal(rules.isIncluded('dist/a/b.js', false), true)
    assert.equal(rules.isIncluded('lib/dist/x', false), true)
    assert.equal(rules.isIncluded('docs', false), true)
    assert.equal(rules.isIncluded('lib/x.jar', false), true)
    assert.equal(rules.isIncluded('x.jar/META-INF/MANIFEST.MF', false), true)
    assert.equal(rules.isIncluded('src/a.ts', false), true)
  })

  it('does not take what no rule is about, nor a file where a directory is wanted', () => {
    assert.equal(rules.isIncluded('src', true), false)
    assert.equal(rules.isIncluded('src/a/b.ts', false), false)
    assert.equal(rules.isIncluded('lib/docs', true), false)
    assert.equal(rules.isIncluded('lib/dist', false), false)
    assert.equal(rules.isIncluded('README', false), false)
    assert.equal(IgnoreRules.none.isIncluded('README', false), false)
  })

  it('lets the nearest rule decide: a part of what is taken can be left out, and a part of that taken again', () => {
    assert.equal(rules.isIncluded('dist/tmp', true), false)
    assert.equal(rules.isIncluded('dist/tmp/x', false), false)
    assert.equal(rules.isIncluded('dist/tmp/x.jar', false), true)
  })

  it('listens to the file of a deeper directory first', () => {
    const inner = rules.below('dist', '!cache\nkeep').below('docs', '!*')
    assert.equal(inner.isIncluded('dist/cache/x', false), false)
    assert.equal(inner.isIncluded('dist/cache/keep', false), true)
    assert.equal(inner.isIncluded('dist/other', false), true)
    assert.equal(inner.isIncluded('docs/x', false), false)
  })
})
