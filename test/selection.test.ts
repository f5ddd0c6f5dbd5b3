/** What a backup takes and leaves out, by every option for it: compared with Borg, with git, and a dry run with a real one. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { dryRunCreate } from '../src/operations/create-dry-run.ts'
import type { CreateEvent, SelectionOptions } from '../src/operations/create.ts'
import { parsePatternOptions } from '../src/operations/patterns.ts'
import { hasPrograms, newFileSystem, run } from '../src/platform/testing.ts'
import { jsonLines } from './cli/harness.ts'
import { Program } from './program.ts'
import { TestRepository, newFolder } from './testing.ts'

/** Makes files with their folders; a name that ends in a slash is an empty folder. */
function makeFiles(root: string, names: readonly string[], content = 'x'): void {
  for (const name of names) {
    mkdirSync(path.join(root, name.endsWith('/') ? name : path.dirname(name)), { recursive: true })
    if (!name.endsWith('/')) writeFileSync(path.join(root, name), content)
  }
}

/** What would be saved and what is left out: the lines of `create --dry-run --list`, sorted. */
function dryRun(program: Program, args: readonly string[], cwd: string): string[] {
  const { status, stdout, stderr } = program.run(['create', '-r', program.repository, '-n', '--list', '-q', ...args], {
    cwd,
  })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter(Boolean).sort()
}

/** The files of Borg's documentation (`borg help patterns`), and some beside them. */
const HOMES = [
  'etc/junk',
  'etc/passwd',
  'home/user/file.o',
  'home/user/file.odt',
  'home/user/junk',
  'home/user/subdir/junk',
  'home/user/importantjunk',
  'home/user/cache/important',
  'home/user/cache/deep/er',
  'home/user/.thumbnails/large/1.png',
  'home/user/.cache/x',
  'home/user/Downloads/big.iso',
  'home/user.tmp/in',
  'home/susan/.cache/y',
  'home/susan/letter',
  'home/bobby/specialfile.txt',
  'home/bobby/other',
  'aa:something/f',
  'some file with spaces.txt',
  'pics/2018/good/1.jpg',
  'pics/2018/bad/2.jpg',
  'pics/2019/3.jpg',
  'proc/1/stat',
  'empty/',
]
const TOP = ['aa:something', 'empty', 'etc', 'home', 'pics', 'proc', 'some file with spaces.txt']

const EXCLUDE_FILE = `# Comment line
home/*/junk
*.tmp
fm:aa:something/*
re:^home/[^/]+\\.tmp/
sh:home/*/.thumbnails
# Example with spaces, no need to escape as it is processed by borg
some file with spaces.txt
`
const PATTERN_FILE = `# "sh:" pattern style is the default, so the following line is not needed:
P sh
R home
R proc
# can be rebuild
- home/*/.cache
# they're downloads for a reason
- home/*/Downloads
# susan is a nice person
# include susans home
+ home/susan
# also back up this exact file
+ pf:home/bobby/specialfile.txt
# don't backup the other home directories
- home/*
# don't even look in /proc
! proc
`

/** Options, and paths, as on both command lines. */
const LIKE_BORG: readonly (readonly [options: readonly string[], paths: readonly string[]])[] = [
  [['-e', '*.o'], TOP],
  [['-e', 'home/*/junk'], TOP],
  [['-e', 'home/user/cache/'], TOP],
  [
    ['-e', 'home/user/cache/'],
    ['home', 'home/user/cache/important'],
  ],
  [['--exclude', 're:^home/[^/]+\\.tmp/'], TOP],
  [['--exclude-from', 'exclude.txt'], TOP],
  [['--pattern=+pics/2018/good', '--pattern=-pics/2018'], ['pics']],
  [['--patterns-from', 'patterns.lst'], []],
  // The four options in one order and the other.
  [['--pattern=+home/user/junk', '-e', 'home/*/junk', '--exclude-from', 'exclude.txt'], TOP],
  [['--exclude-from', 'exclude.txt', '-e', 'home/*/junk', '--pattern=+home/user/junk'], TOP],
  [['--patterns-from', 'patterns.lst', '--pattern=- **/letter', '-e', '**/.cache'], []],
  [['-e', '**/.cache', '--pattern=- **/letter', '--patterns-from', 'patterns.lst'], []],
  // What is named may be left out.
  [
    ['-e', '*/file.*'],
    ['home/user/file.o', 'home/user/junk', 'etc'],
  ],
  [
    ['--pattern=+ home/susan', '--pattern=- **'],
    ['home', 'etc'],
  ],
  [
    ['-e', 'home'],
    ['home', 'etc'],
  ],
  [['--pattern=! home/user', '--pattern=+ home/user/junk'], ['home']],
  [['--exclude-caches'], ['tagged']],
  [['--exclude-if-present', '.nobackup', '--exclude-if-present', 'other'], ['tagged']],
  [['--exclude-if-present', '.nobackup', '--exclude-caches', '--keep-exclude-tags'], ['tagged']],
]

function makeBorgTree(): string {
  const folder = newFolder()
  makeFiles(folder, HOMES)
  writeFileSync(`${folder}/exclude.txt`, EXCLUDE_FILE)
  writeFileSync(`${folder}/patterns.lst`, PATTERN_FILE)
  makeFiles(folder, [
    'tagged/cache/f',
    'tagged/fake/CACHEDIR.TAG',
    'tagged/fake/f',
    'tagged/a/.nobackup',
    'tagged/a/b/c',
    'tagged/o/other',
  ])
  writeFileSync(`${folder}/tagged/cache/CACHEDIR.TAG`, 'Signature: 8a477f597d28d172789f06886806bc55\nand more')
  return folder
}

describe('create --dry-run --list', () => {
  it("leaves out what Borg leaves out, for the examples of Borg's documentation and the order of options", (t) => {
    if (!hasPrograms(t, 'borg')) return
    const program = new Program()
    const cwd = makeBorgTree()
    const borg = new BorgRepository()
    for (const [options, paths] of LIKE_BORG) {
      const ours = dryRun(program, [...options, ...paths], cwd)
      assert.deepEqual(filesIn(ours, cwd), filesIn(borg.dryRun(options, paths, cwd), cwd), options.join(' '))
    }
  })

  it('stays in one file system as Borg does', (t) => {
    if (!hasPrograms(t, 'borg')) return
    const cwd = newFolder()
    const mounted = newFileSystem(t, 'tmpfs')
    if (!mounted) return
    makeFiles(cwd, ['source/f', 'source/mounted/'])
    run('mount', '--bind', mounted.directory, `${cwd}/source/mounted`)
    t.after(() => run('umount', '-l', `${cwd}/source/mounted`))
    makeFiles(cwd, ['source/mounted/g'])
    const program = new Program()
    const lines = dryRun(program, ['-x', 'source'], cwd)
    assert.deepEqual(lines, ['- source', '- source/f', '- source/mounted'])
    assert.ok(dryRun(program, ['source'], cwd).includes('- source/mounted/g'))
    assert.deepEqual(new BorgRepository().dryRun(['-x'], ['source'], cwd), lines)
  })

  it('has an object a line with --json, whatever the names', () => {
    const program = new Program()
    const cwd = newFolder()
    makeFiles(cwd, ['s/a\nb', 's/left out', 's/ü'], 'twelve bytes')
    const { status, stdout } = program.run(['create', '-n', '--list', '--json', '-e', '*/left*', 's'], { cwd })
    assert.equal(status, 0)
    const lines = jsonLines(stdout)
    const entries = lines.filter((line) => line['message_type'] === 'verbose_status')
    assert.deepEqual(
      entries.map(({ status: letter, item, data_size: size }) => [letter, item, size]).sort(),
      [
        ['-', 's', 0],
        ['-', 's/a\nb', 12],
        ['-', 's/ü', 12],
        ['x', 's/left out', 0],
      ].sort(),
    )
    const { total_duration: _, ...summary } = lines.at(-1) ?? {}
    assert.deepEqual(summary, {
      message_type: 'summary',
      dry_run: true,
      total_files_processed: 2,
      dirs_total: 1,
      total_bytes_processed: 24,
      error_count: 0,
    })
  })
})

/**
 * The lines about files that are saved. A folder that is left out but for something in it is saved by us and not by Borg, and
 * which left-out folders are looked into, each file of them listed, is nobody's promise.
 */
function filesIn(lines: readonly string[], cwd: string): string[] {
  return lines.filter((line) => line.startsWith('- ') && lstatSync(path.join(cwd, line.slice(2))).isFile())
}

/** Borg, without encryption. */
class BorgRepository {
  readonly #folder = newFolder()
  readonly #env = {
    PATH: process.env['PATH'],
    BORG_BASE_DIR: this.#folder,
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    LC_ALL: 'C.UTF-8',
  }

  constructor() {
    execFileSync('borg', ['init', '-e', 'none', `${this.#folder}/repository`], { env: this.#env, stdio: 'pipe' })
  }

  dryRun(options: readonly string[], paths: readonly string[], cwd: string): string[] {
    const given = ['create', '-n', '--list', ...options, `${this.#folder}/repository::n`, ...paths]
    const { status, stderr } = spawnSync('borg', given, { cwd, env: this.#env, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    return stderr.split('\n').filter(Boolean).sort()
  }
}

describe('patterns', () => {
  it('that match nothing change nothing, and what they leave out counts as nothing missing', () => {
    const program = new Program()
    const cwd = newFolder()
    makeFiles(cwd, ['s/a', 's/b/c'])
    const all = program.create(['s', '-e', 'nothing/like/it', '--pattern=- */nor this', '--pattern=+ nowhere'], { cwd })
    assert.deepEqual(all.letters, { s: 'd', 's/a': 'A', 's/b': 'd', 's/b/c': 'A' })
    for (const pattern of ['s/b', 'sh:**/c', 's/', 's']) {
      const { letters, issues, summary } = program.create(['s', '-e', pattern], { cwd })
      assert.ok(Object.values(letters).includes('x'))
      assert.deepEqual([issues, summary['incomplete'], summary['error_count']], [[], false, 0], pattern)
    }
    assert.deepEqual(Object.keys(program.nodes()), [])
  })

  it('may take what lies in folders that they leave out', () => {
    const program = new Program()
    const cwd = newFolder()
    makeFiles(cwd, ['s/out/keep/f', 's/out/g', 's/in'])
    const { letters } = program.create(['s', '--pattern=+ s/out/keep', '--pattern=- s/out'], { cwd })
    assert.deepEqual(letters, {
      s: 'd',
      's/in': 'A',
      's/out': 'd',
      's/out/g': 'x',
      's/out/keep': 'd',
      's/out/keep/f': 'A',
    })
    assert.deepEqual(Object.keys(program.nodes()), ['s', 's/in', 's/out', 's/out/keep', 's/out/keep/f'])
  })

  it('name the roots of a backup, together with those that are given', () => {
    const program = new Program()
    const cwd = newFolder()
    makeFiles(cwd, ['a/f', 'b/f', 'c/f', 'd/f'])
    writeFileSync(`${cwd}/rules`, 'R b\n- */f\n')
    const { letters } = program.create(['--patterns-from', 'rules', '--pattern', 'R a', 'c'], { cwd })
    assert.deepEqual(letters, { a: 'd', 'a/f': 'x', b: 'd', 'b/f': 'x', c: 'd', 'c/f': 'x' })
  })

  it('that make no sense are refused with the file, the line and its number, and nothing is saved', () => {
    const program = new Program()
    const cwd = newFolder()
    makeFiles(cwd, ['s/a'])
    const rows: [option: string, content: string, message: RegExp][] = [
      ['--exclude-from', '# fine\n\n*.o\nre:(open\n', /line 4 of rules, 're:\(open'/],
      ['--exclude-from', 'xx:y', /line 1 of rules, 'xx:y': unknown pattern style 'xx'/],
      ['--patterns-from', '+ a\r\n\r\nb\r\n', /line 3 of rules, 'b': it has to start with one of/],
      ['--patterns-from', '- ', /line 1 of rules, '-': nothing follows '-'/],
      ['--patterns-from', 'P nope', /line 1 of rules/],
    ]
    for (const [option, content, message] of rows) {
      writeFileSync(`${cwd}/rules`, content)
      const { status, stderr, stdout } = program.run(['create', '-r', program.repository, option, 'rules', 's'], {
        cwd,
      })
      assert.match(stderr, message)
      assert.match(stderr, /^cairn: error: [^\n]+\n$/)
      assert.deepEqual([status, stdout], [2, ''])
    }
    for (const [option, value, message] of [
      ['--exclude-from', 'missing', /Cannot read the patterns in missing: /],
      ['--patterns-from', 's', /Cannot read the patterns in s: /],
      ['--pattern', 'sh:x', /--pattern 'sh:x'/],
      ['-e', 're:[', /'re:\['/],
    ] as const) {
      const { status, stderr } = program.run(['create', '-r', program.repository, option, value, 's'], { cwd })
      assert.match(stderr, message)
      assert.equal(status, 2, stderr)
    }
    assert.equal(program.succeed(['list', program.repository, '-q']), '')
  })
})

/** Paths of everything in the latest snapshot but folders, sorted. */
function filesOf(program: Program): string[] {
  return Object.values(program.nodes())
    .filter(({ type }) => type !== 'dir')
    .map((node) => String(node['path']))
    .sort()
}

const GIT_FILES = [
  'README',
  'build/out.o',
  'build/keep/me',
  'src/main.c',
  'src/main.o',
  'src/important.o',
  'src/gen/table.c',
  'src/gen/.gitignore',
  'docs/a.tmp',
  'docs/deep/er/b.tmp',
  'docs/deep/er/c',
  'vendor/lib/x',
  'vendor/lib/y.o',
  'node_modules/p/index.js',
  'sub/node_modules/q/index.js',
  'sub/build/z',
  'spaces/ends ',
  'spaces/x',
  '#hash',
  '!bang',
  '[odd]/f',
  'ö/ö.o',
]

describe('--ignore-file', () => {
  it('takes what git would add to a repository', (t: TestContext) => {
    if (!hasPrograms(t, 'git')) return
    const cwd = newFolder()
    makeFiles(cwd, GIT_FILES)
    for (const [file, text] of Object.entries({
      '.gitignore':
        '*.o\n!important.o\n/build/\nnode_modules/\ndocs/**/*.tmp\n\\#hash\nvendor/*\n!vendor/lib\n\\[odd\\]/\nspaces/ends\\ \n',
      'src/gen/.gitignore': '*\n!.gitignore\n',
      'vendor/lib/.gitignore': '!*.o\n/x\n',
      'sub/.gitignore': '!build/\n',
    }))
      writeFileSync(`${cwd}/${file}`, text)
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd, env: { PATH: process.env['PATH'], HOME: newFolder() }, encoding: 'utf8' })
    git('init', '-q')
    const wanted = git('ls-files', '-z', '--others', '--exclude-standard').split('\0').filter(Boolean).sort()
    assert.ok(wanted.length > 10 && wanted.length < GIT_FILES.length)
    const program = new Program()
    program.create(['.', '--ignore-file', '.gitignore', '-e', 'pp:.git'], { cwd })
    assert.deepEqual(filesOf(program), wanted)
  })

  it('can have several names, and none of the files needs to be there', () => {
    const cwd = newFolder()
    makeFiles(cwd, ['s/a', 's/b', 's/c', 's/sub/a'])
    writeFileSync(`${cwd}/s/.ignore`, '/a\n')
    writeFileSync(`${cwd}/s/.cairnignore`, 'b\n')
    const program = new Program()
    const options = ['--ignore-file', '.ignore', '--ignore-file', '.cairnignore', '--ignore-file', '.nowhere']
    const { letters } = program.create(['s', ...options], { cwd })
    assert.deepEqual(
      Object.keys(letters).filter((name) => letters[name] === 'x'),
      ['s/a', 's/b'],
    )
    assert.deepEqual(filesOf(program), ['s/.cairnignore', 's/.ignore', 's/c', 's/sub/a'])
  })
})

describe('--include-file', () => {
  it('takes only what the file lists, of that what is not ignored, and everything where there is no such file', () => {
    const cwd = newFolder()
    makeFiles(cwd, [
      's/app/data/1.db',
      's/app/data/2.log',
      's/app/cache/x',
      's/app/conf',
      's/plain/y',
      's/plain/z.log',
      's/none/q',
    ])
    writeFileSync(`${cwd}/s/app/.backup_include`, '# what counts\ndata/\n/conf\n')
    writeFileSync(`${cwd}/s/none/.backup_include`, 'nothing-of-this-name\n')
    writeFileSync(`${cwd}/s/.gitignore`, '*.log\n')
    const program = new Program()
    program.create(['s', '--include-file', '.backup_include', '--ignore-file', '.gitignore'], { cwd })
    assert.deepEqual(filesOf(program), ['s/.gitignore', 's/app/conf', 's/app/data/1.db', 's/plain/y'])
    program.create(['s', '--include-file', '.backup_include'], { cwd })
    assert.deepEqual(filesOf(program), [
      's/.gitignore',
      's/app/conf',
      's/app/data/1.db',
      's/app/data/2.log',
      's/plain/y',
      's/plain/z.log',
    ])
  })
})

describe('--exclude-larger-than', () => {
  it('leaves out larger files, by their size and not the space they take', () => {
    const cwd = newFolder()
    makeFiles(cwd, ['s/exact', 's/more', 's/sparse', 's/empty'], '')
    truncateSync(`${cwd}/s/exact`, 10 << 10)
    writeFileSync(`${cwd}/s/more`, Buffer.alloc((10 << 10) + 1))
    truncateSync(`${cwd}/s/sparse`, 1 << 30)
    const program = new Program()
    const { letters } = program.create(['s', '--exclude-larger-than', '10K'], { cwd })
    assert.deepEqual(letters, { s: 'd', 's/empty': 'A', 's/exact': 'A', 's/more': 'x', 's/sparse': 'x' })
    const { status, stderr } = program.run(['create', '-n', '--exclude-larger-than', 'ten', 's'], { cwd })
    assert.deepEqual([status, /size like 500K/.test(stderr)], [2, true])
  })
})

const NAMES = ['a', 'b', 'a.o', 'c.tmp', 'CACHEDIR.TAG', '.skip', '.ignore', '.take']
const RULES = ['*', '!a', 'b/', '/a', 'a/b', '**/b', '*.o', '']
const PATTERNS = ['*/a', '*.o', 'source/b', 'source/a/', 're:tmp$', 'sh:**/b/*', 'pp:source/a/b', 'pf:source/a']

const anySelection = fc.record({
  patterns: fc.array(fc.tuple(fc.constantFrom('+', '-', '!'), fc.constantFrom(...PATTERNS)), { maxLength: 3 }),
  ignoreFiles: fc.subarray(['.ignore']),
  includeFiles: fc.subarray(['.take']),
  excludeCaches: fc.boolean(),
  excludeIfPresent: fc.subarray(['.skip']),
  keepExcludeTags: fc.boolean(),
  excludeLargerThanBytes: fc.option(fc.constant(9), { nil: undefined }),
})
const anyFile = fc.tuple(
  fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }),
  fc.constantFrom(...RULES, 'more than nine bytes', 'Signature: 8a477f597d28d172789f06886806bc55'),
)

describe('a dry run', () => {
  it('lists what a real run saves and leaves out, whatever the tree and the options', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    await fc.assert(
      fc.asyncProperty(fc.array(anyFile, { minLength: 3, maxLength: 15 }), anySelection, async (files, given) => {
        const folder = newFolder()
        const source = `${folder}/source`
        mkdirSync(source)
        for (const [parts, text] of files) {
          try {
            makeFiles(source, [parts.join('/')], text)
          } catch {
            // A name is taken by a folder, or by a file where a folder is wanted.
          }
        }
        const options = given.patterns.map(
          ([sign, pattern]) => ({ kind: 'pattern', value: `${sign} ${pattern}` }) as const,
        )
        const selection: Partial<SelectionOptions> = { ...given, patterns: parsePatternOptions(options).rules }
        const previous = process.cwd()
        process.chdir(folder)
        try {
          const real = await repository.create(['source'], { selection })
          const events: CreateEvent[] = []
          const dry = await dryRunCreate(repository.access, {
            paths: ['source'],
            selection,
            listEntries: true,
            onEvent: (event) => events.push(event),
          })
          assert.deepEqual(listed(events), listed(real.events))
          const { filesNew, filesChanged, filesUnmodified, directories, originalBytes } = real.snapshot.stats
          assert.deepEqual(
            [dry.files, dry.directories, dry.bytes, dry.issues],
            [filesNew + filesChanged + filesUnmodified, directories, originalBytes, real.issues],
          )
          const { target } = await repository.extract()
          assert.deepEqual(
            readdirSync(target, { recursive: true, encoding: 'utf8' }).sort(),
            listed(real.events).flatMap((line) => (line.startsWith('-') ? [line.slice(2)] : [])),
          )
        } finally {
          process.chdir(previous)
        }
      }),
      { numRuns: 25 },
    )
  })
})

/** Lines as of a dry run: what is saved has `-`. */
function listed(events: readonly CreateEvent[]): string[] {
  return events
    .flatMap((event) => (event.type === 'entry' ? [`${event.status === 'x' ? 'x' : '-'} ${event.path}`] : []))
    .sort()
}
