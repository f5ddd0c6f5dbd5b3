/** Several runs into one repository at once, each in a process of its own. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { TestRepository, newFolder, startScript } from './testing.ts'

/** Backs up `given.source` as `given.name` when told to, and prints the snapshot or the error. */
const CREATE = `
console.log('ready')
await new Promise((resolve) => process.stdin.once('data', resolve))
process.stdin.destroy()
const { name, nameIsDefault, source } = given
const outcome = await createSnapshot(access, { name, nameIsDefault, paths: [source], workers: 1 }).then(
  ({ snapshot, issues }) => ({ name: snapshot.name, id: snapshot.id, issues }),
  ({ code, message }) => ({ code, message }),
)
print(outcome)
`

interface Outcome {
  readonly name?: string
  readonly id?: string
  readonly issues?: number
  readonly code?: string
}

/** Starts one process for each of `runs`, lets all of them begin at the same time, and returns what they printed. */
async function createAtOnce(
  repository: TestRepository,
  runs: readonly { name: string; source: string; nameIsDefault?: boolean }[],
): Promise<Outcome[]> {
  const { location, keyFolder } = repository.access
  const children = runs.map((run) => startScript(CREATE, { ...run, location, keyFolder }))
  const outputs = children.map(() => '')
  const started = children.map(async (child, i) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (outputs[i] += text))
    await once(child.stdout as NodeJS.EventEmitter, 'data')
  })
  await Promise.all(started)
  const closed = children.map((child) => once(child, 'close'))
  for (const child of children) child.stdin?.write('go\n')
  for (const [code] of await Promise.all(closed)) assert.equal(code, 0)
  return outputs.map((output) => JSON.parse(output.split('\n')[1] ?? '') as Outcome)
}

/** A folder of which a part is the same in all of them. */
function newSource(number: number, largeBytes = 50_000): string {
  const folder = newFolder()
  mkdirSync(`${folder}/same`)
  for (let i = 0; i < 100; i++) writeFileSync(`${folder}/same/${i}`, testBytes(`same ${i}`, i * 300))
  writeFileSync(`${folder}/same/large`, testBytes('same', largeBytes))
  for (let i = 0; i < 100; i++) writeFileSync(`${folder}/own-${i}`, testBytes(`own ${number} ${i}`, i * 100))
  return folder
}

describe('several runs into one repository at once', () => {
  it('all succeed, and each snapshot restores identically', async () => {
    const repository = await TestRepository.create()
    const sources = [1, 2, 3, 4].map((number) => newSource(number, 10 << 20))
    const outcomes = await createAtOnce(
      repository,
      sources.map((source, i) => ({ name: `run-${i}`, source })),
    )
    for (const [i, source] of sources.entries()) {
      assert.deepEqual([outcomes[i]?.name, outcomes[i]?.issues], [`run-${i}`, 0])
      await repository.expectRestored(source, `run-${i}`)
    }
    assert.equal((await listSnapshots(repository.access)).snapshots.length, 4)
    assert.deepEqual(repository.objects('sessions/'), [])
    // What they stored twice, each other's chunks being unknown to them, is no harm; a run after them stores nothing.
    const { snapshot } = await repository.create([sources[0] ?? ''])
    assert.equal(snapshot.stats.addedBytes, 0)
  })

  it('of one name: exactly one succeeds', async () => {
    const repository = await TestRepository.create()
    const sources = [1, 2, 3].map((number) => newSource(number))
    const outcomes = await createAtOnce(
      repository,
      sources.map((source) => ({ name: 'same', source })),
    )
    const winners = outcomes.flatMap(({ id }, i) => (id === undefined ? [] : [i]))
    assert.equal(winners.length, 1, JSON.stringify(outcomes))
    for (const [i, { code }] of outcomes.entries()) if (i !== winners[0]) assert.equal(code, 'SNAPSHOT_EXISTS')
    assert.equal((await listSnapshots(repository.access)).snapshots.length, 1)
    await repository.expectRestored(sources[winners[0] ?? 0] ?? '', 'same')
    assert.deepEqual(repository.objects('sessions/'), [])
  })

  it('of one default name: all succeed under names of their own', async () => {
    const repository = await TestRepository.create()
    const sources = [1, 2].map((number) => newSource(number))
    const outcomes = await createAtOnce(
      repository,
      sources.map((source) => ({ name: 'host-now', nameIsDefault: true, source })),
    )
    assert.deepEqual(outcomes.map(({ name }) => name).sort(), ['host-now', 'host-now-2'])
    for (const [i, source] of sources.entries()) await repository.expectRestored(source, outcomes[i]?.name)
  })
})
