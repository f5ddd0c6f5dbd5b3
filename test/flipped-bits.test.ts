/** Damage to any object of a repository with everything in it: what is restored is right or named, and backups go on. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { isCairnError } from '../src/base/errors.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { checkRepository } from '../src/operations/check.ts'
import { TestRepository, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
let repository: TestRepository
/** The same, not to be damaged. */
let pristine: TestRepository
/** Digests of the source when each snapshot was made. */
const want: Record<string, string[]> = {}

before(async () => {
  repository = await TestRepository.create({ chunkerParams: 'fastcdc,256K,1M,4M' })
  mkdirSync(`${source}/sub`)
  for (let i = 0; i < 12; i++) writeFileSync(`${source}/sub/${i}`, testBytes(`${i}`, i * 4000))
  linkSync(`${source}/sub/3`, `${source}/linked`)
  symlinkSync('sub/3', `${source}/link`)
  execFileSync('setfattr', ['-n', 'user.test', '-v', 'value', `${source}/sub/4`])
  await repository.create([source], { name: 'first' })
  want['first'] = digestTree(source)
  for (let i = 0; i < 12; i += 3) writeFileSync(`${source}/sub/${i}`, testBytes(`second ${i}`, 5000 + i))
  await repository.create([source], { name: 'second' })
  want['second'] = digestTree(source)
  pristine = repository.copy()
})

/** Ways to damage an object: its other bytes, or `undefined` when it is gone; `null` when the way does not apply. */
type Damage = (bytes: Buffer, key: string) => Buffer | undefined | null

const flipAt =
  (part: number): Damage =>
  (bytes) => {
    if (bytes.length === 0) return null
    const damaged = Buffer.from(bytes)
    const at = Math.min(bytes.length - 1, Math.floor(bytes.length * part))
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
    return damaged
  }

const WAYS: Readonly<Record<string, Damage>> = {
  'a bit at the beginning': flipAt(0),
  'a bit in the header': (bytes, key) => flipAt(30 / Math.max(bytes.length, 31))(bytes, key),
  'a bit in the middle': flipAt(0.5),
  'a bit at the end': flipAt(1),
  'cut in half': (bytes) => (bytes.length === 0 ? null : bytes.subarray(0, bytes.length >> 1)),
  'no bytes': (bytes) => (bytes.length === 0 ? null : Buffer.alloc(0)),
  'the bytes of a neighbour': (_, key) => {
    const [folder = ''] = key.split('/')
    const other = repository.objects(`${folder}/`).find((other) => other !== key)
    return other === undefined ? null : readFileSync(path.join(repository.location, other))
  },
  missing: () => undefined,
}

/** Calls `use` for each object, damaged in each way, and repairs it after that. */
async function forEachDamage(
  folders: readonly string[],
  use: (key: string, what: string, way: string) => Promise<void>,
): Promise<number> {
  let count = 0
  for (const key of repository.objects('').filter((object) => folders.includes(object.split('/')[0] ?? ''))) {
    const file = path.join(repository.location, key)
    const pristine = readFileSync(file)
    for (const [way, damage] of Object.entries(WAYS)) {
      const damaged = damage(pristine, key)
      if (damaged === null) continue
      if (damaged) writeFileSync(file, damaged)
      else rmSync(file)
      try {
        await use(key, `${key}: ${way}`, way)
        count++
      } finally {
        writeFileSync(file, pristine)
      }
    }
  }
  return count
}

const FOLDERS = ['config', 'packs', 'index', 'commits', 'names', 'forgotten', 'sessions']

/** Whether nobody can tell from what is left that something was there: a run that ended so would look the same. */
function isIndistinguishable(key: string, way: string): boolean {
  const [folder = ''] = key.split('/')
  return (
    (folder === 'commits' && (way === 'missing' || way === 'no bytes')) ||
    folder === 'forgotten' ||
    folder === 'sessions'
  )
}

describe('a damaged object', () => {
  it('is found by a check that reads everything', async (t) => {
    const found = await forEachDamage(FOLDERS, async (key, what, way) => {
      const errors = await checkRepository(repository.access, { readData: true, workers: 1 }).then(
        (result) => result.errors + result.brokenPacks.length,
        (error: unknown) => {
          assert.ok(isCairnError(error), String(error))
          assert.equal(key, 'config', what)
          return 1
        },
      )
      if (!isIndistinguishable(key, way)) assert.ok(errors > 0, what)
    })
    t.diagnostic(`${found} ways`)
    assert.ok(found > 60)
  })

  it('is named by a restore that needs it, and no restore gives anything wrong', async (t) => {
    let failed = 0
    for (const snapshot of ['first', 'second'] as const) {
      await forEachDamage(['config', 'packs', 'index', 'commits'], async (_, what) => {
        const target = newFolder()
        try {
          const { issues } = await repository.extract({ target, snapshot })
          assert.equal(issues, 0, what)
          assert.deepEqual(digestTree(path.join(target, source)), want[snapshot], what)
        } catch (error) {
          if (!isCairnError(error)) throw error
          failed++
          assert.ok(
            ['DATA_CORRUPT', 'FORMAT_UNSUPPORTED', 'NOT_FOUND', 'REPOSITORY_NOT_FOUND', 'WRONG_PASSWORD'].includes(
              error.code,
            ),
            `${what}: ${error.message}`,
          )
        }
        rmSync(target, { recursive: true })
      })
    }
    t.diagnostic(`${failed} restores failed`)
    assert.ok(failed > 20)
  })
})

describe('a backup into a damaged repository', () => {
  it('succeeds, and its snapshot is complete, when index, commits, names or sessions are damaged', async () => {
    await forEachDamage(['index', 'commits', 'names', 'sessions'], async (_, what) => {
      const copy = repository.copy()
      const result = await copy
        .create([source], { name: 'next' })
        .catch((error: unknown) => assert.fail(`${what}: ${String(error)}`))
      assert.equal(result.issues, 0, what)
      const target = newFolder()
      const access = { onDamaged: () => undefined }
      const { issues } = await copy.extract({ target, snapshot: result.snapshot.id, access })
      assert.equal(issues, 0, what)
      assert.deepEqual(digestTree(path.join(target, source)), want['second'], what)
      rmSync(target, { recursive: true })
      copy.remove()
    })
  })

  it('succeeds with a warning when trees are damaged, and its snapshot does not rest on them', async () => {
    let warned = 0
    await forEachDamage(['packs'], async (key, what) => {
      const isOfTrees = readFileSync(path.join(pristine.location, key))[6] === 2
      const copy = repository.copy()
      const result = await copy.create([source], { name: 'next' })
      assert.equal(result.issues, 0, what)
      if (result.warnings > 0) warned++
      const target = newFolder()
      const { digest } = await copy.extract({ target, snapshot: 'next' }).then(
        () => ({ digest: digestTree(path.join(target, source)) }),
        (error: unknown) => {
          // Content that is damaged is not looked at again, for it has not changed; that takes a check, or a restore.
          assert.ok(!isOfTrees && isCairnError(error, 'DATA_CORRUPT'), `${what}: ${String(error)}`)
          return { digest: undefined }
        },
      )
      if (digest) assert.deepEqual(digest, want['second'], what)
      rmSync(target, { recursive: true })
      copy.remove()
    })
    assert.ok(warned >= 5, `${warned} warnings`)
  })
})
