/** What is exported of a part of a snapshot: hard links whose first name is not in it, and paths without their first names. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { type ExportOptions, exportSnapshot } from '../../src/operations/export.ts'
import { TestRepository, hasCommand, needs, newFolder } from '../testing.ts'

const skip = needs(hasCommand('tar', '--version'), 'needs tar')
let repository: TestRepository

before(async () => {
  const source = newFolder()
  for (const folder of ['a', 'b', 'c', 'c/d']) mkdirSync(`${source}/${folder}`)
  writeFileSync(`${source}/a/x`, 'one')
  for (const name of ['c/y', 'c/d/z']) linkSync(`${source}/a/x`, `${source}/${name}`)
  writeFileSync(`${source}/b/x`, 'two')
  repository = await TestRepository.create({ encryption: 'none' })
  const here = process.cwd()
  process.chdir(source)
  await repository.create(['.'], { name: 'all' })
  process.chdir(here)
})

/** Where tar puts what is exported. */
async function extracted(part: Partial<ExportOptions>): Promise<string> {
  const file = path.join(newFolder(), 'a.tar')
  const target = { file, replace: false }
  await exportSnapshot(repository.access, { snapshot: 'all', paths: [], format: 'tar', target, ...part })
  const folder = newFolder()
  execFileSync('tar', ['-xf', file], { cwd: folder })
  return folder
}

describe('an exported part of a snapshot', { skip }, () => {
  for (const [how, part] of [
    ['paths', { paths: ['c'] }],
    ['an excluded name', { patterns: [{ kind: 'exclude', value: 'a/x' }] }],
    ['an excluded folder', { patterns: [{ kind: 'exclude', value: 'a' }] }],
  ] as const) {
    it(`has content for the first of the names that are in it: ${how}`, async () => {
      const folder = await extracted(part)
      assert.equal(readFileSync(`${folder}/c/y`, 'utf8'), 'one')
      assert.equal(statSync(`${folder}/c/y`).ino, statSync(`${folder}/c/d/z`).ino)
      assert.equal(statSync(`${folder}/c/y`).nlink, 2)
    })
  }

  it('has links between paths without their first names', async () => {
    const folder = await extracted({ paths: ['a', 'c'], stripComponents: 1 })
    assert.deepEqual(readdirSync(folder).sort(), ['d', 'x', 'y'])
    for (const name of ['x', 'y', 'd/z']) assert.equal(readFileSync(`${folder}/${name}`, 'utf8'), 'one')
    assert.equal(statSync(`${folder}/x`).nlink, 3)
  })

  it('is refused where two entries come to one place, and one would have the name of the other', async () => {
    await assert.rejects(extracted({ stripComponents: 1 }), {
      code: 'INVALID_ARGUMENT',
      message: /b\/x: .* where a\/x is/,
    })
  })
})
