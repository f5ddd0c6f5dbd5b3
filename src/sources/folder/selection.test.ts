import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, it } from 'node:test'
import { toSystemPath } from '../../base/raw-name.ts'
import { FILE_FLAGS, setFileFlags } from '../../platform/file-flags.ts'
import { newDirectory, newFileSystem, skip, SKIP_UNLESS_ROOT } from '../../platform/testing.ts'
import { openFolderSource, type FolderSourceOptions } from '../folder-source.ts'
import { parseExclude, parsePattern } from '../patterns.ts'
import { walkSource } from '../testing.ts'

const CACHE_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55'

/** A folder with these files, by path. */
function newTree(files: Record<string, string>, root = newDirectory()): string {
  for (const [path, content] of Object.entries(files)) {
    const systemPath = toSystemPath(`${root}/${path}`)
    mkdirSync(dirname(`${root}/${path}`), { recursive: true })
    writeFileSync(systemPath, content)
  }
  return root
}

/** Paths that a walk takes, and with `x ` in front those that it leaves out. */
async function selected(root: string, options: FolderSourceOptions): Promise<string[]> {
  const { paths, excluded, issues } = await walkSource(
    openFolderSource(['.'], root, { listExcluded: true, ...options }),
  )
  assert.deepEqual(issues, [])
  return [...paths, ...excluded.map((path) => `x ${path}`)]
}

describe('a selection', () => {
  it('leaves out directories with a valid CACHEDIR.TAG, and no others', async () => {
    const root = newTree({
      'valid/CACHEDIR.TAG': `${CACHE_SIGNATURE}\nand more`,
      'valid/f': '',
      'valid/d/f': '',
      'exact/CACHEDIR.TAG': CACHE_SIGNATURE,
      'short/CACHEDIR.TAG': CACHE_SIGNATURE.slice(0, -1),
      'empty/CACHEDIR.TAG': '',
      'wrong/CACHEDIR.TAG': CACHE_SIGNATURE.toUpperCase(),
      'late/CACHEDIR.TAG': ` ${CACHE_SIGNATURE}`,
      'other/cachedir.tag': CACHE_SIGNATURE,
      'directory/CACHEDIR.TAG/f': '',
      'link/f': '',
      'fifo/f': '',
    })
    symlinkSync('../exact/CACHEDIR.TAG', `${root}/link/CACHEDIR.TAG`)
    execFileSync('mkfifo', [`${root}/fifo/CACHEDIR.TAG`]) // and nobody waits for a writer
    const without = await selected(root, { excludeCaches: true })
    assert.deepEqual(
      without.filter((path) => path.startsWith('x ')),
      ['x exact', 'x valid'],
    )
    const names = ['directory', 'empty', 'fifo', 'late', 'link', 'other', 'short', 'wrong']
    assert.deepEqual(
      without.filter((path) => !path.includes('/') && !path.startsWith('x ')),
      names,
    )
    const keeping = await selected(root, { excludeCaches: true, keepExcludeTags: true })
    assert.deepEqual(
      keeping.filter((path) => /valid|exact/.test(path)),
      ['exact', 'exact/CACHEDIR.TAG', 'valid', 'valid/CACHEDIR.TAG'],
    )
  })

  it('leaves out directories in which a file lies, whatever it is, in the order of raw bytes', async () => {
    const tags = ['.nobackup', '\uffff', '\u{1f600}']
    const root = newTree({ 'a/.nobackup': 'x', 'a/f': '', 'b/f': '', 'c/\u{1f600}': '', 'c/\uffff': '', 'c/f': '' })
    assert.deepEqual(await selected(root, { excludeIfPresent: tags }), ['b', 'b/f', 'x a', 'x c'])
    assert.deepEqual(await selected(root, { excludeIfPresent: tags, keepExcludeTags: true }), [
      'a',
      'a/.nobackup',
      'b',
      'b/f',
      'c',
      'c/\uffff',
      'c/\u{1f600}',
    ])
    // The folder itself may be one.
    assert.deepEqual(await selected(`${root}/a`, { excludeIfPresent: tags }), ['x .'])
  })

  it('leaves out what is larger than so much, and what has the flag', { skip: SKIP_UNLESS_ROOT }, async (t) => {
    const system = newFileSystem(t, 'ext4')
    if (!system) return
    const root = newTree({ 'a/f': '12345', 'a/g': '123456', 'b/f': '', c: '' }, system.directory)
    symlinkSync('x'.repeat(50), `${root}/a/link`)
    truncateSync(`${root}/c`, 2 ** 33)
    setFileFlags(`${root}/b`, FILE_FLAGS.NODUMP)
    setFileFlags(`${root}/a/f`, FILE_FLAGS.NODUMP)
    const rest = ['a', 'a/f', 'a/g', 'a/link', 'b', 'b/f', 'c', 'lost+found']
    assert.deepEqual(await selected(root, {}), rest)
    assert.deepEqual(await selected(root, { excludeNodump: true }), [
      'a',
      'a/g',
      'a/link',
      'c',
      'lost+found',
      'x a/f',
      'x b',
    ])
    assert.deepEqual(await selected(root, { excludeLargerThanBytes: 50 }), [
      ...rest.filter((path) => path !== 'c'),
      'x c',
    ])
    assert.deepEqual(
      (await selected(root, { excludeLargerThanBytes: 5 })).filter((path) => path.startsWith('x')),
      ['x a/g', 'x a/link', 'x c'],
    )
  })

  it('goes by the ignore files of all directories above', async () => {
    const root = newTree({
      '.ignore': '*.o\n/top\n!keep.o\n',
      'a.o': '',
      'keep.o': '',
      'top/f': '',
      'd/top/f': '',
      'd/.ignore': '!a.o\nkeep.o\n',
      'd/a.o': '',
      'd/b.o': '',
      'd/keep.o': '',
      'd/e/.other': 'f\n',
      'd/e/f': '',
    })
    const want = ['.ignore', 'd', 'd/.ignore', 'd/a.o', 'd/e', 'd/e/.other', 'd/e/f', 'd/top', 'd/top/f', 'keep.o']
    const left = ['x a.o', 'x d/b.o', 'x d/keep.o', 'x top']
    assert.deepEqual(await selected(root, { ignoreFiles: ['.ignore'] }), [...want, ...left])
    assert.deepEqual(await selected(root, { ignoreFiles: ['.ignore', '.other'] }), [
      ...want.filter((path) => path !== 'd/e/f'),
      'x a.o',
      'x d/b.o',
      'x d/e/f',
      'x d/keep.o',
      'x top',
    ])
  })

  it(
    'passes over an ignore file that cannot be read, is no file, or is a symlink',
    { skip: SKIP_UNLESS_ROOT },
    async (t) => {
      const root = newTree({
        'closed/.ignore': 'f',
        'closed/f': '',
        'link/f': '',
        'dir/.ignore/f': '',
        'fifo/f': '',
        rules: 'f',
      })
      symlinkSync('../rules', `${root}/link/.ignore`)
      execFileSync('mkfifo', [`${root}/fifo/.ignore`])
      chmodSync(root, 0o755)
      chmodSync(`${root}/closed/.ignore`, 0)
      process.seteuid?.(65534)
      try {
        if (!existsSync(import.meta.filename)) return skip(t, 'other users cannot reach this checkout')
        const paths = await selected(root, { ignoreFiles: ['.ignore'] })
        for (const name of ['closed', 'link', 'fifo', 'dir/.ignore']) assert.ok(paths.includes(`${name}/f`), name)
        assert.ok(paths.includes('closed/.ignore'))
      } finally {
        process.seteuid?.(0)
      }
    },
  )

  it('has a directory of which only something is wanted when there is such a thing, and not otherwise', async () => {
    const files: Record<string, string> = {
      '.include': 'wanted\n/all/\n!/all/not\n',
      'all/f': '',
      'all/not': '',
      'all/d/f': '',
    }
    files['a/b/c/wanted'] = ''
    files['a/b/other'] = ''
    files['empty/d/e/f'] = ''
    files['z/y/x'] = ''
    for (let i = 0; i < 1200; i++) files[`between/${i}`] = '' // so that batches end on the way
    files['between/zz/wanted'] = ''
    const root = newTree(files)
    const want = [
      'a',
      'a/b',
      'a/b/c',
      'a/b/c/wanted',
      'all',
      'all/d',
      'all/d/f',
      'all/f',
      'between',
      'between/zz',
      'between/zz/wanted',
    ]
    for (const threads of [1, 4])
      assert.deepEqual(await selected(root, { includeFiles: ['.include'], threads, listExcluded: false }), want)
  })

  it('keeps the order of a walk, and what its rules say, with several kinds of rules at once', async () => {
    const root = newTree({
      '.ignore': 'tmp\n',
      'a/tmp/f': '',
      'a/f.o': '',
      'a/g': '',
      'b/.nobackup': '',
      'b/g': '',
      'c/CACHEDIR.TAG': CACHE_SIGNATURE,
      'c/d/g': '',
      'd/e/g': '',
      large: 'x'.repeat(100),
    })
    const options = {
      patterns: [parsePattern('+ d/e/g'), parseExclude('*.o'), parseExclude('d')].filter((rule) => rule !== undefined),
      ignoreFiles: ['.ignore'],
      excludeCaches: true,
      excludeIfPresent: ['.nobackup'],
      excludeLargerThanBytes: 50,
    } as FolderSourceOptions
    const paths = await selected(root, options)
    assert.deepEqual(
      paths.filter((path) => !path.startsWith('x ')),
      ['.ignore', 'a', 'a/g'],
    )
    assert.deepEqual(paths.filter((path) => path.startsWith('x ')).toSorted(), [
      'x a/f.o',
      'x a/tmp',
      'x b',
      'x c',
      'x d',
      'x large',
    ])
  })
})
