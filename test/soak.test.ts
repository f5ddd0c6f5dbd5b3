/**
 * Real processes on a real local store: two writers, one who deletes, a restorer and two who compact, of which one after the other is
 * killed at some moment and started again. `CAIRN_SOAK_KILLS=1000 npm test -- soak` goes on for longer.
 */
import assert from 'node:assert/strict'
import { type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compactRepository } from '../src/operations/compact.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { TestRepository, expectSound, newFolder, startScript } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const KILLS = Number(process.env['CAIRN_SOAK_KILLS'] ?? 14)

const source = (file: string): string => JSON.stringify(new URL(`../src/operations/${file}`, import.meta.url).href)

/** What all parts have in scope: they act until a file appears, and print what must never be. */
const COMMON = `
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { listSnapshots } from ${source('list.ts')}
const pick = (list) => list[Math.floor(Math.random() * list.length)]
const names = async () => (await listSnapshots(access)).snapshots.map(({ name }) => name)
/** Errors that runs beside each other may have: taken for dead, or too late. */
const may = async (running, ...codes) => {
  try { return await running } catch (error) { if (!codes.includes(error.code)) throw error }
}
const goOn = () => !existsSync(given.stop)
`

const PARTS: Readonly<Record<string, string>> = {
  writer: `
mkdirSync(given.source, { recursive: true })
let n = 0
while (goOn()) {
  for (let i = 0; i < 8; i++) {
    const seed = Math.floor(Math.random() * 40) // what one deletes, another saves again
    const file = path.join(given.source, 'f' + Math.floor(Math.random() * 30))
    if (Math.random() < 0.2) rmSync(file, { force: true })
    else writeFileSync(file, Buffer.alloc(20_000 + seed * 700, 'content ' + seed + ' '))
  }
  const name = given.name + '-' + process.pid + '-' + n++
  // Before it is saved: what is there afterwards is this, or nothing.
  writeFileSync(path.join(given.expected, name), JSON.stringify(digestTree(given.source)))
  await may(createSnapshot(access, { name, paths: [given.source], workers: 1, compression: pick(['none', 'zstd,1', 'lz4']) }), 'SESSION_FENCED')
}`,

  restorer: `
while (goOn()) {
  const name = pick(await names())
  if (!name) continue
  const target = path.join(given.scratch, 'restored-' + process.pid)
  let found
  try {
    const { issues } = await extractSnapshot(access, { snapshot: name, paths: [], target, workers: 1 })
    found = issues > 0 ? issues + ' issues' : undefined
  } catch (error) { found = error.message }
  if (!found) {
    const [want, got] = [readFileSync(path.join(given.expected, name), 'utf8'), JSON.stringify(digestTree(path.join(target, given.sources[name.split('-')[0]])))]
    if (want !== got) found = 'it is not what was saved'
  }
  if (found && (await names()).includes(name)) print({ lost: name, found })
  rmSync(target, { recursive: true, force: true })
}`,

  deleter: `
const { deleteSnapshots } = await import(${source('delete.ts')})
while (goOn()) {
  const all = await names()
  if (all.length > 5) await may(deleteSnapshots(access, { selection: { wanted: [pick(all)] } }), 'NOT_FOUND')
  await new Promise((resolve) => setTimeout(resolve, 30))
}`,

  compactor: `
const { compactRepository } = await import(${source('compact.ts')})
while (goOn()) {
  const { deletedPacks } = (await may(compactRepository(access, { threshold: Math.random() * 0.5 }), 'SESSION_FENCED')) ?? {}
  if (deletedPacks > 0) print({ deletedPacks })
}`,
}

describe('many processes at once, killed at any moment', () => {
  it('lose nothing', async (t) => {
    const folder = newFolder()
    const repository = await TestRepository.create({ encryption: 'none' })
    const expected = path.join(folder, 'expected')
    mkdirSync(expected)
    const sources: Record<string, string> = { a: path.join(folder, 'a'), b: path.join(folder, 'b') }
    const { location, keyFolder } = repository.access
    const given = { location, keyFolder, expected, sources, scratch: folder, stop: path.join(folder, 'stop') }
    const printed: string[] = []
    const start = (part: string, more: object = {}): ChildProcess => {
      const child = startScript(COMMON + (PARTS[part] ?? ''), { ...given, ...more })
      child.stdout?.on('data', (data: Buffer) => printed.push(data.toString()))
      return child
    }
    const parts = [
      () => start('writer', { name: 'a', source: sources['a'] }),
      () => start('writer', { name: 'b', source: sources['b'] }),
      () => start('restorer'),
      () => start('deleter'),
      () => start('compactor'),
      () => start('compactor'),
    ]
    const children = parts.map((startPart) => startPart())
    const hasSaved = async (): Promise<boolean> => (await listSnapshots(repository.access)).snapshots.length > 0
    // On a machine that is busy, they live longer as time goes on: until something has been saved.
    for (let kill = 0; kill < KILLS || !(await hasSaved()); kill++) {
      await sleep((200 + Math.random() * 800) * Math.max(1, kill / KILLS))
      const victim = Math.floor(Math.random() * parts.length)
      const child = children[victim] as ChildProcess
      assert.equal(child.exitCode, null, `${victim} failed by itself`)
      const closed = once(child, 'close')
      child.kill('SIGKILL')
      await closed
      children[victim] = (parts[victim] as () => ChildProcess)()
    }
    writeFileSync(given.stop, '')
    for (const child of children) {
      if (child.exitCode === null) await once(child, 'close')
      assert.equal(child.exitCode, 0)
    }
    const lines = printed.join('').split('\n').filter(Boolean)
    assert.deepEqual(
      lines.filter((line) => line.includes('lost')),
      [],
    )
    const deleted = lines.reduce((sum, line) => sum + (JSON.parse(line) as { deletedPacks: number }).deletedPacks, 0)
    t.diagnostic(`${deleted} packs deleted`)

    const { waitingFor } = await compactRepository({ ...repository.access }, { threshold: 0 })
    assert.equal(waitingFor, 0)
    const { snapshots } = await listSnapshots(repository.access)
    assert.ok(snapshots.length > 0)
    for (const { name } of snapshots) {
      const from = sources[name.split('-')[0] ?? ''] ?? ''
      await repository.expectRestored(
        from,
        name,
        JSON.parse(readFileSync(path.join(expected, name), 'utf8')) as ReturnType<typeof digestTree>,
      )
    }
    await expectSound(repository)
    for (const prefix of ['condemned/', 'waiting/']) assert.deepEqual(repository.objects(prefix), [])
  })
})
