/**
 * Attack: someone who may write to the target of a restore puts a symlink where a directory, a file or the target's own
 * subfolder will be restored, so that a restore by root writes or changes files outside the target.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { testBytes } from '../../src/chunker/testing.ts'
import { TestRepository, issuesOf, newFolder } from '../testing.ts'
import { digestTree } from '../tree-digest.ts'

const source = newFolder()
const inside = source.slice(1)
let repository: TestRepository

before(async () => {
  mkdirSync(`${source}/d/sub`, { recursive: true })
  writeFileSync(`${source}/d/sub/f`, 'x')
  writeFileSync(`${source}/small`, 'small')
  writeFileSync(`${source}/empty`, '')
  writeFileSync(`${source}/large`, testBytes('large', 20 << 20))
  symlinkSync('small', `${source}/link`)
  for (const name of ['d', 'small', 'empty', 'large']) chmodSync(`${source}/${name}`, 0o700)
  repository = await TestRepository.create()
  await repository.create([source])
})

/** Restores over symlinks to a folder and a file outside, and asserts that those are as they were. */
async function expectNothingOutside(plant: (folder: string, outside: string) => void): Promise<string[]> {
  const outside = newFolder()
  mkdirSync(`${outside}/folder/sub`, { recursive: true })
  writeFileSync(`${outside}/file`, testBytes('outside', 20 << 20))
  chmodSync(`${outside}/file`, 0o644)
  const target = newFolder()
  const folder = path.join(target, source)
  mkdirSync(path.dirname(folder), { recursive: true })
  plant(folder, outside)
  const before = digestTree(outside)
  const { events } = await repository.extract({ target })
  assert.deepEqual(digestTree(outside), before)
  return issuesOf(events)
}

describe('a symlink planted in the target of a restore', () => {
  it('is not followed in place of a directory, and nothing below it is restored', async () => {
    const issues = await expectNothingOutside((folder, outside) => {
      mkdirSync(folder)
      symlinkSync(`${outside}/folder`, `${folder}/d`)
    })
    assert.deepEqual(issues, [`EEXIST ${inside}/d`])
  })

  it('is not followed in place of the topmost directory, or of one that is only on the way', async () => {
    assert.deepEqual(await expectNothingOutside((folder, outside) => symlinkSync(`${outside}/folder`, folder)), [
      `EEXIST ${inside}`,
    ])
    const target = newFolder()
    const outside = newFolder()
    const [first = ''] = inside.split('/')
    symlinkSync(outside, `${target}/${first}`)
    const before = digestTree(outside)
    const { events } = await repository.extract({ target })
    assert.deepEqual(issuesOf(events), [`EEXIST ${first}`])
    assert.deepEqual(digestTree(outside), before)
  })

  it('is not followed in place of a file, be it small, empty or written in several jobs', async () => {
    const issues = await expectNothingOutside((folder, outside) => {
      mkdirSync(folder)
      for (const name of ['small', 'empty', 'large']) symlinkSync(`${outside}/file`, `${folder}/${name}`)
    })
    assert.deepEqual(
      issues,
      ['empty', 'large', 'small'].map((name) => `EEXIST ${inside}/${name}`),
    )
  })

  it('is not followed in place of a file when it dangles: nothing is made where it points', async () => {
    const issues = await expectNothingOutside((folder, outside) => {
      mkdirSync(folder)
      for (const name of ['small', 'empty', 'large', 'd']) symlinkSync(`${outside}/new-${name}`, `${folder}/${name}`)
    })
    assert.deepEqual(
      issues,
      ['d', 'empty', 'large', 'small'].map((name) => `EEXIST ${inside}/${name}`),
    )
  })

  it('is not changed in place of a symlink', async () => {
    const issues = await expectNothingOutside((folder, outside) => {
      mkdirSync(folder)
      symlinkSync(`${outside}/file`, `${folder}/link`)
    })
    assert.deepEqual(issues, [`EEXIST ${inside}/link`])
  })
})
