/**
 * Attack: someone who may write to the target of a restore changes it while the restore runs: a directory gives way to a symlink, so
 * that a restore by root writes, changes or removes files outside the target. And what is planted there beforehand: FIFOs,
 * hard links, devices, mount points.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { skip } from '../../src/platform/testing.ts'
import type { ExtractEvent } from '../../src/operations/extract.ts'
import { commitFolder, commitSnapshot, saveContent } from '../full-snapshot.ts'
import { saveTree, type MemoryChunks } from '../../src/snapshot/testing.ts'
import { IS_ROOT, TestRepository, hasCommand, issuesOf, needs, newFolder } from '../testing.ts'
import { digestTree } from '../tree-digest.ts'

/** A folder that must stay as it is. */
function newOutside(): { readonly outside: string; readonly expectUntouched: () => void } {
  const outside = newFolder()
  mkdirSync(`${outside}/d`)
  for (const name of ['d/f0', 'd/f1', 'precious']) writeFileSync(`${outside}/${name}`, `precious ${name}`)
  const before = digestTree(outside)
  return { outside, expectUntouched: () => assert.deepEqual(digestTree(outside), before) }
}

describe('a directory swapped for a symlink while the restore runs', () => {
  it('is not followed, whenever that happens', async () => {
    const source = newFolder()
    mkdirSync(`${source}/d/sub`, { recursive: true })
    for (let i = 0; i < 30; i++) {
      writeFileSync(`${source}/d/f${i}`, `file ${i}`)
      writeFileSync(`${source}/d/sub/f${i}`, `file ${i}`)
      symlinkSync('f0', `${source}/d/l${i}`)
    }
    linkSync(`${source}/d/f0`, `${source}/d/sub/zz`)
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    for (const conflict of ['fail', 'overwrite', 'mirror'] as const) {
      for (let after = 1; after < 40; after += 6) {
        const { outside, expectUntouched } = newOutside()
        const target = newFolder()
        for (const folder of ['d', 'd/sub']) mkdirSync(`${target}/${folder}`)
        for (const name of ['d/extra', 'd/sub/extra', 'd/f3']) writeFileSync(`${target}/${name}`, 'x')
        let entries = 0
        const onEvent = (event: ExtractEvent): void => {
          if (event.type !== 'entry' || ++entries !== after) return
          renameSync(`${target}/d`, `${target}/moved`)
          symlinkSync(`${outside}/d`, `${target}/d`)
        }
        await repository.extract({ target, onEvent, conflict, workers: 2 })
        expectUntouched()
      }
    }
  })

  it('is not followed while somebody does it all the time', async () => {
    const source = newFolder()
    for (let i = 0; i < 300; i++) {
      mkdirSync(`${source}/d${i % 3}/sub`, { recursive: true })
      writeFileSync(`${source}/d${i % 3}/sub/f${i}`, `file ${i}`)
    }
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    const { outside, expectUntouched } = newOutside()
    const target = newFolder()
    for (const name of ['d0', 'd1', 'd2']) mkdirSync(`${target}/${name}/sub`, { recursive: true })
    const swap = (): void => {
      for (const name of ['d0', 'd1', 'd2']) {
        try {
          renameSync(`${target}/${name}`, `${target}/away-${name}`)
          symlinkSync(outside, `${target}/${name}`)
          rmSync(`${target}/${name}`)
          renameSync(`${target}/away-${name}`, `${target}/${name}`)
        } catch {
          // the restore came in between
        }
      }
    }
    const timer = setInterval(swap, 1)
    try {
      for (let i = 0; i < 5; i++) await repository.extract({ target, conflict: 'overwrite', workers: 2 })
    } finally {
      clearInterval(timer)
    }
    expectUntouched()
  })
})

describe('something planted in the target', () => {
  it(
    'is replaced where it is a FIFO or a device, and never opened',
    { skip: needs(IS_ROOT, 'needs root') },
    async () => {
      const source = newFolder()
      writeFileSync(`${source}/f`, 'content')
      writeFileSync(`${source}/g`, 'content')
      const repository = await TestRepository.create()
      await commitFolder(repository, source)
      const target = newFolder()
      execFileSync('mkfifo', [`${target}/f`])
      execFileSync('mknod', [`${target}/g`, 'c', '1', '3'])
      const { events } = await repository.extract({ target, conflict: 'overwrite' })
      assert.deepEqual(issuesOf(events), [])
      assert.deepEqual(digestTree(target), digestTree(source))
    },
  )

  it('does not get metadata meant for a file of the same content, when it is a hard link of another one', async () => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'same')
    if (IS_ROOT) chownSync(`${source}/f`, 1000, 1000)
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    const target = newFolder()
    const outside = `${newFolder()}/precious`
    writeFileSync(outside, 'same')
    const before = digestTree(outside)
    linkSync(outside, `${target}/f`)
    await repository.extract({ target, conflict: 'overwrite' })
    assert.deepEqual(digestTree(outside), before)
    assert.equal(lstatSync(`${target}/f`).nlink, 1)
  })

  it('is not removed by mirror behind a symlink, nor beyond a mount point', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'content')
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    const { outside, expectUntouched } = newOutside()
    const target = newFolder()
    symlinkSync(outside, `${target}/link`)
    const linked = await repository.extract({ target, conflict: 'mirror' })
    assert.deepEqual(issuesOf(linked.events), [])
    expectUntouched()
    assert.deepEqual(readdirSync(target), ['f'])

    if (!IS_ROOT || !hasCommand('unshare', '--mount', 'true')) return skip(t, 'cannot mount')
    mkdirSync(`${target}/extra/mounted`, { recursive: true })
    // A bind mount of the same file system: the device number is the same.
    const mounted = spawnSync('mount', ['--bind', outside, `${target}/extra/mounted`])
    if (mounted.status !== 0) return skip(t, 'cannot mount')
    try {
      const { events } = await repository.extract({ target, conflict: 'mirror' })
      assert.deepEqual(issuesOf(events), ['EBUSY extra/mounted'])
      expectUntouched()
    } finally {
      execFileSync('umount', [`${target}/extra/mounted`])
    }
    assert.ok(existsSync(`${target}/extra`))
  })
})

/** Restores `z`, which claims to be another name of `first`, over what `plant` made. */
async function restoreLink(first: string, plant: (target: string) => void, others: object = {}): Promise<string> {
  const repository = await TestRepository.create()
  await commitSnapshot(repository, (save) => ({
    tree: saveTree({ save } as MemoryChunks, {
      ...others,
      z: {
        type: 'file',
        sizeBytes: 4,
        hardLink: first,
        content: saveContent(Buffer.from('mine'), save) as Uint8Array,
      },
    }),
  }))
  const around = newFolder()
  const target = `${around}/target`
  mkdirSync(target)
  writeFileSync(`${around}/outside`, 'evil')
  plant(target)
  await repository.extract({ target })
  assert.equal(readFileSync(`${around}/outside`, 'utf8'), 'evil')
  assert.equal(statSync(`${around}/outside`).nlink, 1)
  return target
}

describe('a hard link in a snapshot', () => {
  it('is restored by itself where it names something outside, or nothing of the snapshot', async () => {
    for (const first of ['../outside', '/etc/passwd', '..', '.', '', 'nothing', 'a/../../outside', 'z', 'a\0b']) {
      const target = await restoreLink(first, () => undefined)
      assert.equal(readFileSync(`${target}/z`, 'utf8'), 'mine', first)
      assert.equal(statSync(`${target}/z`).nlink, 1, first)
    }
  })

  it('is restored by itself where it names a file of the target that is not part of this restore', async () => {
    const target = await restoreLink('planted', (folder) => writeFileSync(`${folder}/planted`, 'evil'))
    assert.equal(readFileSync(`${target}/z`, 'utf8'), 'mine')
  })

  it('is restored by itself where something else is in the place of the first name', async () => {
    for (const plant of [
      (folder: string) => writeFileSync(`${folder}/a`, 'evil'),
      (folder: string) => symlinkSync('../outside', `${folder}/a`),
    ]) {
      const target = await restoreLink('a', plant, { a: 'mine' })
      assert.equal(readFileSync(`${target}/z`, 'utf8'), 'mine')
      assert.equal(lstatSync(`${target}/z`).nlink, 1)
      assert.ok(lstatSync(`${target}/z`).isFile())
    }
  })

  it('is not made to a directory, a symlink or a later entry', async () => {
    for (const others of [{ a: { x: 'x' } }, { a: { type: 'symlink', linkTarget: '../outside' } }]) {
      const target = await restoreLink('a', () => undefined, others)
      assert.equal(readFileSync(`${target}/z`, 'utf8'), 'mine')
      assert.ok(lstatSync(path.join(target, 'z')).isFile())
    }
    const target = await restoreLink('zz', () => undefined, { zz: 'evil' })
    assert.equal(readFileSync(`${target}/z`, 'utf8'), 'mine')
    assert.equal(statSync(`${target}/zz`).nlink, 1)
  })
})
