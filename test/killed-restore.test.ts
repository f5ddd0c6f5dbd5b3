/** A restore that is killed or interrupted: each file is old or new, and what is left goes with the next restore. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { processScope } from '../src/platform/process-scope.ts'
import { TempNames } from '../src/restorer/temp-names.ts'
import { commitFolder } from './full-snapshot.ts'
import { TestRepository, newFolder, startScript } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const EXTRACT = `
const abort = new AbortController()
process.on('SIGTERM', () => abort.abort())
await extractSnapshot({ ...access, signal: abort.signal }, {
  snapshot: 'latest', paths: [], target: given.target, workers: 2, conflict: 'overwrite',
}).then(() => print('done'), ({ code }) => print(code))
`
const source = newFolder()
let repository: TestRepository

before(async () => {
  mkdirSync(`${source}/d`)
  for (let i = 0; i < 400; i++) writeFileSync(`${source}/d/f${i}`, testBytes(`new ${i}`, 30_000))
  writeFileSync(`${source}/large`, testBytes('large', 60 << 20))
  repository = await TestRepository.create({ chunkerParams: 'fastcdc,256K,1M,4M' })
  await commitFolder(repository, source)
})

/** Names in a folder and below that a restore makes for itself. */
function leftovers(folder: string): string[] {
  for (;;) {
    try {
      return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.cairn-'))
    } catch (error) {
      // A running restore has removed a folder of its own just before it was listed.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

/** A folder with an older state of every file, and how many of them are new by now; fails when one is neither. */
function olderFolder(): { readonly target: string; readonly countNew: () => number } {
  const target = newFolder()
  mkdirSync(`${target}/d`)
  const names = ['large', ...readdirSync(`${source}/d`).map((name) => `d/${name}`)]
  for (const name of names) writeFileSync(path.join(target, name), `old ${name}`)
  const countNew = (): number =>
    names.filter((name) => {
      const found = readFileSync(path.join(target, name))
      if (found.equals(Buffer.from(`old ${name}`))) return false
      assert.ok(found.equals(readFileSync(path.join(source, name))), `${name} is neither old nor new`)
      return true
    }).length
  return { target, countNew }
}

/** Restores in a process of its own and sends it a signal as soon as `isFarEnough`. */
async function interrupt(target: string, signal: 'SIGKILL' | 'SIGTERM', isFarEnough: () => boolean): Promise<void> {
  const { location, keyFolder } = repository.access
  const child = startScript(EXTRACT, { location, keyFolder, target })
  const closed = once(child, 'close')
  while (!isFarEnough() && child.exitCode === null) await sleep(1)
  child.kill(signal)
  const [code] = (await closed) as [number | null]
  if (signal === 'SIGKILL') assert.equal(code, null, 'it was done before it could be killed')
}

describe('a restore that is killed', () => {
  it('leaves files that are old or new, and temporary ones that the next restore removes', async () => {
    for (const files of [0, 1, 100]) {
      const { target, countNew } = olderFolder()
      await interrupt(target, 'SIGKILL', () => leftovers(target).length > 0 && (files === 0 || countNew() >= files))
      countNew()
      const foreign = `${target}/d/.cairn-00000000-00000000-00000000-1-1`
      writeFileSync(foreign, 'of another machine')
      const { events } = await repository.extract({ target, conflict: 'overwrite' })
      assert.equal(events.filter(({ type }) => type === 'issue').length, 0)
      assert.equal(countNew(), 401)
      assert.deepEqual(leftovers(target), [path.relative(target, foreign)])
    }
  })
})

describe('what looks like a temporary folder of a killed restore', () => {
  it('goes when nothing in it would be lost, and stays otherwise', async () => {
    const target = newFolder()
    const { machine, boot } = processScope()
    const name = new TempNames({ machine, boot: `before ${boot}`, pids: '' }).next()
    for (const folder of [name, `${name}-1`, `${name}-2`]) mkdirSync(`${target}/${folder}`, { mode: 0o700 })
    writeFileSync(`${target}/${name}/precious`, 'of somebody who was made to rename it')
    symlinkSync('x', `${target}/${name}-1/link`)
    mkdirSync(`${target}/${name}-2/below`)
    await repository.extract({ target, paths: ['large'] })
    assert.deepEqual(leftovers(target).sort(), [name, `${name}-2`, `${name}-2/below`, `${name}/precious`].sort())
  })
})

describe('a restore that is interrupted', () => {
  it('leaves nothing temporary', async () => {
    const { target, countNew } = olderFolder()
    await interrupt(target, 'SIGTERM', () => leftovers(target).length > 0)
    countNew()
    assert.deepEqual(leftovers(target), [])
  })

  it('gives what an uninterrupted one gives, when it is run again', async () => {
    const { target } = olderFolder()
    await interrupt(target, 'SIGTERM', () => leftovers(target).length > 0)
    await repository.extract({ target, conflict: 'overwrite' })
    assert.deepEqual(digestTree(target), digestTree(source))
  })
})
