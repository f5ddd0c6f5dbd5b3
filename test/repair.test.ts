/** `cairn check --repair` as a whole: what is lost is told and left out, the next backup heals it, and `undelete` brings it back. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { jsonLines } from './cli/harness.ts'
import { Program } from './program.ts'
import { newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const TREE_PACK = 2
const KIND_OFFSET = 6

function newSource(): string {
  const source = newFolder()
  mkdirSync(`${source}/sub/deep`, { recursive: true })
  writeFileSync(`${source}/large`, testBytes('large', 3 << 20))
  writeFileSync(`${source}/sub/deep/file`, testBytes('file', 50_000))
  return source
}

/** Files of packs, those of trees left out or alone. */
function packsOf({ repository }: Program, kind: 'data' | 'tree'): string[] {
  const folder = path.join(repository, 'packs')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
  return files
    .filter((file) => file.isFile())
    .map((file) => path.join(file.parentPath, file.name))
    .filter((file) => (readFileSync(file)[KIND_OFFSET] === TREE_PACK) === (kind === 'tree'))
}

/** Another bit in the middle of a file; the store's files are read-only. */
function flipBit(file: string): void {
  const bytes = readFileSync(file)
  const at = bytes.length >> 1
  bytes[at] = (bytes[at] ?? 0) ^ 1
  rmSync(file)
  writeFileSync(file, bytes)
}

function prepare(): { program: Program; source: string; lost: string } {
  const program = new Program()
  const source = newSource()
  program.create(['.'], { cwd: source })
  const before = new Set(packsOf(program, 'data'))
  writeFileSync(`${source}/sub/new`, testBytes('new', 40_000))
  program.create(['.'], { cwd: source })
  const lost = packsOf(program, 'data').find((file) => !before.has(file)) ?? assert.fail()
  return { program, source, lost }
}

describe('cairn check --repair', () => {
  it('says that there is nothing to repair where all is well', () => {
    const { program } = prepare()
    const stdout = program.succeed(['check', '--repair', '--read-data', program.repository])
    assert.equal(stdout, 'No errors were found; there is nothing to repair.\n')
  })

  it('rebuilds the index from packs alone', () => {
    const { program, source } = prepare()
    const digest = digestTree(source)
    rmSync(path.join(program.repository, 'index'), { recursive: true })
    const damaged = program.run(['check', program.repository])
    assert.equal(damaged.status, 65)
    assert.match(damaged.stderr, /cairn check --repair/)
    const stdout = program.succeed(['check', '--repair', program.repository])
    assert.match(stdout, /Put \d+ packs into the index again\./)
    program.succeed(['check', '--read-data', program.repository])
    assert.deepEqual(digestTree(program.restore()), digest)
  })

  it('leaves out what is lost, has the next backup store it again, and undelete bring back the rest', () => {
    const { program, source, lost } = prepare()
    const digest = digestTree(source)
    flipBit(lost)
    assert.equal(program.run(['check', '--read-data', program.repository]).status, 65)
    const repaired = program.run(['check', '--read-data', '--repair', program.repository])
    assert.equal(repaired.status, 65)
    assert.match(repaired.stdout, /^lost of s2: sub\/new$/m)
    assert.match(repaired.stdout, /snapshot s2 \(([0-9a-f]{32})\), which has lost 1 file\.$/m)
    assert.match(repaired.stderr, /something was lost of 1 snapshot/)
    const before = /snapshot s2 \(([0-9a-f]{32})\)/.exec(repaired.stdout)?.[1] ?? ''
    program.succeed(['check', '--read-data', program.repository])
    const kept = digestTree(program.restore())
    assert.ok(!kept.some((line) => line.includes('sub/new')))
    assert.equal(kept.length, digest.length - 1)
    assert.match(program.succeed(['info', '-r', program.repository, 's2']), /repaired: 1 file lost/)

    program.create(['.'], { cwd: source })
    assert.deepEqual(digestTree(program.restore()), digest)
    program.succeed(['delete', '-r', program.repository, 's2'])
    program.succeed(['undelete', '-r', program.repository, before])
    const target = newFolder()
    program.succeed(['restore', '-r', program.repository, 's2', '--target', target, '-q'])
    assert.deepEqual(digestTree(target), digest)
    program.succeed(['compact', program.repository])
    program.succeed(['check', '--read-data', program.repository])
  })

  it('tells each loss as a line with --json, and a summary at the end', () => {
    const { program, lost } = prepare()
    rmSync(lost)
    const { status, stdout } = program.run(['check', '--repair', '--json', '--no-progress', program.repository])
    assert.equal(status, 65)
    const lines = jsonLines(stdout)
    const told = lines.find(({ message_type: type }) => type === 'lost')
    assert.deepEqual([told?.['snapshot_name'], told?.['path'], told?.['kind']], ['s2', 'sub/new', 'file'])
    const summary = lines.at(-1) ?? {}
    assert.deepEqual([summary['message_type'], summary['num_errors_left'], summary['packs_retired']], ['summary', 0, 1])
  })

  it('deletes what nothing is left of when trees are lost, and the next backup starts anew', () => {
    const { program, source } = prepare()
    for (const file of packsOf(program, 'tree')) rmSync(file)
    const { status, stdout } = program.run(['check', '--repair', program.repository])
    assert.equal(status, 65)
    assert.match(stdout, /^lost of s1: \/ and all below it$/m)
    program.create(['.'], { cwd: source })
    program.succeed(['check', '--read-data', program.repository])
    assert.deepEqual(digestTree(program.restore()), digestTree(source))
  })
})
