import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { findDifference } from './verify.ts'

/** A source tree with an exact copy of it below a target folder, at its last name or at its whole path. */
function makeTrees(t: TestContext, whole = false): { source: string; target: string; copy: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-bench-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const source = path.join(folder, 'tree')
  const target = path.join(folder, 'target')
  mkdirSync(path.join(source, 'inner'), { recursive: true })
  writeFileSync(path.join(source, 'inner', 'file'), Buffer.alloc(3_000_000, 'content'))
  writeFileSync(Buffer.concat([Buffer.from(`${source}/caf`), Buffer.of(0xe9)]), 'a name that is not UTF-8')
  symlinkSync('inner/file', path.join(source, 'link'))
  const copy = path.join(target, whole ? source : 'tree')
  cpSync(source, copy, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
  // cpSync keeps neither such a name nor the times of folders.
  writeFileSync(Buffer.concat([Buffer.from(`${copy}/caf`), Buffer.of(0xe9)]), 'a name that is not UTF-8')
  for (const root of [source, copy]) {
    for (const name of [
      Buffer.from('/inner/file'),
      Buffer.from('/inner'),
      Buffer.from([0x2f, 0x63, 0x61, 0x66, 0xe9]),
    ]) {
      utimesSync(Buffer.concat([Buffer.from(root), name]), 1000, 1000)
    }
    utimesSync(root, 1000, 1000)
  }
  return { source, target, copy }
}

describe('findDifference()', () => {
  it('finds none between exact copies', (t) => {
    const { source, target } = makeTrees(t)
    assert.equal(findDifference(source, target), undefined)
  })

  it('finds the copy at its whole path too, and says when there is none', (t) => {
    const { source, target } = makeTrees(t, true)
    assert.equal(findDifference(source, target), undefined)
    assert.equal(findDifference(source, path.join(target, 'nothing')), `${source} is missing`)
  })

  const damages: Record<string, (copy: string) => void> = {
    'the content of .*file differs': (copy) => {
      writeFileSync(path.join(copy, 'inner/file'), Buffer.alloc(3_000_000, 'contenT'))
      utimesSync(path.join(copy, 'inner/file'), 1000, 1000)
    },
    'content .*file differs': (copy) => {
      truncateSync(path.join(copy, 'inner/file'), 2_999_999)
      utimesSync(path.join(copy, 'inner/file'), 1000, 1000)
    },
    'the mode of .*inner differs': (copy) => chmodSync(path.join(copy, 'inner'), 0o700),
    'the time of .*file differs': (copy) => utimesSync(path.join(copy, 'inner/file'), 1000, 1001),
    'target of the link .*link differs': (copy) => {
      unlinkSync(path.join(copy, 'link'))
      symlinkSync('inner', path.join(copy, 'link'))
      utimesSync(copy, 1000, 1000)
    },
    'link is restored as a file, not a link': (copy) => {
      unlinkSync(path.join(copy, 'link'))
      writeFileSync(path.join(copy, 'link'), '')
      utimesSync(copy, 1000, 1000)
    },
    'link is missing': (copy) => {
      unlinkSync(path.join(copy, 'link'))
      utimesSync(copy, 1000, 1000)
    },
    'extra is not at the source': (copy) => {
      writeFileSync(path.join(copy, 'extra'), '')
      utimesSync(copy, 1000, 1000)
    },
  }
  for (const [message, damage] of Object.entries(damages)) {
    it(`reports: ${message}`, (t) => {
      const { source, target, copy } = makeTrees(t)
      damage(copy)
      assert.match(String(findDifference(source, target)), new RegExp(message))
    })
  }
})
