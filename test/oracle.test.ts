/** Nothing that a file has is lost: a tree with everything in it comes back the same, and has all that Borg brings back of it. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { type TestContext, after, describe, it } from 'node:test'
import { hasPrograms, newFileSystem, skip } from '../src/platform/testing.ts'
import { makeRareTree, unlockRareTree } from './rare-tree.ts'
import { AS_NOBODY, CAN_BE_NOBODY, IS_ROOT, TestRepository, needs, newFolder, runScript } from './testing.ts'
import { makeTortureTree } from './torture-tree.ts'
import { digestTree } from './tree-digest.ts'

interface Place {
  readonly source: string
  /** An empty folder on the same file system. */
  readonly target: string
}

/** A source with everything, and room to restore it. */
function newPlace(t: TestContext): Place | undefined {
  if (!hasPrograms(t, 'setfacl', 'setcap', 'chattr', 'python3')) return undefined
  const system = newFileSystem(t, 'ext4', { format: ['-b', '4096'] })
  if (!system) return undefined
  const source = path.join(system.directory, 'source')
  const target = path.join(system.directory, 'target')
  mkdirSync(source)
  mkdirSync(target)
  mkdirSync(`${source}/torture`)
  makeTortureTree(`${source}/torture`)
  mkdirSync(`${source}/rare`)
  makeRareTree(`${source}/rare`)
  t.after(() => unlockRareTree(system.directory))
  return { source, target }
}

/** Runs `paths` relative to another working directory, as `cairn backup .` is. */
async function inside<T>(folder: string, action: () => Promise<T>): Promise<T> {
  const before = process.cwd()
  process.chdir(folder)
  try {
    return await action()
  } finally {
    process.chdir(before)
  }
}

function blocks(folder: string): number {
  return statSync(`${folder}/rare/sparse/large`).blocks
}

/** What anybody may restore. */
function strip(lines: readonly string[]): string[] {
  return lines.filter((line) => /^"torture\/(names|sizes|deep|wide|links|times)/.test(line))
}

describe('a tree with everything in it', { skip: needs(IS_ROOT, 'needs root') }, () => {
  it('comes back the same, with the same tree id, and with any number of workers', async (t) => {
    const place = newPlace(t)
    if (!place) return
    const { source, target } = place
    const want = digestTree(source)
    assert.ok(want.length > 700)
    const repository = await TestRepository.create()
    const one = await inside(source, () => repository.create(['.'], { listEntries: false }))
    assert.equal(one.issues, 0)
    const four = await inside(source, () =>
      repository.create(['.'], { listEntries: false, workers: 4, detect: 'full-hash' }),
    )
    assert.equal(four.snapshot.tree, one.snapshot.tree)
    assert.deepEqual(digestTree(source), want) // looking at it changes nothing of it

    const restored = await repository.extract({ target, workers: 2, listEntries: false })
    assert.equal(restored.issues, 0)
    assert.deepEqual(digestTree(target), want)
    const again = await inside(target, () => repository.create(['.'], { listEntries: false }))
    assert.equal(again.snapshot.tree, one.snapshot.tree)
    // As sparse as it was.
    assert.ok(blocks(target) <= blocks(source) + 8, `${blocks(target)} blocks`)
  })

  it('has all that Borg brings back of it', async (t) => {
    if (!hasPrograms(t, 'borg')) return
    const place = newPlace(t)
    if (!place) return
    const { source, target } = place
    const want = digestTree(source)
    const home = newFolder()
    const env = {
      ...process.env,
      BORG_BASE_DIR: home,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      LC_ALL: 'C.UTF-8',
    }
    const borg = (cwd: string, ...args: string[]): void => {
      const { status, stderr } = spawnSync('borg', args, { cwd, env, encoding: 'utf8' })
      assert.ok(status === 0 || status === 1, stderr)
    }
    borg(source, 'init', '--encryption=none', `${home}/repo`)
    borg(source, 'create', '--sparse', `${home}/repo::all`, '.')
    borg(target, 'extract', '--sparse', `${home}/repo::all`)
    const byBorg = new Set(digestTree(target))
    const kept = want.filter((line) => byBorg.has(line))
    assert.ok(kept.length > want.length * 0.9, `Borg brought back ${kept.length} of ${want.length} entries`)
    unlockRareTree(target)
    execFileSync('rm', ['-rf', target])

    const repository = await TestRepository.create()
    await inside(source, () => repository.create(['.'], { listEntries: false }))
    const mine = path.join(path.dirname(target), 'mine')
    await repository.extract({ target: mine, listEntries: false })
    const byCairn = new Set(digestTree(mine))
    assert.deepEqual(
      kept.filter((line) => !byCairn.has(line)),
      [],
    )
  })

  it('gives a user without rights all that may be given, and one warning for each thing that may not', async (t) => {
    if (!CAN_BE_NOBODY) return skip(t, 'cannot run as another user')
    const place = newPlace(t)
    if (!place) return
    const { source, target } = place
    const repository = await TestRepository.create({ encryption: 'none' })
    await inside(source, () => repository.create(['.'], { listEntries: false }))
    for (const folder of [path.dirname(repository.location), repository.location]) chmodSync(folder, 0o755)
    for (const key of repository.objects('')) {
      chmodSync(path.join(repository.location, key), 0o644)
      for (let folder = path.dirname(key); folder !== '.'; folder = path.dirname(folder))
        chmodSync(path.join(repository.location, folder), 0o755)
    }
    chmodSync(target, 0o777)
    const into = path.join(target, 'nobody')
    const [result] = runScript(
      `
      const issues = []
      const onEvent = (event) => { if (event.type !== 'progress' && event.type !== 'entry') issues.push(event) }
      const result = await extractSnapshot(access, { snapshot: 'latest', paths: [], target: given.into, workers: 1, onEvent })
      print({ issues, result: { files: result.files } })`,
      { ...repository.access, clock: undefined, into },
      AS_NOBODY,
    ) as [{ issues: { message: string; code: string }[] }]
    assert.ok(result.issues.length >= 3 && result.issues.length < 12, JSON.stringify(result.issues))
    const withoutOwners = { withoutOwners: true }
    assert.deepEqual(strip(digestTree(into, withoutOwners)), strip(digestTree(source, withoutOwners)))
    assert.equal(readFileSync(`${into}/rare/hard/c`, 'utf8'), 'the file with four names')
    assert.equal(statSync(`${into}/rare/hard/c`).nlink, 4)
    // A program of somebody else's rights must not become one of this user's.
    assert.equal(statSync(`${into}/rare/capabilities/owned`).mode & 0o6000, 0)
  })
})

describe('a file of 10 GiB with three islands of data', () => {
  it('is read, stored and restored as these islands', async () => {
    const source = newFolder()
    const islands = [0, 5 * 2 ** 30, 10 * 2 ** 30 - 100_000]
    const fd = openSync(`${source}/disk`, 'w')
    ftruncateSync(fd, 10 * 2 ** 30)
    for (const offset of islands) writeSync(fd, Buffer.alloc(100_000, String(offset)), 0, 100_000, offset)
    closeSync(fd)
    const repository = await TestRepository.create()
    const { snapshot } = await repository.create([source])
    assert.ok(snapshot.stats.addedBytes < 400_000, `${snapshot.stats.addedBytes} bytes`)
    const { target } = await repository.extract()
    const [before, after] = [statSync(`${source}/disk`), statSync(path.join(target, source, 'disk'))]
    assert.equal(after.size, before.size)
    assert.ok(after.blocks <= before.blocks + 16, `${after.blocks} blocks instead of ${before.blocks}`)
    const restored = openSync(path.join(target, source, 'disk'), 'r')
    for (const offset of islands) {
      const bytes = Buffer.alloc(100_000)
      readSync(restored, bytes, 0, bytes.length, offset)
      assert.ok(bytes.equals(Buffer.alloc(100_000, String(offset))))
    }
    closeSync(restored)
  })
})

describe('an empty folder', () => {
  after(() => process.chdir('/'))

  it('comes back with its own mode, owner, times and attributes', async (t) => {
    if (!IS_ROOT) return skip(t, 'needs root')
    const system = newFileSystem(t, 'ext4', { format: ['-b', '4096'] })
    if (!system) return
    const source = path.join(system.directory, 'source')
    mkdirSync(source)
    makeRareTree(source)
    unlockRareTree(source)
    spawnSync('sh', ['-c', 'rm -rf "$1"/*', 'sh', source])
    spawnSync('touch', ['-d', '2001-02-03 04:05:06.789', source])
    const want = digestTree(source)
    assert.equal(want.length, 1)
    const repository = await TestRepository.create()
    const { snapshot } = await inside(source, () => repository.create(['.']))
    assert.equal(snapshot.stats.filesNew, 0)
    const { target } = await repository.extract({ target: path.join(system.directory, 'target') })
    assert.deepEqual(digestTree(target), want)
  })
})
