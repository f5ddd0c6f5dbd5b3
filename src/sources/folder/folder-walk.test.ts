import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
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
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { fromRawName, toRawName, toSystemPath } from '../../base/raw-name.ts'
import { LATIN1_NAME, SKIP_UNLESS_LINUX, SKIP_UNLESS_ROOT, newDirectory } from '../../platform/testing.ts'
import { anyName } from '../../snapshot/testing.ts'
import type { SourceEntry, SourceIssue } from '../source.ts'
import { FolderWalk } from './folder-walk.ts'

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
  const folderWalk = new FolderWalk({ systemPath, path }, (issue) => issues.push(issue))
  for (let batch = folderWalk.next(); batch.length > 0; batch = folderWalk.next()) {
    entries.push(...batch)
    between()
  }
  return {
    entries,
    paths: entries.map(({ path }) => path),
    issues: issues.map(({ code, path }) => `${code} ${path}`),
  }
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
})
