/** Sources that cannot be read in part: what can be is saved, the rest is named, and nothing wrong is ever restored. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { hasPrograms, run } from '../src/platform/testing.ts'
import {
  AS_NOBODY,
  CAN_BE_NOBODY,
  NOBODY,
  TestRepository,
  cairn,
  expectSound,
  needs,
  newFolder,
  withFault,
} from './testing.ts'
import { digestTree } from './tree-digest.ts'

/** Paths that a run complained of, relative to its source. */
function complaintsOf(stdout: string, source: string): string[] {
  const lines = stdout.split('\n').filter(Boolean)
  const paths = lines.flatMap((line) => {
    const { message_type: type, item } = JSON.parse(line) as Record<string, unknown>
    return type === 'error' ? [String(item)] : []
  })
  return [...new Set(paths.map((item) => path.relative(source, item)))].sort()
}

/**
 * Asserts that a snapshot has all of a source but what is at or below some paths. Of what is there nothing may be wrong, but
 * attributes of entries that were complained of.
 */
async function expectAllBut(
  repository: TestRepository,
  snapshot: string,
  source: string,
  complaints: readonly string[],
): Promise<void> {
  const { target } = await repository.extract({ snapshot })
  const restored = new Set(digestTree(path.join(target, source)))
  const want = digestTree(source)
  for (const line of restored) assert.ok(want.includes(line) || isAbout(line, complaints), `not as it is: ${line}`)
  for (const line of want) assert.ok(restored.has(line) || isAbout(line, complaints), `not restored: ${line}`)
  rmSync(target, { recursive: true })
}

function isAbout(line: string, paths: readonly string[]): boolean {
  const name = JSON.parse(line.slice(0, line.indexOf('" ') + 1)) as string
  return paths.some((given) => given === '' || name === given || name.startsWith(`${given}/`))
}

describe('system calls of a source that fail', () => {
  const source = newFolder()
  const LARGE_BYTES = 20 << 20

  before(() => {
    mkdirSync(`${source}/sub/deep`, { recursive: true })
    for (let i = 0; i < 5; i++) writeFileSync(`${source}/sub/f${i}`, testBytes(`f${i}`, 50_000))
    writeFileSync(`${source}/sub/deep/g`, testBytes('g', 70_000))
    writeFileSync(`${source}/large`, testBytes('large', LARGE_BYTES))
    symlinkSync('large', `${source}/link`)
  })

  /** Calls by which a run looks at files, and what they are tried on. */
  const FAULTS: readonly (readonly [string, string])[] = [
    ...['', 'sub', 'sub/deep'].flatMap((folder) =>
      ['/^open', '/^getdents', '/stat', '/xattr'].map((call) => [call, folder] as const),
    ),
    ...['sub/f1', 'sub/deep/g', 'large'].flatMap((file) =>
      ['/^open', '/^p?read', '/stat', '/xattr', 'lseek'].map((call) => [call, file] as const),
    ),
    ...['/^readlink', '/stat'].map((call) => [call, 'link'] as const),
  ]

  it('end in a snapshot that restores and names what is missing, or in a clear error and none', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const repository = await TestRepository.create({ encryption: 'none', chunkerParams: 'fastcdc,256K,1M,4M' })
    const statuses: Record<string, number> = {}
    for (const [i, [call, name]] of FAULTS.entries()) {
      const error = i % 3 === 1 ? 'EACCES' : 'EIO'
      const what = `${call} of ${name || '.'}: ${error}`
      // A large file is read in many calls: its beginning is fine.
      const when = call === '/^p?read' && name === 'large' ? 3 : 1
      const fault = withFault(`${call}:error=${error}:when=${when}+`, [path.join(source, name)])
      const args = [
        'create',
        `${repository.location}::s${i}`,
        source,
        '--json',
        '--workers',
        '1',
        '--detect',
        'full-hash',
      ]
      const { status, signal, stdout, stderr } = cairn(args, fault)
      statuses[String(status)] = (statuses[String(status)] ?? 0) + 1
      assert.equal(signal, null, `${what}: it hung`)
      const saved = (await listSnapshots(repository.access)).snapshots.some((snapshot) => snapshot.name === `s${i}`)
      if (status === 1) {
        assert.ok(!saved, what)
        assert.match(stderr, /"error":"SOURCE_FAILED"/, what)
        continue
      }
      assert.ok(saved && (status === 0 || status === 3), `${what}: exit ${status}: ${stderr}`)
      const complaints = complaintsOf(stdout + stderr, source)
      assert.equal(complaints.length > 0, status === 3, `${what}: ${stdout}${stderr}`)
      await expectAllBut(repository, `s${i}`, source, complaints)
    }
    await expectSound(repository)
    t.diagnostic(`${FAULTS.length} faults, exit codes ${JSON.stringify(statuses)}`)
    assert.ok((statuses['3'] ?? 0) > 8)
  })
})

describe('files without permission', () => {
  it(
    'are issues with exit code 3, and the rest is saved',
    { skip: needs(CAN_BE_NOBODY, 'cannot become nobody') },
    async () => {
      const source = newFolder()
      mkdirSync(`${source}/closed`)
      for (const name of ['a', 'secret', 'closed/in']) writeFileSync(`${source}/${name}`, name)
      chmodSync(`${source}/secret`, 0)
      chmodSync(`${source}/closed`, 0o700)
      chmodSync(source, 0o755)
      const folder = newFolder()
      run('chown', String(NOBODY), folder)
      const options = { command: AS_NOBODY, env: { HOME: folder, NODE_DISABLE_COMPILE_CACHE: '1' } }
      assert.equal(cairn(['init', '-e', 'none', `${folder}/repo`], options).status, 0)
      const { status, stdout, stderr } = cairn(['create', `${folder}/repo::n`, source, '--json'], options)
      assert.equal(status, 3, stderr)
      assert.deepEqual(complaintsOf(stdout + stderr, source), ['closed', 'secret'])
      const target = newFolder()
      assert.equal(cairn(['restore', '-r', `${folder}/repo`, '--target', target]).status, 0)
      assert.deepEqual(readable(digestTree(target + source)), readable(digestTree(source)))
    },
  )
})

function readable(lines: readonly string[]): string[] {
  return lines.filter((line) => !isAbout(line, ['closed', 'secret']))
}
