/** Restoring from a repository in which bytes have changed or objects are gone. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { type CairnError, isCairnError } from '../src/base/errors.ts'
import { testBytes } from '../src/chunker/testing.ts'
import type { ExtractEvent } from '../src/operations/extract.ts'
import { TestRepository, issuesOf, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
const inside = source.slice(1)
let repository: TestRepository
let pristine: string
/** Packs of the first run and what the second run added. */
let packs: { firstData: string; firstTrees: string; secondData: string }

before(async () => {
  repository = await TestRepository.create()
  const content = testBytes('damage', 16 << 20)
  mkdirSync(`${source}/first/sub`, { recursive: true })
  // More than one segment of 4 MiB; the large file spans several.
  writeFileSync(`${source}/first/large`, content.subarray(0, 9 << 20))
  for (let i = 0; i < 40; i++) writeFileSync(`${source}/first/f${i}`, content.subarray(i * 1000, i * 100_000 + 7))
  writeFileSync(`${source}/first/sub/deep`, 'deep')
  await repository.create([source])
  const first = repository.objects('packs/')
  mkdirSync(`${source}/second`)
  for (let i = 0; i < 40; i++) writeFileSync(`${source}/second/f${i}`, `second ${i}`)
  await repository.create([source])
  const second = repository.objects('packs/').filter((key) => !first.includes(key))
  const find = (keys: readonly string[], kind: number): string =>
    keys.find((key) => readFileSync(path.join(repository.location, key))[6] === kind) ?? assert.fail('no such pack')
  packs = { firstData: find(first, 1), firstTrees: find(first, 2), secondData: find(second, 1) }
  pristine = path.join(newFolder(), 'repo')
  cpSync(repository.location, pristine, { recursive: true })
})

const objectPath = (key: string): string => path.join(repository.location, key)

function flipBit(file: string, offset: number): void {
  const bytes = readFileSync(file)
  bytes[offset] = (bytes[offset] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

/** Restores while an object is damaged, and repairs it afterwards. */
async function restoreDamaged(
  key: string,
  damage: () => void,
): Promise<{ restored: string; error: CairnError; damaged: string[] }> {
  const target = newFolder()
  const events: ExtractEvent[] = []
  damage()
  try {
    const error = await repository.extract({ target, events }).then(
      () => assert.fail('the restore succeeded'),
      (error: unknown) => error,
    )
    assert.ok(isCairnError(error), String(error))
    return { restored: path.join(target, source), error, damaged: issuesOf(events) }
  } finally {
    cpSync(path.join(pristine, key), objectPath(key), { recursive: true })
  }
}

/** Asserts that exactly these paths (with what lies below them) are missing, and all else is as it was. */
function expectAllBut(restored: string, missing: readonly string[]): void {
  const isMissing = (line: string): boolean => missing.some((name) => line.startsWith(`"${name}"`))
  assert.deepEqual(
    digestTree(restored),
    digestTree(source).filter((line) => !isMissing(line)),
  )
  for (const name of missing) assert.equal(existsSync(path.join(restored, name)), false, name)
}

function namesOf(damaged: readonly string[]): string[] {
  return damaged.map((issue) => {
    assert.ok(issue.startsWith(`DATA_CORRUPT ${inside}/`), issue)
    return issue.slice(`DATA_CORRUPT ${inside}/`.length)
  })
}

describe('a flipped bit in a data pack', () => {
  it('costs the files of its segment and no others; they are named and not there, not even in part', async () => {
    const bytes = readFileSync(objectPath(packs.firstData)).length
    const affected: number[] = []
    for (const offset of [100, bytes >> 1, bytes - 400_000]) {
      const { restored, error, damaged } = await restoreDamaged(packs.firstData, () =>
        flipBit(objectPath(packs.firstData), offset),
      )
      assert.equal(error.code, 'DATA_CORRUPT')
      const names = namesOf(damaged)
      assert.ok(names.length > 0 && names.length < 42, `${names.length} files`)
      expectAllBut(restored, names)
      affected.push(names.length)
      assert.deepEqual(
        (error.details['paths'] as string[]).toSorted(),
        damaged.map((issue) => issue.slice('DATA_CORRUPT '.length)).toSorted(),
      )
    }
    assert.ok(new Set(affected).size > 1, 'every flip hit the same segment')
  })
})

describe('a data pack that is missing or cut off', () => {
  it('costs the files that need it', async () => {
    const ways = [
      () => rmSync(objectPath(packs.secondData)),
      () => truncateSync(objectPath(packs.secondData), 60),
      () => truncateSync(objectPath(packs.secondData), 0),
    ]
    for (const damage of ways) {
      const { restored, error, damaged } = await restoreDamaged(packs.secondData, damage)
      assert.equal(error.code, 'DATA_CORRUPT')
      assert.match(error.message, /40 entries/)
      const names = namesOf(damaged)
      assert.equal(names.length, 40)
      expectAllBut(restored, names)
    }
  })

  it('costs all files of the first run, the large one among them, when it is theirs', async () => {
    const { restored, damaged } = await restoreDamaged(packs.firstData, () => rmSync(objectPath(packs.firstData)))
    const names = namesOf(damaged)
    assert.equal(names.length, 42)
    expectAllBut(restored, names)
  })
})

describe('a tree pack that is damaged', () => {
  it('costs the directories whose trees it holds; they are named, and all else is restored', async () => {
    const ways = [() => rmSync(objectPath(packs.firstTrees)), () => flipBit(objectPath(packs.firstTrees), 200)]
    for (const damage of ways) {
      const { restored, error, damaged } = await restoreDamaged(packs.firstTrees, damage)
      assert.equal(error.code, 'DATA_CORRUPT')
      assert.deepEqual(damaged, [`DATA_CORRUPT ${inside}/first`])
      const lines = digestTree(source).filter((line) => !line.startsWith('"first/'))
      assert.deepEqual(digestTree(restored), lines)
    }
  })
})

describe('a flipped bit anywhere', () => {
  it('is an error, or does no harm, and never gives wrong data', async () => {
    const small = newFolder()
    mkdirSync(`${small}/d`)
    writeFileSync(`${small}/f`, testBytes('f', 30_000))
    writeFileSync(`${small}/d/g`, 'g')
    const repository = await TestRepository.create()
    await repository.create([small])
    const want = digestTree(small)
    let errors = 0
    for (const key of repository.objects('')) {
      const file = path.join(repository.location, key)
      const { length } = readFileSync(file)
      for (const offset of [6, length >> 1, length - 1]) {
        flipBit(file, offset)
        const target = newFolder()
        try {
          await repository.extract({ target })
          assert.deepEqual(digestTree(path.join(target, small)), want, `byte ${offset} of ${key}`)
        } catch (error) {
          const codes = ['DATA_CORRUPT', 'FORMAT_UNSUPPORTED']
          assert.ok(isCairnError(error) && codes.includes(error.code), `byte ${offset} of ${key}: ${String(error)}`)
          errors++
        } finally {
          flipBit(file, offset)
        }
      }
    }
    assert.ok(errors > 10, `${errors} errors`)
    await repository.expectRestored(small)
  })
})
