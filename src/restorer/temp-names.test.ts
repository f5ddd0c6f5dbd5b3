import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { TempNames } from './temp-names.ts'

const scope = { machine: 'm', boot: 'b', pids: 'p' }
/** A process that has ended, unless its number was taken meanwhile. */
const gone = spawnSync('true').pid

/** A name as that process would have made it. */
function nameOfGone(where: typeof scope): string {
  return new TempNames(where).next().replace(`-${process.pid}-`, `-${gone}-`)
}

describe('TempNames', () => {
  it('gives every name once, and none of its own counts as left over', () => {
    const names = new TempNames(scope)
    const some = Array.from({ length: 100 }, () => names.next())
    assert.equal(new Set(some).size, 100)
    assert.ok(some.every((name) => !names.isLeftover(name) && !names.isLeftover(`${name}-7`)))
  })

  it('knows what a process left that is gone, or one of this machine before it was started anew', () => {
    const names = new TempNames(scope)
    assert.ok(names.isLeftover(nameOfGone(scope)))
    assert.ok(names.isLeftover(`${nameOfGone(scope)}-12`))
    assert.ok(names.isLeftover(new TempNames({ ...scope, boot: 'earlier' }).next()))
  })

  it('leaves alone what is of another machine or container, and what only looks alike', () => {
    const names = new TempNames(scope)
    assert.equal(names.isLeftover(nameOfGone({ ...scope, machine: 'other' })), false)
    assert.equal(names.isLeftover(nameOfGone({ ...scope, pids: 'other' })), false)
    const name = nameOfGone(scope)
    for (const alike of [
      `x${name}`,
      `${name}x`,
      `${name}-1-1`,
      '.cairn-',
      '.cairn-x-1',
      name.replace('.cairn', 'cairn'),
    ])
      assert.equal(names.isLeftover(alike), false, alike)
  })
})
