/** What is exported, GNU tar and bsdtar restore exactly; what they write, in all formats, is imported exactly. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { toSystemPath } from '../../src/base/raw-name.ts'
import { type CreateResult } from '../../src/operations/create.ts'
import { exportSnapshot } from '../../src/operations/export.ts'
import { importArchive } from '../../src/operations/import.ts'
import { IS_ROOT, LATIN1_NAME, TestRepository, hasCommand, needs, newFolder } from '../testing.ts'
import { digestTree } from '../tree-digest.ts'
import { makeRareEntries, makeTortureTree } from '../torture-tree.ts'

const EVERYTHING = ['--xattrs', '--xattrs-include=*', '--acls', '--selinux']
const HAS_GNU_TAR = spawnSync('tar', ['--version'], { encoding: 'utf8' }).stdout?.startsWith('tar (GNU tar)') ?? false
const needsTar = needs(HAS_GNU_TAR && IS_ROOT, 'needs GNU tar and root')

const source = newFolder()
let repository: TestRepository
let direct: CreateResult

/** What bsdtar does not change: it makes holes where there are zeros, one name of two that look the same, and takes -1 ns for 1 ns. */
function isKept(line: string): boolean {
  return !/^"(names|times\/.2|sizes|rare\/sparse|")/.test(line)
}

/** Backs up the content of a folder, as if it stood at the top. */
async function createFrom(folder: string): Promise<CreateResult> {
  const here = process.cwd()
  process.chdir(folder)
  try {
    return await repository.create(['.'])
  } finally {
    process.chdir(here)
  }
}

async function importFrom(file: string): Promise<CreateResult> {
  const result = await importArchive(repository.access, { file, name: 'import', nameIsDefault: true, workers: 2 })
  assert.equal(result.issues, 0)
  return result
}

async function exportTo(name: string): Promise<string> {
  const file = path.join(newFolder(), name)
  const { losses } = await exportSnapshot(repository.access, {
    snapshot: direct.snapshot.id,
    paths: [],
    format: 'tar',
    filter: name.endsWith('.zst') ? 'zstd' : name.endsWith('.gz') ? 'gzip' : undefined,
    target: { file, replace: false },
  })
  assert.deepEqual(losses, [])
  return file
}

function tar(folder: string, ...args: string[]): void {
  execFileSync('tar', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 })
}

before(async () => {
  makeTortureTree(source)
  if (IS_ROOT) makeRareEntries(source)
  // Only one of the names on this path is not UTF-8.
  mkdirSync(toSystemPath(`${source}/d\u00e9/${LATIN1_NAME}/\u00fc`), { recursive: true })
  writeFileSync(toSystemPath(`${source}/d\u00e9/${LATIN1_NAME}/\u00fc/f`), 'mixed')
  writeFileSync(toSystemPath(`${source}/d\u00e9/g`), 'plain')
  repository = await TestRepository.create({ encryption: 'none' })
  direct = await createFrom(source)
})

describe('an exported tar', () => {
  it('is restored exactly by GNU tar', { skip: needsTar }, async () => {
    const target = newFolder()
    tar(target, ...EVERYTHING, '-xpf', await exportTo('a.tar'))
    assert.deepEqual(digestTree(target), digestTree(source))
  })

  it(
    'is restored by bsdtar',
    { skip: needs(hasCommand('bsdtar', '--version') && IS_ROOT, 'needs bsdtar and root') },
    async () => {
      const target = newFolder()
      execFileSync('bsdtar', ['-xpf', await exportTo('a.tar')], { cwd: target, stdio: ['ignore', 'pipe', 'pipe'] })
      assert.deepEqual(digestTree(target).filter(isKept), digestTree(source).filter(isKept))
    },
  )

  for (const name of ['a.tar', 'a.tar.gz', 'a.tar.zst']) {
    it(`gives the same tree when ${name} is imported`, async () => {
      assert.equal((await importFrom(await exportTo(name))).snapshot.tree, direct.snapshot.tree)
    })
  }

  it('is the same bytes each time', async () => {
    const [a, b] = [await exportTo('a.tar'), await exportTo('b.tar')]
    execFileSync('cmp', [a, b])
  })
})

/** What each format of GNU tar holds: with which options it is made, and from which part of the tree. */
const FORMATS: readonly (readonly [name: string, options: readonly string[], from?: string])[] = [
  ['pax', ['--format=pax', ...EVERYTHING]],
  ['pax with sparse files', ['--format=pax', '--sparse', ...EVERYTHING]],
  ...['0.0', '0.1', '1.0'].map(
    (version) =>
      [`sparse ${version}`, ['--format=pax', '--sparse', `--sparse-version=${version}`, ...EVERYTHING]] as const,
  ),
  ['gnu', ['--format=gnu']],
  ['gnu with sparse files', ['--format=gnu', '--sparse']],
  ['oldgnu with sparse files', ['--format=oldgnu', '--sparse']],
  ['ustar', ['--format=ustar'], 'wide'],
  ['ustar of deep directories', ['--format=ustar'], 'deep'],
  ['v7', ['--format=v7', '--numeric-owner'], 'wide'],
  ['gnu incremental', ['--format=gnu', `--listed-incremental=${newFolder()}/list`], 'sizes'],
  ['absolute names', ['--format=pax', '-P'], 'sizes'],
]

describe('an archive of GNU tar', () => {
  for (const [name, options, from = '.'] of FORMATS) {
    it(`${name}: is imported as if it had been extracted and backed up`, { skip: needsTar }, async () => {
      const file = path.join(newFolder(), 'a.tar')
      tar(path.join(source, from), ...options, '-cf', file, '.')
      const target = newFolder()
      tar(target, ...EVERYTHING, ...(options.includes('--numeric-owner') ? ['--numeric-owner'] : []), '-xpf', file)
      const here = process.cwd()
      process.chdir(target)
      const numericIds = options.includes('--numeric-owner')
      const extracted = await repository.create(['.'], { numericIds })
      process.chdir(here)
      assert.equal((await importFrom(file)).snapshot.tree, extracted.snapshot.tree)
    })
  }

  it('holds, as pax with everything, all but that FIFOs have several names', { skip: needsTar }, async () => {
    const folder = newFolder()
    tar(
      source,
      '--exclude=./rare/special/fifo-too',
      '--format=pax',
      '--sparse',
      ...EVERYTHING,
      '-cf',
      `${folder}/a.tar`,
      '.',
    )
    const copy = path.join(folder, 'copy')
    execFileSync('cp', ['-a', '--sparse=auto', source, copy])
    execFileSync('rm', ['-f', `${copy}/rare/special/fifo-too`])
    const times = execFileSync('stat', ['-c', '%y', `${source}/rare/special`], { encoding: 'utf8' }).trim()
    execFileSync('touch', ['-h', '-d', times, `${copy}/rare/special`])
    assert.equal((await importFrom(`${folder}/a.tar`)).snapshot.tree, (await createFrom(copy)).snapshot.tree)
  })

  for (const format of ['pax', 'gnutar', 'ustar']) {
    const skip = needs(hasCommand('bsdtar', '--version') && IS_ROOT, 'needs bsdtar and root')
    it(`of bsdtar, ${format}: is imported as if it had been extracted and backed up`, { skip }, async () => {
      const folder = newFolder()
      const [from, to] = [`${folder}/from`, `${folder}/to`]
      for (const made of [from, to, `${from}/${'d'.repeat(90)}`]) mkdirSync(made)
      writeFileSync(`${from}/f`, 'content')
      writeFileSync(`${from}/${'d'.repeat(90)}/${'n'.repeat(90)}`, 'deep')
      execFileSync('sh', ['-c', 'ln f hard; ln -s f link; mkfifo fifo; chmod 6711 f; touch -d @-5 link'], { cwd: from })
      execFileSync('setfattr', ['-n', 'user.name', '-v', 'value', `${from}/f`])
      // The mode in the archive is not that of the file then.
      execFileSync('setfacl', ['-m', 'u:4711:rw,g:bin:x', `${from}/f`])
      execFileSync('bsdtar', ['-cf', `${folder}/a.tar`, '--format', format, '.'], { cwd: from })
      execFileSync('bsdtar', ['-xpf', `${folder}/a.tar`], { cwd: to })
      assert.equal((await importFrom(`${folder}/a.tar`)).snapshot.tree, (await createFrom(to)).snapshot.tree)
    })
  }

  it('is read through the programs that compress it', { skip: needsTar }, async () => {
    for (const [letter, program] of [
      ['J', 'xz'],
      ['j', 'bzip2'],
      ['z', 'gzip'],
    ] as const) {
      if (needs(hasCommand(program, '--version'), `needs ${program}`)) continue
      const file = path.join(newFolder(), 'unnamed')
      tar(path.join(source, 'modes'), '--format=gnu', `-c${letter}f`, file, '.')
      const plain = path.join(newFolder(), 'plain')
      tar(path.join(source, 'modes'), '--format=gnu', '-cf', plain, '.')
      assert.equal((await importFrom(file)).snapshot.tree, (await importFrom(plain)).snapshot.tree, program)
    }
  })

  it('may be several, one behind the other', { skip: needsTar }, async () => {
    const folder = newFolder()
    for (const part of ['wide', 'sizes']) tar(source, '-cf', `${folder}/${part}`, part)
    execFileSync('sh', ['-c', 'cat wide sizes > both'], { cwd: folder })
    const file = `${folder}/both`
    const one = await importArchive(repository.access, { file, name: 'one', workers: 1 })
    const two = await importArchive(repository.access, { file, name: 'two', workers: 1, ignoreZeros: true })
    assert.deepEqual([one.issues, two.issues], [1, 0])
    assert.equal(two.snapshot.stats.filesNew - one.snapshot.stats.filesNew, 11)
  })
})
