import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { type TestContext, after, describe, it } from 'node:test'
import fc from 'fast-check'
import { fromRawName, toRawName, toSystemPath } from '../../base/raw-name.ts'
import {
  LATIN1_NAME,
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  hasPrograms,
  newDirectory,
  newFileSystem,
  skip,
} from '../../platform/testing.ts'
import { anyName } from '../../snapshot/testing.ts'
import type { SourceEntry, SourceIssue } from '../source.ts'
import { readBatch } from './entry-batch.ts'
import { FolderWalk, type WalkPart, type WalkRoot } from './folder-walk.ts'
import { NOTHING_EXCLUDED, Selection, type SelectionOptions } from './selection.ts'

interface Walked {
  readonly entries: SourceEntry[]
  readonly paths: string[]
  /** `CODE path`. */
  readonly issues: string[]
}

/** Walks a folder; `between` is called after each batch. */
function walk(systemPath: string, path = '', between: () => void = () => undefined): Walked {
  const issues: SourceIssue[] = []
  const entries: SourceEntry[] = []
  const folderWalk = new FolderWalk({ systemPath, path }, new Selection(NOTHING_EXCLUDED))
  for (let done = false; !done;) {
    const next = folderWalk.next()
    done = next.done
    entries.push(...readBatch(next.batch, { atime: false, names: true }))
    issues.push(...next.batch.issues)
    between()
  }
  return {
    entries,
    paths: entries.map(({ path }) => path),
    issues: issues.map(({ code, path }) => `${code} ${path}`),
  }
}

/** Walks a folder with some selection, `split`ting off the rest at moments that `wantsSplit` picks; each part is walked as a whole. */
function walkInParts(systemPath: string, selection: Partial<SelectionOptions>, wantsSplit: () => boolean): Walked {
  const options = { ...NOTHING_EXCLUDED, ...selection }
  // Few entries a batch, so that there are many moments.
  const newWalk = (start: WalkRoot | WalkPart): FolderWalk => new FolderWalk(start, new Selection(options), 3)
  const walks = [newWalk({ systemPath, path: '' })]
  const entries: SourceEntry[] = []
  const issues: string[] = []
  for (let first = walks[0]; first; first = walks[0]) {
    const { batch, done } = first.next()
    entries.push(...readBatch(batch, { atime: false, names: true }))
    issues.push(...batch.issues.map(({ code, path }) => `${code} ${path}`))
    if (done) {
      walks.shift()
      continue
    }
    const part = wantsSplit() ? first.split() : undefined
    if (part) walks.splice(1, 0, newWalk(structuredClone(part)))
  }
  return { entries, paths: entries.map(({ path }) => path), issues }
}

/** The same walk by other means: bytes only, sorted by `Buffer.compare`. */
function rawWalk(folder: Buffer, prefix: Buffer = Buffer.alloc(0)): Buffer[] {
  const slash = Buffer.from('/')
  return readdirSync(folder, { encoding: 'buffer', withFileTypes: true })
    .sort((a, b) => Buffer.compare(a.name, b.name))
    .flatMap((entry) => {
      const path = Buffer.concat([prefix, entry.name])
      if (!entry.isDirectory()) return [path]
      return [path, ...rawWalk(Buffer.concat([folder, slash, entry.name]), Buffer.concat([path, slash]))]
    })
}

describe('FolderWalk', () => {
  it('goes in the order of raw bytes, each directory before its content, whatever the names', () => {
    const anyPaths = fc.array(fc.array(anyName, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(anyPaths, (paths) => {
        const root = newDirectory()
        for (const parts of paths) mkdirSync(toSystemPath([root, ...parts].join('/')), { recursive: true })
        const { paths: found, issues } = walk(root)
        assert.deepEqual(found.map(toRawName), rawWalk(Buffer.from(root)))
        assert.deepEqual(issues, [])
      }),
      { numRuns: 40 },
    )
  })

  it('keeps names that are not UTF-8, hold newlines, or are as long as can be', () => {
    const root = newDirectory()
    const names = [
      LATIN1_NAME,
      'new\nline',
      'x'.repeat(255),
      fromRawName(Buffer.alloc(255, 0xfe)),
      '\u{1f600}',
      '\ufffd',
      ' ',
      '...',
    ]
    for (const name of names) writeFileSync(toSystemPath(`${root}/${name}`), '')
    const { paths } = walk(root)
    assert.deepEqual(paths.toSorted(), names.toSorted())
  })

  it('tells everything there is to know of an entry', () => {
    const root = newDirectory()
    mkdirSync(`${root}/d`)
    writeFileSync(`${root}/d/f`, 'twelve bytes')
    chmodSync(`${root}/d/f`, 0o4711)
    symlinkSync(toSystemPath(`../${LATIN1_NAME}`), `${root}/d/l`)
    linkSync(`${root}/d/f`, `${root}/d/same`)
    execFileSync('mkfifo', [`${root}/d/p`])
    execFileSync('touch', ['-h', '-d', '@1234567890.123456789', `${root}/d/f`, `${root}/d/l`])
    const { entries } = walk(`${root}/d`, 'x/d')
    const [d, f, l, p, same] = entries
    assert.deepEqual([d?.path, d?.name, d?.depth, d?.type, d?.sizeBytes], ['x/d', 'd', 2, 'dir', 0])
    assert.deepEqual([f?.path, f?.depth, f?.type, f?.sizeBytes], ['x/d/f', 3, 'file', 12])
    assert.deepEqual([f?.mode, f?.mtimeNs], [0o4711, 1_234_567_890_123_456_789n])
    assert.deepEqual([f?.inode, f?.ctimeNs], [same?.inode, same?.ctimeNs])
    assert.deepEqual([l?.type, l?.linkTarget, l?.mtimeNs], ['symlink', `../${LATIN1_NAME}`, f?.mtimeNs])
    assert.deepEqual([p?.type, p?.sizeBytes], ['fifo', 0])
    assert.equal(f?.systemPath, `${root}/d/f`)
    assert.equal(f?.user, execFileSync('id', ['-un'], { encoding: 'utf8' }).trim())
  })

  it('comes in batches, so that a large folder does not keep everybody waiting', () => {
    const root = newDirectory()
    for (let i = 0; i < 1200; i++) writeFileSync(`${root}/${i}`, '')
    let batches = 0
    const { entries } = walk(root, '', () => batches++)
    assert.equal(entries.length, 1200)
    assert.ok(batches >= 3)
  })

  it('notes a socket and goes on', async () => {
    const root = newDirectory()
    const server = createServer().listen(`${root}/s`)
    await once(server, 'listening')
    after(() => server.close())
    writeFileSync(`${root}/t`, '')
    assert.deepEqual(walk(root), { ...walk(root), paths: ['t'], issues: ['SKIPPED s'] })
    assert.deepEqual(walk(`${root}/s`, 's').issues, ['SKIPPED s'])
  })

  it('notes a directory that cannot be read, keeps it empty, and goes on', { skip: SKIP_UNLESS_ROOT }, () => {
    const root = newDirectory()
    for (const name of ['closed', 'listed', 'open']) {
      mkdirSync(`${root}/${name}`)
      writeFileSync(`${root}/${name}/f`, '')
    }
    chmodSync(root, 0o755)
    chmodSync(`${root}/closed`, 0o700)
    chmodSync(`${root}/listed`, 0o744) // names can be read, and nothing else
    process.seteuid?.(65534)
    try {
      const { paths, issues } = walk(root)
      assert.deepEqual(paths, ['closed', 'listed', 'open', 'open/f'])
      assert.deepEqual(issues, ['EACCES closed', 'EACCES listed/f'])
      assert.deepEqual(walk(`${root}/closed`).issues, ['EACCES '])
    } finally {
      process.seteuid?.(0)
    }
  })

  it('does not mind files that vanish, and notes a directory that does', () => {
    const root = newDirectory()
    for (let i = 1000; i < 2000; i++) writeFileSync(`${root}/${i}`, '')
    mkdirSync(`${root}/last`)
    let batches = 0
    const { paths, issues } = walk(root, '', () => {
      if (batches++ > 0) return
      unlinkSync(`${root}/1999`)
      rmSync(`${root}/last`, { recursive: true })
    })
    assert.equal(paths.length, 999)
    assert.equal(paths.includes('1999'), false)
    assert.deepEqual(issues, [])
    assert.deepEqual(walk(`${root}/gone`, 'gone').issues, ['ENOENT gone'])
  })

  it('does not follow a symlink that takes the place of a directory', () => {
    const root = newDirectory()
    for (let i = 1000; i < 1600; i++) writeFileSync(`${root}/${i}`, '')
    mkdirSync(`${root}/z`)
    let batches = 0
    const { entries } = walk(root, '', () => {
      if (batches++ > 0) return
      renameSync(`${root}/z`, `${root}/zz`)
      symlinkSync('/', `${root}/z`)
    })
    assert.deepEqual([entries.at(-1)?.path, entries.at(-1)?.type], ['z', 'symlink'])
  })

  it('goes on where paths become longer than the system takes', { skip: SKIP_UNLESS_LINUX }, () => {
    const root = newDirectory()
    const name = 'd'.repeat(200)
    // The shell goes down step by step: no single path is too long.
    const script = `for i in $(seq 25); do mkdir ${name} && echo x >${name}/f && cd -P ${name} || exit; done`
    execFileSync('sh', ['-c', script], { cwd: root })
    try {
      const { entries, issues } = walk(root)
      assert.deepEqual(issues, [])
      assert.equal(Math.max(...entries.map(({ depth }) => depth)), 26)
      assert.equal(entries.filter(({ type }) => type === 'file').length, 25)
    } finally {
      execFileSync('rm', ['-rf', `${root}/${name}`])
    }
  })

  it('stays in the directory it was in, whatever is put in the place of those above it, at any depth', (t) => {
    if (process.platform !== 'linux') return skip(t, 'needs open directories to hold on to')
    for (const depth of [3, 100, 127, 128, 129, 200]) {
      const root = newDirectory()
      const below = 'd/'.repeat(depth)
      mkdirSync(`${root}/${below}`, { recursive: true })
      for (let i = 1000; i < 1700; i++) writeFileSync(`${root}/${below}${i}`, '')
      // Names that come after the deepest directory, at every level.
      for (let level = 0; level < depth; level++) symlinkSync('of the tree', `${root}/${'d/'.repeat(level)}e`)
      const trap = newDirectory()
      mkdirSync(`${trap}/${below}`, { recursive: true })
      for (let level = 0; level < depth; level++) symlinkSync('of the trap', `${trap}/${'d/'.repeat(level)}e`)
      let batches = 0
      const { entries, issues } = walk(root, '', () => {
        if (batches++ > 0) return
        renameSync(`${root}/d`, `${root}/moved`)
        symlinkSync(`${trap}/d`, `${root}/d`)
      })
      const links = entries.filter(({ type }) => type === 'symlink')
      assert.deepEqual([links.length, issues], [depth, []])
      assert.ok(links.every(({ linkTarget }) => linkTarget === 'of the tree'))
    }
  })

  it('says so when a directory it must go back to is another one', (t) => {
    if (process.platform !== 'linux') return skip(t, 'needs open directories to hold on to')
    const root = newDirectory()
    const below = 'd/'.repeat(140)
    mkdirSync(`${root}/${below}`, { recursive: true })
    mkdirSync(`${root}/elsewhere`)
    for (let i = 1000; i < 1700; i++) writeFileSync(`${root}/${below}${i}`, '')
    writeFileSync(`${root}/d/d/e`, '')
    writeFileSync(`${root}/elsewhere/e`, '')
    writeFileSync(`${root}/z`, '')
    let batches = 0
    const { paths, issues } = walk(root, '', () => {
      if (batches++ === 0) renameSync(`${root}/d/d/d`, `${root}/elsewhere/d`)
    })
    assert.deepEqual(issues, ['ESTALE d/d'])
    assert.deepEqual(
      [paths.includes('d/d/e'), paths.filter((path) => path.endsWith('e')), paths.at(-1)],
      [false, ['elsewhere', 'elsewhere/e'], 'z'],
    )
  })

  it('does not resume in a directory that a symlink leads to', () => {
    const root = newDirectory()
    mkdirSync(`${root}/a/b`, { recursive: true })
    for (let i = 1000; i < 1700; i++) writeFileSync(`${root}/a/b/${i}`, '')
    const selection = new Selection(NOTHING_EXCLUDED)
    const first = new FolderWalk({ systemPath: root, path: '' }, selection)
    first.next()
    const part = first.split()
    first.close()
    assert.ok(part && part.names.length > 1)
    renameSync(`${root}/a`, `${root}/moved`)
    symlinkSync('moved', `${root}/a`)
    const { batch, done } = new FolderWalk(part, selection).next()
    assert.deepEqual([batch.names, done], [[], true])
    assert.deepEqual(
      batch.issues.map(({ code, path }) => `${code} ${path}`),
      ['ENOTDIR a/b'],
    )
  })

  it(
    'keeps at most 128 directories open, and none afterwards, wherever it is left',
    { skip: SKIP_UNLESS_LINUX },
    () => {
      const root = newDirectory()
      mkdirSync(`${root}/${'d/'.repeat(600)}`, { recursive: true })
      const before = openNow()
      let most = 0
      assert.equal(walk(root, '', () => (most = Math.max(most, openNow() - before))).paths.length, 600)
      assert.ok(most > 100 && most <= 129, `${most} were open`)
      assert.equal(openNow(), before)
      const left = new FolderWalk({ systemPath: root, path: '' }, new Selection(NOTHING_EXCLUDED))
      left.next()
      left.close()
      assert.equal(openNow(), before)
    },
  )

  it('walks a directory of 100,000 names, in order', () => {
    const root = newDirectory()
    execFileSync('sh', ['-c', 'seq 100000 | xargs touch'], { cwd: root })
    const { paths, issues } = walk(root)
    assert.deepEqual(issues, [])
    assert.deepEqual(paths, Array.from({ length: 100_000 }, (_, i) => String(i + 1)).sort())
  })

  it('crosses into mounted file systems, or keeps the directory and stays out', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const root = newDirectory()
    for (const name of ['a', 'm', 'm/n', 'z']) mkdirSync(`${root}/${name}`)
    if (!mountAt(t, `${root}/m`, 'tmpfs')) return
    mkdirSync(`${root}/m/n`)
    writeFileSync(`${root}/m/f`, '')
    if (!mountAt(t, `${root}/m/n`, 'tmpfs')) return
    writeFileSync(`${root}/m/n/g`, '')
    writeFileSync(`${root}/z/h`, '')
    const inside = ['a', 'm', 'm/f', 'm/n', 'm/n/g', 'z', 'z/h']
    assert.deepEqual(walkInParts(root, {}, () => false).paths, inside)
    assert.deepEqual(walkInParts(root, { oneFileSystem: true }, () => false).paths, ['a', 'm', 'z', 'z/h'])
    // The file system is that of the root.
    assert.deepEqual(walkInParts(`${root}/m`, { oneFileSystem: true }, () => false).paths, ['f', 'n'])
  })

  it('tells what file systems the entries lie in', { skip: SKIP_UNLESS_ROOT }, (t) => {
    if (!hasPrograms(t, 'bindfs')) return
    const [root, real] = [newDirectory(), newDirectory()]
    mkdirSync(`${root}/served`)
    writeFileSync(`${real}/f`, '')
    try {
      execFileSync('bindfs', [real, `${root}/served`], { stdio: 'pipe' })
    } catch (error) {
      return skip(t, `bindfs cannot mount: ${String(error)}`)
    }
    t.after(() => execFileSync('umount', ['-l', `${root}/served`]))
    writeFileSync(`${root}/z`, '')
    const kinds = walk(root).entries.map(({ path, fileSystemKind }) => `${path} ${fileSystemKind}`)
    assert.deepEqual(kinds, ['served local', 'served/f network', 'z local'])
    assert.equal(walk(`${root}/served/f`, 'f').entries[0]?.fileSystemKind, 'network')
  })

  it('has the attributes of directories', { skip: SKIP_UNLESS_LINUX }, (t) => {
    if (!hasPrograms(t, 'setfattr')) return
    const system = newFileSystem(t, 'ext4')
    if (!system) return
    const root = system.directory
    mkdirSync(`${root}/d`)
    mkdirSync(`${root}/e`)
    execFileSync('setfattr', ['-n', 'user.comment', '-v', 'text', `${root}/d`])
    const [d, e] = walk(root).entries
    assert.deepEqual(d?.xattrs, [{ name: 'user.comment', value: new Uint8Array(Buffer.from('text')) }])
    assert.equal(e?.xattrs, undefined)
  })
})

describe('FolderWalk.split()', () => {
  const anyTree = fc.array(fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 40,
  })
  const rules = {
    ignoreFiles: ['.ignore'],
    includeFiles: ['.include'],
    excludeIfPresent: ['.tag'],
    keepExcludeTags: true,
  }

  it('leaves the entries and their order those of one walk, whatever the tree and the moments', () => {
    fc.assert(
      fc.property(
        anyTree,
        fc.infiniteStream(fc.boolean()),
        fc.array(fc.nat(39), { maxLength: 6 }),
        (tree, split, special) => {
          const root = newDirectory()
          for (const parts of tree) mkdirSync([root, ...parts].join('/'), { recursive: true })
          for (const [i, n] of special.entries()) {
            const folder = [root, ...(tree[n % tree.length] ?? [])].join('/')
            const [name = '', text = ''] =
              [
                ['.ignore', 'c\n'],
                ['.include', 'a/\nb/**\n'],
                ['.tag', ''],
              ][i % 3] ?? []
            writeFileSync(`${folder}/${name}`, text)
          }
          const inOne = walkInParts(root, rules, () => false)
          const inParts = walkInParts(root, rules, () => split.next().value ?? false)
          assert.deepEqual(inParts, inOne)
        },
      ),
      { numRuns: 60 },
    )
  })
})

/** How many files this process has open. */
function openNow(): number {
  return readdirSync('/proc/self/fd').length
}

/** Mounts a file system in memory until the test ends. */
function mountAt(t: TestContext, directory: string, type: string): boolean {
  try {
    execFileSync('mount', ['-t', type, 'cairn-test', directory], { stdio: 'pipe' })
  } catch (error) {
    skip(t, `a file system of type ${type} cannot be mounted: ${String(error)}`)
    return false
  }
  t.after(() => spawnSync('umount', ['-l', directory])) // or gone with the one it lies in
  return true
}
