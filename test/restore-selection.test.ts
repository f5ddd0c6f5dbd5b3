/** Which entries are restored, and where to: patterns, stripped components, contents alone. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { type PatternOption, extractContents } from '../src/operations/extract.ts'
import { commitFolder } from './full-snapshot.ts'
import { TestRepository, issuesOf, newFolder } from './testing.ts'

const source = newFolder()
let repository: TestRepository

before(async () => {
  mkdirSync(`${source}/a/b`, { recursive: true })
  mkdirSync(`${source}/c/b`, { recursive: true })
  for (const name of ['a/x.txt', 'a/b/y.txt', 'a/b/z.bin', 'c/b/y.txt', 'top.txt'])
    writeFileSync(`${source}/${name}`, name)
  const fd = openSync(`${source}/sparse`, 'w')
  writeSync(fd, testBytes('start', 70_000), 0, 70_000, 0)
  writeSync(fd, 'middle', 3_000_000)
  ftruncateSync(fd, 5_000_000)
  closeSync(fd)
  repository = await TestRepository.create({ encryption: 'none' })
  await commitFolder(repository, source)
})

/** Paths that a restore gives, but for the target itself. */
async function restored(options: Parameters<TestRepository['extract']>[0]): Promise<string[]> {
  const { events } = await repository.extract(options)
  assert.deepEqual(issuesOf(events), [])
  return events.flatMap((event) => (event.type === 'entry' && event.path !== '' ? [event.path] : [])).sort()
}

const exclude = (value: string): PatternOption => ({ kind: 'exclude', value })

describe('patterns', () => {
  it("leave out and take as Borg's, and make only the directories that something goes into", async () => {
    assert.deepEqual(await restored({ patterns: [exclude('*.txt'), exclude('sparse')] }), [
      'a',
      'a/b',
      'a/b/z.bin',
      'c',
      'c/b',
    ])
    assert.deepEqual(await restored({ paths: ['sh:**/y.txt'] }), ['a', 'a/b', 'a/b/y.txt', 'c', 'c/b', 'c/b/y.txt'])
    assert.deepEqual(await restored({ paths: ['a'], patterns: [exclude('a/b')] }), ['a', 'a/x.txt'])
    const rules = ['+ c/b', '- sh:**/b', '- re:^(sparse|top)'].map((value) => ({ kind: 'pattern', value }) as const)
    assert.deepEqual(await restored({ patterns: rules }), ['a', 'a/x.txt', 'c', 'c/b', 'c/b/y.txt'])
  })

  it('are read from files', async () => {
    const file = path.join(newFolder(), 'patterns')
    writeFileSync(file, '# comment\n- a\n- sparse\n')
    const patterns = [
      { kind: 'patterns-from', value: file },
      { kind: 'exclude', value: 'c' },
    ] as const
    assert.deepEqual(await restored({ patterns }), ['top.txt'])
    await assert.rejects(repository.extract({ patterns: [{ kind: 'exclude-from', value: `${file}-none` }] }), {
      code: 'INVALID_ARGUMENT',
      message: /no such file/,
    })
  })

  it('are an issue when a path matches nothing', async () => {
    const { events } = await repository.extract({ paths: ['sh:**/*.txt', 'sh:nothing/*'] })
    assert.deepEqual(issuesOf(events), ['NOT_FOUND sh:nothing/*'])
  })
})

describe('--strip-components', () => {
  it('leaves away leading names, and what has no more', async () => {
    const { target } = await repository.extract({ stripComponents: 1, paths: ['a'] })
    assert.equal(readFileSync(`${target}/b/y.txt`, 'utf8'), 'a/b/y.txt')
    assert.equal(readFileSync(`${target}/x.txt`, 'utf8'), 'a/x.txt')
  })

  it('never lets one entry replace another of the same restore', async () => {
    for (const workers of [1, 3]) {
      const { target, events } = await repository.extract({ stripComponents: 1, workers })
      const [issue = ''] = issuesOf(events)
      assert.deepEqual(issuesOf(events).length, 1)
      assert.match(issue, /^EEXIST [ac]\/b\/y\.txt$/)
      const found = readFileSync(`${target}/b/y.txt`, 'utf8')
      assert.notEqual(found, issue.slice('EEXIST '.length))
    }
  })
})

async function contents(paths: string[], limit = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  await extractContents(repository.access, { snapshot: 'latest', paths }, async (piece) => {
    pieces.push(Buffer.from(piece))
    return pieces.length < limit
  })
  return Buffer.concat(pieces)
}

describe('extractContents()', () => {
  it('gives contents in the order of the snapshot, holes as zeros', async () => {
    assert.equal((await contents(['top.txt', 'a'])).toString(), 'a/b/y.txta/b/z.bina/x.txttop.txt')
    assert.ok((await contents(['sparse'])).equals(readFileSync(`${source}/sparse`)))
  })

  it('ends when nobody wants more', async () => {
    assert.equal((await contents(['a'], 2)).toString(), 'a/b/y.txta/b/z.bin')
  })

  it('fills a pipe exactly, and works into one that is closed', () => {
    const { location } = repository
    const program = path.resolve('cairn')
    const run = (command: string): ReturnType<typeof spawnSync> =>
      spawnSync('bash', ['-c', `set -o pipefail; ${command}`, program, location], { maxBuffer: 1 << 28 })
    const whole = run('"$0" extract -r "$1" latest --stdout sparse | cat')
    assert.equal(whole.status, 0, String(whole.stderr))
    assert.ok(Buffer.from(whole.stdout).equals(readFileSync(`${source}/sparse`)))
    const closed = run('"$0" extract -r "$1" latest --stdout sparse | head -c 10 >/dev/null')
    assert.deepEqual([closed.status, String(closed.stderr)], [0, ''])
  })
})
