/** A run that is killed leaves the repository as good as it was. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { TestRepository, newFolder, startScript } from './testing.ts'

const CREATE = `await createSnapshot(access, { name: given.name, paths: [given.source], workers: 2 })`

describe('a run that is killed', () => {
  it('costs no older snapshot, and the next run of the same name succeeds', async () => {
    const repository = await TestRepository.create({ chunkerParams: 'fastcdc,256K,1M,4M' })
    const older = newFolder()
    writeFileSync(`${older}/f`, testBytes('older', 100_000))
    await repository.create([older], { name: 'older' })
    const source = newFolder()
    writeFileSync(`${source}/large`, testBytes('killed', 100 << 20))

    // At once after it began, and after some packs are stored.
    for (const packs of [0, 2]) {
      const name = `killed-${packs}`
      await killRun(repository, name, source, packs)
      assert.equal(repository.objects('sessions/').length, 1)
      await repository.expectRestored(older, 'older')
      assert.equal(
        (await listSnapshots(repository.access)).snapshots.some((snapshot) => snapshot.name === name),
        false,
      )
      await repository.create([older], { name })
      await repository.expectRestored(older, name)
      assert.deepEqual(repository.objects('sessions/'), []) // fenced, and what it had stored taken over
    }
    const { issues, snapshot } = await repository.create([source], { name: 'whole' })
    assert.equal(issues, 0)
    // Of 100 MiB at least the two packs of the killed run are not stored again.
    assert.ok(snapshot.stats.addedBytes < (100 - 2 * 16) << 20, `${snapshot.stats.addedBytes} bytes added`)
    await repository.expectRestored(source, 'whole')
    await repository.expectRestored(older, 'older')
  })
})

/** Starts a run and kills it as soon as it has stored `packs` packs. */
async function killRun(repository: TestRepository, name: string, source: string, packs: number): Promise<void> {
  const { location, keyFolder } = repository.access
  const packsBefore = repository.objects('packs/').length
  const child = startScript(CREATE, { name, source, location, keyFolder })
  const closed = once(child, 'close')
  const isFarEnough = (): boolean =>
    repository.objects('sessions/').length > 0 && repository.objects('packs/').length >= packsBefore + packs
  while (!isFarEnough() && child.exitCode === null) await sleep(2)
  child.kill('SIGKILL')
  assert.deepEqual(await closed, [null, 'SIGKILL'], 'it was done before it could be killed')
}
