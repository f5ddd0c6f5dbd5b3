/** Checks of whole repositories on a disk: what they say is lost is what a restore cannot give back, and backups may go on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { type CheckEvent, type CheckOptions, type CheckResult, checkRepository } from '../src/operations/check.ts'
import type { ExtractEvent } from '../src/operations/extract.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import { LATIN1_NAME, TestRepository, issuesOf, newFolder, startScript } from './testing.ts'
import { toSystemPath } from '../src/base/raw-name.ts'
import { REPO_V1_PASSPHRASE } from './testdata/repo-v1.ts'

type Finding = Extract<CheckEvent, { type: 'error' }>

async function checked(
  access: RepositoryAccess,
  options: CheckOptions = {},
): Promise<Omit<CheckResult, 'errors'> & { errors: Finding[]; events: CheckEvent[] }> {
  const events: CheckEvent[] = []
  const onEvent = (event: CheckEvent): void => void events.push(event)
  const result = await checkRepository(access, { workers: 2, ...options, onEvent })
  const errors = events.filter((event) => event.type === 'error')
  assert.equal(errors.length, result.errors)
  return { ...result, errors, events }
}

/** A folder with files of one and of very many chunks, in folders, and names of any bytes. */
function newSource(): string {
  const folder = newFolder()
  const content = testBytes('check', 12 << 20)
  mkdirSync(`${folder}/deep/deeper`, { recursive: true })
  writeFileSync(`${folder}/large`, content)
  for (let i = 0; i < 60; i++) writeFileSync(`${folder}/f${i}`, content.subarray(i * 900, i * 7000))
  for (let i = 0; i < 20; i++) writeFileSync(`${folder}/deep/deeper/g${i}`, `${i}`.repeat(i * 300))
  writeFileSync(toSystemPath(`${folder}/deep/${LATIN1_NAME}`), 'latin 1')
  symlinkSync('nowhere', `${folder}/deep/link`)
  return folder
}

describe('checkRepository()', () => {
  for (const encryption of ['repokey', 'keyfile', 'none']) {
    it(`finds nothing wrong with the repositories of the first version (${encryption})`, async () => {
      const folder = newFolder()
      cpSync('test/testdata/repo-v1', folder, { recursive: true })
      const access = {
        location: path.join(folder, encryption),
        keyFolder: path.join(folder, 'keys'),
        askPassphrase: async () => REPO_V1_PASSPHRASE,
      }
      const { errors, snapshots, packs, packsRead } = await checked(access, { readData: true })
      assert.deepEqual(errors, [])
      assert.equal(snapshots, 5)
      assert.equal(packsRead, packs)
    })
  }

  it('finds nothing wrong with a repository just made, and names what a restore cannot give back of a damaged one', async () => {
    const source = newSource()
    const repository = await TestRepository.create()
    await repository.create([source])
    const sound = await checked(repository.access, { readData: true })
    assert.deepEqual(sound.errors, [])
    assert.deepEqual(
      sound.events.filter(({ type }) => type === 'note'),
      [],
    )
    let affected = 0
    for (const key of repository.objects('packs/')) {
      const file = path.join(repository.location, key)
      const bytes = readFileSync(file)
      for (const at of [
        0,
        60,
        bytes.length >> 2,
        bytes.length >> 1,
        bytes.length - 300,
        bytes.length - 1,
        'cut',
        'gone',
      ]) {
        if (at === 'gone') rmSync(file)
        else if (at === 'cut') truncateSync(file, bytes.length >> 1)
        else
          writeFileSync(
            file,
            bytes.map((byte, i) => (i === at ? byte ^ 4 : byte)),
          )
        const { errors, brokenPacks } = await checked(repository.access, { readData: true })
        assert.deepEqual(brokenPacks, [path.basename(key)], `${at} of ${key}`)
        const { snapshot } = errors.find((error) => error.snapshot) ?? {}
        const events: ExtractEvent[] = []
        await repository.extract({ events }).catch(() => undefined)
        const issues = issuesOf(events)
        const lost = snapshot?.paths.map((name) => `DATA_CORRUPT ${name}`) ?? []
        // Of the root a restore says so by ending at once.
        const count = lost[0] === 'DATA_CORRUPT ' ? 0 : (snapshot?.files ?? 0) + (snapshot?.directories ?? 0)
        // A restore gives up all that it fetches at once with what a pack lacks at its end.
        if (at === 'cut') assert.ok(count <= issues.length)
        else assert.equal(count, issues.length, `${at} of ${key}`)
        if (count > 0)
          assert.deepEqual(
            lost.filter((line) => !issues.includes(line)),
            [],
          )
        affected += count
        writeFileSync(file, bytes)
      }
    }
    assert.ok(affected > 60, String(affected))
  })

  it('cannot begin when the config or the key is damaged, and says so', async () => {
    const repository = await TestRepository.create({ encryption: 'repokey' })
    const access = {
      ...repository.access,
      askPassphrase: async ({ attempt }: { attempt: number }) => (attempt === 1 ? 'secret' : undefined),
    }
    const [slot = ''] = repository.objects('keys/')
    for (const [key, code] of [
      ['config', 'DATA_CORRUPT'],
      [slot, 'WRONG_PASSWORD'],
    ] as const) {
      const file = path.join(repository.location, key)
      const bytes = readFileSync(file)
      for (const at of [0, bytes.length >> 1]) {
        writeFileSync(
          file,
          bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)),
        )
        await assert.rejects(checkRepository(access, {}), { code }, `byte ${at} of ${key}`)
      }
      writeFileSync(file, bytes)
    }
    assert.equal((await checkRepository(access, {})).errors, 0)
  })

  it('never takes backups of other processes for damage', async () => {
    const repository = await TestRepository.create()
    const { location, keyFolder } = repository.access
    const source = newSource()
    const code = `
      import { appendFileSync } from 'node:fs'
      for (let i = 0; i < given.runs; i++) {
        appendFileSync(given.source + '/f1', String(i).repeat(1000))
        await createSnapshot(access, { name: given.name + i, paths: [given.source], workers: 1 })
      }`
    const children = ['a', 'b'].map((name) =>
      startScript(code, { location, keyFolder, source, name, runs: 8, aheadMs: 3_600_000 }),
    )
    const closed = Promise.all(children.map((child) => once(child, 'close')))
    const state = { running: true }
    void closed.then(() => (state.running = false))
    let checks = 0
    let last = 0
    for (let isLast = false; !isLast; checks++) {
      isLast = !state.running
      const { errors, snapshots } = await checked(repository.access, { readData: checks % 2 === 0 })
      assert.deepEqual(errors, [])
      assert.ok(snapshots >= last, 'a snapshot has gone')
      last = snapshots
    }
    assert.equal(last, 16)
    for (const [exitCode] of await closed) assert.equal(exitCode, 0)
    assert.ok(checks > 2)
  })
})
