/** Restoring to where something is already: it is never overwritten. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { TestRepository, issuesOf, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
const inside = source.slice(1)
let repository: TestRepository

/** Spans several stretches of a pack, so that several jobs write it. */
const LARGE = testBytes('large', 20 << 20)

before(async () => {
  mkdirSync(`${source}/d`)
  writeFileSync(`${source}/d/f`, 'from the snapshot')
  writeFileSync(`${source}/empty`, '')
  writeFileSync(`${source}/large`, LARGE)
  symlinkSync('d', `${source}/link`)
  repository = await TestRepository.create()
  await repository.create([source])
})

/** A target in which `make` has put something at the place of the restored folder. */
function newTarget(make: (folder: string) => void): { target: string; folder: string } {
  const target = newFolder()
  const folder = path.join(target, source)
  mkdirSync(folder, { recursive: true })
  make(folder)
  return { target, folder }
}

describe('restoring to where something is', () => {
  it('refuses files and symlinks that are there, leaves them alone, and restores the rest', async () => {
    const { target, folder } = newTarget((folder) => {
      mkdirSync(`${folder}/d`)
      for (const name of ['d/f', 'empty', 'link']) {
        writeFileSync(`${folder}/${name}`, 'mine')
        utimesSync(`${folder}/${name}`, 1000, 1000)
      }
      chmodSync(`${folder}/empty`, 0o640)
    })
    const paths = ['d/f', 'empty', 'link']
    const before = paths.map((name) => digestTree(`${folder}/${name}`))
    const { events, issues, files } = await repository.extract({ target })
    assert.deepEqual(
      issuesOf(events),
      paths.map((name) => `EEXIST ${inside}/${name}`),
    )
    assert.deepEqual([issues, files], [3, 1])
    assert.deepEqual(
      paths.map((name) => digestTree(`${folder}/${name}`)),
      before,
    )
    assert.ok(readFileSync(`${folder}/large`).equals(LARGE))
  })

  it('leaves a large file alone too, whose content would come in several jobs', async () => {
    const { target, folder } = newTarget((folder) => writeFileSync(`${folder}/large`, 'mine'))
    const before = digestTree(`${folder}/large`)
    const { events } = await repository.extract({ target })
    assert.deepEqual(issuesOf(events), [`EEXIST ${inside}/large`])
    assert.deepEqual(digestTree(`${folder}/large`), before)
    assert.equal(readFileSync(`${folder}/d/f`, 'utf8'), 'from the snapshot')
  })

  it('does not write into a file that a name in the target is a hard link of', async () => {
    const precious = path.join(newFolder(), 'precious')
    writeFileSync(precious, testBytes('precious', LARGE.length))
    const { target } = newTarget((folder) => {
      linkSync(precious, `${folder}/large`)
      linkSync(precious, `${folder}/empty`)
    })
    const before = digestTree(precious)
    const { events } = await repository.extract({ target })
    assert.deepEqual(issuesOf(events), [`EEXIST ${inside}/empty`, `EEXIST ${inside}/large`])
    assert.deepEqual(digestTree(precious), before)
  })

  it('refuses every entry of a second restore into the same folder, and changes nothing', async () => {
    const { target } = await repository.extract()
    const before = digestTree(path.join(target, source))
    const { events, issues, files, directories } = await repository.extract({ target })
    assert.deepEqual(
      issuesOf(events),
      ['d/f', 'empty', 'large', 'link'].map((name) => `EEXIST ${inside}/${name}`),
    )
    assert.deepEqual([issues, files], [4, 0])
    assert.ok(directories >= 2)
    assert.deepEqual(digestTree(path.join(target, source)), before)
  })

  it('restores into directories that are there and keeps what is in them', async () => {
    const { target, folder } = newTarget((folder) => {
      mkdirSync(`${folder}/d`)
      writeFileSync(`${folder}/d/mine`, 'mine')
    })
    const { issues } = await repository.extract({ target })
    assert.equal(issues, 0)
    assert.equal(readFileSync(`${folder}/d/mine`, 'utf8'), 'mine')
    rmSync(`${folder}/d/mine`)
    utimesSync(`${folder}/d`, 0, 0)
    utimesSync(`${source}/d`, 0, 0)
    assert.deepEqual(digestTree(`${folder}/d`), digestTree(`${source}/d`))
  })

  it('passes over a directory whose name is taken by a file, with all that lies in it', async () => {
    const { target, folder } = newTarget((folder) => writeFileSync(`${folder}/d`, 'mine'))
    const { events } = await repository.extract({ target })
    assert.deepEqual(issuesOf(events), [`EEXIST ${inside}/d`])
    assert.equal(readFileSync(`${folder}/d`, 'utf8'), 'mine')
  })

  it('ends in TARGET_FAILED when the target is a file or lies below one', async () => {
    const file = path.join(newFolder(), 'file')
    writeFileSync(file, 'mine')
    for (const target of [file, `${file}/below`, `${file}/far/below`]) {
      const events: never[] = []
      await assert.rejects(repository.extract({ target, events }), { code: 'TARGET_FAILED', message: /another folder/ })
      assert.deepEqual(issuesOf(events), [])
    }
    assert.equal(readFileSync(file, 'utf8'), 'mine')
    assert.equal(existsSync(`${file}.tmp`), false)
  })
})
