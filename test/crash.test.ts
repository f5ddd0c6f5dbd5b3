/**
 * Real runs in processes of their own, killed in every state of the store that they go through: nothing saved before is lost, and
 * the next run takes up what there is.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import type { CreateOptions } from '../src/operations/create.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { TestRepository, expectSound, newFolder, startScript } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const CREATE = `
import { DyingStorage } from ${JSON.stringify(new URL('dying-storage.ts', import.meta.url).href)}
import { LocalStorage } from ${JSON.stringify(new URL('../src/storage/local/local-storage.ts', import.meta.url).href)}
const openStorage = async (location) => new DyingStorage(await LocalStorage.open(location), given.nth)
await createSnapshot({ ...access, openStorage }, { paths: [given.source], ...given.options })`

/** Incompressible as it is, so that what is stored has the size of what is saved. */
const OPTIONS = { compression: 'none', workers: 2 } as const
/** Index, table and frame of what is saved, at most. */
const OVERHEAD = 1.01
const AT_ONCE = 2

interface Scenario {
  /** What is there before the run. */
  readonly repository: TestRepository
  /** Snapshots there by name, with their folders and the digests of these as they were. */
  readonly older: Readonly<Record<string, readonly [string, string[]]>>
  /** What the run saves. */
  readonly source: string
  /** Bytes of all contents that differ, those of older snapshots too. */
  readonly wantBytes: number
  readonly options?: Partial<CreateOptions>
}

/** Kills runs in one state after the other, until one comes to its end; returns how many were killed. */
async function crashEverywhere(scenario: Scenario): Promise<number> {
  let next = 1
  let killed = 0
  let isOver = false
  assert.equal(await crashAndGoOn(scenario, Infinity), false)
  const kill = async (): Promise<void> => {
    while (!isOver) {
      const nth = next++
      if (await crashAndGoOn(scenario, nth)) killed++
      else isOver = true
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, kill))
  return killed
}

/** A run that is killed in its `nth` state; the signal it ended by, `null` when it did not come to that. */
async function runAndDie(
  { repository, source, options }: Pick<Scenario, 'repository' | 'source' | 'options'>,
  nth: number,
): Promise<string | null> {
  const { location, keyFolder } = repository.access
  const given = {
    nth,
    source,
    location,
    keyFolder,
    aheadMs: 3_600_000,
    options: { ...OPTIONS, name: 'new', ...options },
  }
  const [status, signal] = (await once(startScript(CREATE, given), 'close')) as [number | null, string | null]
  assert.deepEqual([status, signal], signal ? [null, 'SIGKILL'] : [0, null])
  return signal
}

/** A run in a copy of the repository, killed in its `nth` state, and what comes after it; whether it came to that. */
async function crashAndGoOn(scenario: Scenario, nth: number): Promise<boolean> {
  const { older, source, wantBytes } = scenario
  const copy = scenario.repository.copy()
  const { location } = copy
  const signal = await runAndDie({ ...scenario, repository: copy }, nth)
  const what = `killed in state ${nth}`
  await expectSound(copy)
  const names = (await listSnapshots(copy.access)).snapshots.map(({ name }) => name)
  assert.deepEqual(names.filter((name) => name in older).toSorted(), Object.keys(older).toSorted(), what)
  for (const [name, [folder, lines]] of Object.entries(older)) await copy.expectRestored(folder, name, lines)
  const added = names.filter((name) => !(name in older))
  const isCommitted = added.includes('new')
  for (const name of added) await expectPartRestored(copy, source, name, name === 'new')
  assert.ok(signal !== null || isCommitted, what)

  const storedBefore = copy.objects('packs/').filter((key) => isDataPack(copy, key))
  const { issues, warnings } = await copy.create([source], { ...OPTIONS, name: 'next' })
  assert.deepEqual([issues, warnings], [0, 0], what)
  await copy.expectRestored(source, 'next')
  await expectSound(copy)
  // Of a run that committed, only its own hand takes the session object away.
  for (const key of copy.objects('sessions/'))
    assert.ok(statSync(path.join(location, key.replace('sessions', 'commits'))).size > 0, `${what}: ${key} is left`)
  assert.deepEqual(
    (await listSnapshots(copy.access)).snapshots.map(({ name }) => name).toSorted(),
    [...Object.keys(older), ...(isCommitted ? ['new'] : []), 'next'].toSorted(),
    what,
  )
  assert.deepEqual(readdirSync(path.join(location, '.tmp')), [], what)
  const after = copy.objects('packs/')
  assert.deepEqual(
    storedBefore.filter((key) => !after.includes(key)),
    [],
    what,
  )
  const stored = after.filter((key) => isDataPack(copy, key)).map((key) => statSync(path.join(location, key)).size)
  const storedBytes = stored.reduce((sum, bytes) => sum + bytes, 0)
  assert.ok(storedBytes <= wantBytes * OVERHEAD, `${what}: ${storedBytes} bytes stored, ${wantBytes} are enough`)
  copy.remove()
  return signal !== null
}

/** A snapshot of a run that was killed: all of the source, or, of a checkpoint, files that are whole. */
async function expectPartRestored(
  repository: TestRepository,
  source: string,
  name: string,
  isWhole: boolean,
): Promise<void> {
  if (isWhole) return repository.expectRestored(source, name)
  const { target, issues } = await repository.extract({ snapshot: name })
  assert.equal(issues, 0)
  const want = new Set(digestFiles(source))
  for (const line of digestFiles(path.join(target, source))) assert.ok(want.has(line), `${name}: ${line}`)
}

/** Lines of a digest that are about files. */
function digestFiles(root: string): string[] {
  return digestTree(root).filter((line) =>
    statSync(path.join(root, JSON.parse(line.slice(0, line.lastIndexOf('" ') + 1)) as string)).isFile(),
  )
}

function isDataPack(repository: TestRepository, key: string): boolean {
  return readFileSync(path.join(repository.location, key))[6] === 1
}

/** A folder with some files. */
function newSource(seed: string): string {
  const source = newFolder()
  mkdirSync(`${source}/sub`)
  const content = testBytes(seed, SOURCE_BYTES)
  for (let i = 0; i < 12; i++)
    writeFileSync(
      `${source}/${i % 2 ? 'sub/' : ''}f${i}`,
      content.subarray((i * i * SOURCE_BYTES) / 144, ((i + 1) ** 2 * SOURCE_BYTES) / 144),
    )
  return source
}

const SOURCE_BYTES = 144 * 14_000

function expectStates(t: TestContext, killed: number, atLeast: number): void {
  t.diagnostic(`killed in ${killed} states`)
  assert.ok(killed >= atLeast, `only ${killed} states`)
}

describe('a run that is killed, wherever it is,', () => {
  it('loses nothing and stores nothing twice when it was the first', async (t) => {
    const scenario = {
      repository: await TestRepository.create(),
      older: {},
      source: newSource('first'),
      wantBytes: SOURCE_BYTES,
    }
    expectStates(t, await crashEverywhere(scenario), 15)
  })

  it('costs no older snapshot when there are some', async (t) => {
    const repository = await TestRepository.create()
    const source = newSource('first')
    const other = newSource('other')
    await repository.create([source], { ...OPTIONS, name: 'first' })
    await repository.create([other], { ...OPTIONS, name: 'other' })
    const older = { first: [source, digestTree(source)], other: [other, digestTree(other)] } as const
    appendFileSync(`${source}/f0`, 'more')
    writeFileSync(`${source}/sub/added`, testBytes('added', 300_000))
    const wantBytes = 2 * SOURCE_BYTES + statSync(`${source}/f0`).size + 300_000
    expectStates(t, await crashEverywhere({ repository, older, source, wantBytes }), 15)
  })

  it('leaves its last checkpoint when it makes one at every opportunity', async (t) => {
    const repository = await TestRepository.create({ chunkerParams: 'fastcdc,256K,1M,4M' })
    const source = newFolder()
    for (const [name, size] of [
      ['a', 17 << 20], // more than a pack
      ['b', 4 << 20], // and some tasks after it
      ['c', 4 << 20],
    ] as const)
      writeFileSync(`${source}/${name}`, testBytes(name, size))
    const options = { checkpointIntervalMs: Number.MIN_VALUE, workers: 1 } // two would share it, and fill no pack
    expectStates(t, await crashEverywhere({ repository, older: {}, source, options, wantBytes: 25 << 20 }), 25)
  })

  it('is taken over together with one that was killed before it', async (t) => {
    const repository = await TestRepository.create()
    const source = newSource('first')
    // Its packs are there, and no index object names them.
    assert.equal(await runAndDie({ repository, source }, 9), 'SIGKILL')
    assert.ok(repository.objects('packs/').length > 0 && repository.objects('index/').length === 0)
    writeFileSync(`${source}/added`, testBytes('added', 300_000))
    const wantBytes = SOURCE_BYTES + 300_000
    expectStates(t, await crashEverywhere({ repository, older: {}, source, wantBytes }), 15)
  })
})
