import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { interpretPositionals, snapshotPaths, type PositionalOptions } from './positionals.ts'

type Row = [line: string, repository: string | undefined, snapshot: string | undefined, rest: string[]]
const none = undefined

/** Reads `a b -- c` as the arguments a b c, of which the last is literal. */
function interpret(line: string, wants: PositionalOptions['wants'], repositoryKnown: boolean): object {
  const words = line.split(' ').filter(Boolean)
  const end = words.indexOf('--')
  const literals = end < 0 ? 0 : words.length - end - 1
  const values = words.filter((_, at) => at !== end)
  return interpretPositionals(values, { wants, literals, repositoryKnown })
}

function table(title: string, wants: PositionalOptions['wants'], repositoryKnown: boolean, rows: Row[]): void {
  describe(title, () => {
    for (const [line, repository, snapshot, rest] of rows) {
      it(`${line || '(nothing)'} → ${repository ?? '-'} ${snapshot ?? '-'} [${rest.join(' ')}]`, () => {
        assert.deepEqual(interpret(line, wants, repositoryKnown), { repository, snapshot, rest })
      })
    }
  })
}

table('create without -r or variable', 'paths', false, [
  ['', none, none, []],
  ['r::monday /a b', 'r', 'monday', ['/a', 'b']],
  ['./r::monday a', './r', 'monday', ['a']],
  ['../r::monday a', '../r', 'monday', ['a']],
  ['/mnt/r::{hostname}-{now} a', '/mnt/r', '{hostname}-{now}', ['a']],
  ['r::gaia_data-2022-10-04T13:23:07 a', 'r', 'gaia_data-2022-10-04T13:23:07', ['a']],
  ['asus:~/Documents/borgrepo::x a', 'asus:~/Documents/borgrepo', 'x', ['a']],
  ['ssh://u@h:22/./r::x a', 'ssh://u@h:22/./r', 'x', ['a']],
  ['ssh://u@[2001:db8::1]:22/./r::x:y a', 'ssh://u@[2001:db8::1]:22/./r', 'x:y', ['a']],
  ['u@[::1]:r::x a', 'u@[::1]:r', 'x', ['a']],
  ['::monday a', none, 'monday', ['a']],
  ['r:: a', 'r', none, ['a']],
  ['/a b c', none, none, ['/a', 'b', 'c']],
  ['a b::c', none, none, ['a', 'b::c']],
  ['-- a::b', none, none, ['a::b']],
  ['-- a::b c', none, none, ['a::b', 'c']],
  ['r::monday -- a::b', 'r', 'monday', ['a::b']],
])

table('create with -r or variable', 'paths', true, [
  ['a b', none, none, ['a', 'b']],
  ['::monday a', none, 'monday', ['a']],
  ['s::monday a', 's', 'monday', ['a']],
  ['./a::b c', none, none, ['./a::b', 'c']],
  ['../a::b', none, none, ['../a::b']],
  ['-- ::a', none, none, ['::a']],
])

table('mount without -r or variable', 'folder', false, [
  ['', none, none, []],
  ['/mnt', none, none, ['/mnt']],
  ['r /mnt', 'r', none, ['/mnt']],
  ['r /mnt a b', 'r', none, ['/mnt', 'a', 'b']],
  ['r::monday /mnt', 'r', 'monday', ['/mnt']],
  ['latest /mnt', none, 'latest', ['/mnt']],
])

table('mount with -r or variable', 'folder', true, [
  ['mnt', none, none, ['mnt']],
  ['monday mnt', none, 'monday', ['mnt']],
  ['monday mnt a', none, 'monday', ['mnt', 'a']],
  ['/mnt a', none, none, ['/mnt', 'a']],
  ['./mnt a', none, none, ['./mnt', 'a']],
  ['::monday mnt', none, 'monday', ['mnt']],
])

table('list and info without -r or variable', 'repository', false, [
  ['', none, none, []],
  ['/mnt/r', '/mnt/r', none, []],
  ['r', 'r', none, []],
  ['r::monday', 'r', 'monday', []],
  ['r::monday a b', 'r', 'monday', ['a', 'b']],
  ['r monday a', 'r', 'monday', ['a']],
  ['::latest', none, 'latest', []],
  ['latest a', none, 'latest', ['a']],
  ['./latest', './latest', none, []],
  ['r::', 'r', none, []],
])

table('list and info with -r or variable', 'repository', true, [
  ['', none, none, []],
  ['monday', none, 'monday', []],
  ['latest a/b', none, 'latest', ['a/b']],
  ['::monday a', none, 'monday', ['a']],
  ['s::monday', 's', 'monday', []],
  ['/mnt/s', '/mnt/s', none, []], // cannot be a snapshot
  ['/mnt/s monday', '/mnt/s', 'monday', []],
])

for (const known of [false, true]) {
  table(`extract, restore and diff ${known ? 'with' : 'without'} -r or variable`, 'snapshot', known, [
    ['', none, none, []],
    ['r::monday a', 'r', 'monday', ['a']],
    ['monday tuesday a', none, 'monday', ['tuesday', 'a']],
    ['::monday tuesday', none, 'monday', ['tuesday']],
    ['/home/ann b', none, none, ['/home/ann', 'b']],
  ])
  table(`init ${known ? 'with' : 'without'} -r or variable`, 'location', known, [
    ['r', 'r', none, []],
    ['/mnt/r', '/mnt/r', none, []],
    ['r::monday', 'r', 'monday', []],
  ])
}

describe('snapshotPaths()', () => {
  it('takes paths as people write them', () => {
    assert.deepEqual(snapshotPaths(['/home/ann/', './a//b', 'c/../d']), ['home/ann', 'a/b', 'c/../d'])
  })

  it('takes the root as everything', () => {
    for (const root of ['/', '.', './', '']) assert.deepEqual(snapshotPaths(['a', root]), [])
  })
})
