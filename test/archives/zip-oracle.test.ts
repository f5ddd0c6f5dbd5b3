/** What is exported as a zip, unzip restores as far as a zip can say it; what zip writes is imported as if unzip had extracted it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { testBytes } from '../../src/chunker/testing.ts'
import type { CreateResult } from '../../src/operations/create.ts'
import { exportSnapshot } from '../../src/operations/export.ts'
import { importArchive } from '../../src/operations/import.ts'
import { setTimes } from '../../src/platform/native.ts'
import { TestRepository, hasCommand, needs, newFolder } from '../testing.ts'
import { digestTree } from '../tree-digest.ts'

const needsZip = needs(hasCommand('zip', '-v') && hasCommand('unzip', '-v'), 'needs zip and unzip')

/** What a zip holds: whole seconds, no attributes. */
function makeTree(root: string): void {
  for (const folder of ['d', 'd/empty', '\u00fcml\u00e4ut \u{1f600}']) mkdirSync(`${root}/${folder}`)
  const files: Record<string, string | Buffer> = {
    'd/text': 'text '.repeat(10_000),
    'd/random': testBytes('random', 300_000),
    'd/large': Buffer.concat([testBytes('large', 5 << 20), Buffer.alloc(1 << 20)]),
    'd/none': '',
    'back\\slash': 'x',
    '\u00fcml\u00e4ut \u{1f600}/f': 'unicode',
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(`${root}/${name}`, content)
  chmodSync(`${root}/d/text`, 0o4751)
  chmodSync(`${root}/d/none`, 0o600)
  symlinkSync('text', `${root}/d/link`)
  symlinkSync('/nowhere/\u00fc', `${root}/dangling`)
  const names = execFileSync('find', ['.', '-depth'], { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean)
  for (const [i, name] of names.entries()) setTimes(`${root}/${name}`, 0n, BigInt(1_000_000_000 + i) * 1_000_000_000n)
}

/** The top has no entry; unzip gives symlinks no time. */
function isKept(line: string): boolean {
  return !line.startsWith('"" ') && !line.includes(' 120777 ')
}

async function createFrom(repository: TestRepository, folder: string): Promise<CreateResult> {
  const here = process.cwd()
  process.chdir(folder)
  try {
    return await repository.create(['.'], { numericIds: true })
  } finally {
    process.chdir(here)
  }
}

describe('an exported zip', { skip: needsZip }, () => {
  it('is restored by unzip, and gives the same tree when it is imported', async () => {
    const source = newFolder()
    makeTree(source)
    const repository = await TestRepository.create({ encryption: 'none' })
    const { snapshot } = await createFrom(repository, source)
    const file = path.join(newFolder(), 'a.zip')
    const given = { snapshot: snapshot.id, paths: [], format: 'zip', target: { file, replace: false } } as const
    assert.deepEqual((await exportSnapshot(repository.access, given)).losses, [])

    execFileSync('unzip', ['-tq', file])
    const target = newFolder()
    execFileSync('unzip', ['-qXK', file, '-d', target])
    assert.deepEqual(digestTree(target).filter(isKept), digestTree(source).filter(isKept))

    const imported = await importArchive(repository.access, { file, name: 'imported', workers: 1 })
    assert.equal(imported.snapshot.tree, snapshot.tree)
  })

  it('tells what it cannot hold, once for each kind', async () => {
    const source = newFolder()
    writeFileSync(`${source}/a`, 'x')
    execFileSync('ln', [`${source}/a`, `${source}/b`])
    execFileSync('mkfifo', [`${source}/fifo`])
    execFileSync('truncate', ['-s', '1M', `${source}/sparse`])
    const repository = await TestRepository.create({ encryption: 'none' })
    const { snapshot } = await createFrom(repository, source)
    const file = path.join(newFolder(), 'a.zip')
    const { losses } = await exportSnapshot(repository.access, {
      snapshot: snapshot.id,
      paths: [],
      format: 'zip',
      target: { file, replace: false },
    })
    const kinds = Object.fromEntries(losses.map(({ kind, count }) => [kind.replace(/,.*/, ''), count]))
    assert.equal(kinds['hard links'], 1)
    assert.equal(kinds['FIFOs and devices'], 1)
    assert.equal(kinds['holes'], 1)
    assert.equal(kinds['times finer than 100 ns'], 3)
    const target = newFolder()
    execFileSync('unzip', ['-q', file, '-d', target])
    assert.deepEqual(readFileSync(`${target}/sparse`), Buffer.alloc(1 << 20))
    assert.equal(readFileSync(`${target}/b`, 'utf8'), 'x')
  })
})

describe('an archive of zip', { skip: needsZip }, () => {
  for (const [name, options] of [
    ['deflated', ['-ry']],
    ['stored', ['-ry0']],
    ['zip64', ['-ry', '-fz']],
  ] as const) {
    it(`${name}: is imported as if it had been extracted and backed up`, async () => {
      const source = newFolder()
      makeTree(source)
      const file = path.join(newFolder(), 'a.zip')
      execFileSync('zip', ['-q', ...options, file, '.'], { cwd: source })
      const target = newFolder()
      execFileSync('unzip', ['-qXK', file, '-d', target])
      // Times of symlinks are in the archive, and unzip does not set them.
      for (const link of ['d/link', 'dangling']) {
        const ns =
          BigInt(execFileSync('stat', ['-c', '%Y', `${source}/${link}`], { encoding: 'utf8' })) * 1_000_000_000n
        setTimes(`${target}/${link}`, 0n, ns)
      }
      setTimes(
        `${target}/d`,
        0n,
        BigInt(execFileSync('stat', ['-c', '%Y', `${source}/d`], { encoding: 'utf8' })) * 1_000_000_000n,
      )
      const repository = await TestRepository.create({ encryption: 'none' })
      const want = await createFrom(repository, target)
      const got = await importArchive(repository.access, { file, name: 'imported', workers: 1 })
      assert.equal(got.snapshot.tree, want.snapshot.tree)
    })
  }
})

describe('an archive that zip made of its standard input', { skip: needsZip }, () => {
  it('has a file, as for unzip, though zip says that it is a FIFO', async () => {
    const folder = newFolder()
    execFileSync('sh', ['-c', 'echo piped | zip -q a.zip - && mkdir out && unzip -qXK a.zip -d out'], { cwd: folder })
    const repository = await TestRepository.create({ encryption: 'none' })
    const want = await createFrom(repository, `${folder}/out`)
    const got = await importArchive(repository.access, { file: `${folder}/a.zip`, name: 'imported', workers: 1 })
    assert.deepEqual([got.issues, got.snapshot.tree], [0, want.snapshot.tree])
  })
})

/** In a process of its own: under the test runner each promise costs ten times as much. */
const MANY = `
import { writeFileSync } from 'node:fs'
import { ZipReader } from ${JSON.stringify(new URL('../../src/archives/zip-reader.ts', import.meta.url).href)}
import { ZipWriter } from ${JSON.stringify(new URL('../../src/archives/zip-writer.ts', import.meta.url).href)}
const parts = []
const writer = new ZipWriter({ write: async (bytes) => void parts.push(Buffer.from(bytes)), end: async () => {} })
const plain = { type: 'file', mode: 0o644, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n }
for (let i = 0; i < 70000; i++) await writer.add({ ...plain, path: 'f' + i })
await writer.finish()
const bytes = Buffer.concat(parts)
writeFileSync(process.argv[1], bytes)
const source = { sizeBytes: bytes.length, readAt: async (target, position) => bytes.copy(target, 0, position) }
let count = 0
for await (const { entry } of new ZipReader(source)) if (entry.path === 'f' + count) count++
console.log(count)`

describe('ZipWriter', () => {
  it('writes more entries than a plain zip can count', { skip: needsZip }, () => {
    const file = path.join(newFolder(), 'a.zip')
    assert.equal(execFileSync(process.execPath, ['-e', MANY, file], { encoding: 'utf8' }).trim(), '70000')
    assert.match(execFileSync('zipinfo', ['-h', file], { encoding: 'utf8' }), /number of entries: 70000/)
  })
})
