/** What the next backup opens, uploads and keeps, with the whole program on real files. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../src/chunker/testing.ts'
import { hasPrograms, newFileSystem, run, SKIP_UNLESS_ROOT } from '../src/platform/testing.ts'
import { jsonLines } from './cli/harness.ts'
import { Program, untilTrusted } from './program.ts'
import { newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

/** Paths below `folder` that a backup opens, but for those of folders. */
function openedFiles(program: Program, folder: string, ...options: string[]): string[] {
  const log = path.join(newFolder(), 'log')
  const under = ['strace', '-f', '-qq', '--seccomp-bpf', '-e', 'trace=open,openat,openat2', '-o', log]
  program.create([folder, ...options], { under })
  const opened = readFileSync(log, 'utf8').matchAll(/"([^"]+)", (?!\S*O_DIRECTORY)/g)
  return [...opened]
    .flatMap(([, file = '']) => (file.startsWith(`${folder}/`) ? [file.slice(folder.length + 1)] : []))
    .sort()
}

/** Nothing of a file's content was uploaded: what there is new are trees. */
function assertNothingUploaded({ summary }: { summary: Record<string, unknown> }): void {
  assert.deepEqual([summary['data_added'], summary['data_blobs']], [0, 0])
}

describe('unchanged files', () => {
  it('are not opened, and those beside them that changed are', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const program = new Program()
    const source = newFolder()
    mkdirSync(`${source}/sub/empty`, { recursive: true })
    for (let i = 0; i < 20; i++) writeFileSync(`${source}/sub/f${i}`, `content ${i}`)
    writeFileSync(`${source}/large`, testBytes('large', 9 << 20))
    writeFileSync(`${source}/touched`, 'touched')
    run('ln', `${source}/large`, `${source}/same`)
    run('setfattr', '-n', 'user.name', '-v', 'value', `${source}/sub/f1`)
    await untilTrusted()
    assert.equal(openedFiles(program, source).length, 22) // a file with two names is read once
    assert.deepEqual(openedFiles(program, source), [])
    writeFileSync(`${source}/sub/f7`, 'CONTENT 7')
    writeFileSync(`${source}/new`, 'new')
    utimesSync(`${source}/touched`, 1, 1)
    assert.deepEqual(openedFiles(program, source), ['new', 'sub/f7', 'touched'])
    for (const way of ['ctime', 'mtime', 'partial-hash']) {
      await untilTrusted()
      openedFiles(program, source, '--detect', way)
      const opened = openedFiles(program, source, '--detect', way)
      // Samples were not taken before, so this is the run that takes them.
      if (way !== 'partial-hash') assert.deepEqual(opened, [])
    }
    assert.equal(openedFiles(program, source, '--detect', 'full-hash').length, 23)
    assert.deepEqual(digestTree(path.join(program.restore(), source)), digestTree(source))
  })

  it('are not read for what lies around them: rules, other files, other options', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const program = new Program()
    const source = newFolder()
    for (const name of ['a', 'b', 'c']) writeFileSync(`${source}/${name}`, name)
    await untilTrusted()
    openedFiles(program, source, '-e', '*/b')
    assert.deepEqual(openedFiles(program, source), ['b'])
    assert.deepEqual(openedFiles(program, source, '--atime', '--numeric-ids', '-C', 'lz4'), [])
    assert.deepEqual(openedFiles(program, source, '--no-xattrs', '--no-flags'), [])
    assert.deepEqual(openedFiles(program, source), [])
  })
})

describe('what is moved', () => {
  it('is not uploaded again: a file, a folder of many, a large file', async () => {
    const program = new Program()
    const source = newFolder()
    mkdirSync(`${source}/many/deep`, { recursive: true })
    for (let i = 0; i < 500; i++) writeFileSync(`${source}/many/${i % 2 ? 'deep/' : ''}${i}`, `number ${i}`)
    writeFileSync(`${source}/large`, testBytes('large', 100 << 20))
    const first = program.create([source])
    assert.equal(first.summary['files_new'], 501)
    const before = program.sizeBytes()

    mkdirSync(`${source}/elsewhere`)
    renameSync(`${source}/many/0`, `${source}/renamed`)
    renameSync(`${source}/many`, `${source}/elsewhere/all`)
    renameSync(`${source}/large`, `${source}/elsewhere/LARGE`)
    const second = program.create([source])
    assertNothingUploaded(second)
    assert.ok(program.sizeBytes() - before < 100_000, `${program.sizeBytes() - before} bytes more`)
    assert.deepEqual(digestTree(path.join(program.restore(), source)), digestTree(source))
  })

  it('is not uploaded again when it is a copy, has another name too, or replaces another file', () => {
    const program = new Program()
    const source = newFolder()
    for (const name of ['a', 'b']) writeFileSync(`${source}/${name}`, testBytes(name, 5 << 20))
    program.create([source])
    run('cp', '-a', `${source}/a`, `${source}/copy`)
    run('ln', `${source}/a`, `${source}/link`)
    renameSync(`${source}/b`, `${source}/a`)
    assertNothingUploaded(program.create([source]))
    assert.deepEqual(digestTree(path.join(program.restore(), source)), digestTree(source))
  })
})

describe('--atime', () => {
  it('keeps times of access, which a backup does not change and which are no change of content', async () => {
    const program = new Program()
    const source = newFolder()
    writeFileSync(`${source}/f`, 'x')
    utimesSync(`${source}/f`, 1_234_567_890, 1_111_111_111)
    await untilTrusted()
    const inside = `${source.slice(1)}/f`
    program.create([source])
    assert.equal('atime' in (program.nodes()[inside] ?? {}), false)
    for (const atime of ['2009-02-13T23:31:30.000000000Z', '1970-01-01T00:00:05.000000000Z']) {
      for (const letter of ['U', 'U']) {
        const { letters, summary } = program.create([source, '--atime'])
        assert.deepEqual([letters[inside], summary['data_added']], [letter, 0])
        assert.equal(program.nodes()[inside]?.['atime'], atime)
      }
      run('touch', '-a', '-d', '@5', `${source}/f`)
      await untilTrusted()
      program.create([source, '--atime'])
    }
  })
})

/** What can change of a file or folder beside its content. */
const CHANGES: Readonly<Record<string, (file: string) => void>> = {
  touch: (file) => utimesSync(file, 12_345, 67_890),
  chmod: (file) => chmodSync(file, 0o4710),
  chown: (file) => chownSync(file, 12, 34),
  'setfattr -n': (file) => void run('setfattr', '-n', 'user.more', '-v', 'x'.repeat(500), file),
  'setfattr -v': (file) => void run('setfattr', '-n', 'user.given', '-v', 'other', file),
  'setfattr -x': (file) => void run('setfattr', '-x', 'user.given', file),
  'setfacl -m': (file) => void run('setfacl', '-m', 'u:77:rwx', file),
  'chattr +d': (file) => void run('chattr', '+d', file),
  nothing: () => undefined,
}

/** An ext4 with a file and a folder for each change, all of them trusted by a run that comes now. */
function prepareDisk(t: TestContext): string | undefined {
  if (!hasPrograms(t, 'setfattr', 'setfacl', 'chattr')) return undefined
  const disk = newFileSystem(t, 'ext4')
  if (!disk) return undefined
  for (const change of Object.keys(CHANGES)) {
    mkdirSync(`${disk.directory}/folders/${change}`, { recursive: true })
    mkdirSync(`${disk.directory}/files`, { recursive: true })
    writeFileSync(`${disk.directory}/files/${change}`, testBytes(change, 100_000))
    for (const kind of ['files', 'folders'])
      run('setfattr', '-n', 'user.given', '-v', 'value', `${disk.directory}/${kind}/${change}`)
  }
  run('sleep', '2.1')
  return disk.directory
}

/** The root tree's id: without encryption, it is the same for the same content and attributes, whatever the repository. */
function treeOf(program: Program): string {
  const [snapshot] = jsonLines(program.succeed(['list', '-r', program.repository, 'latest', '--json']))
  return String(snapshot?.['tree'])
}

/** As `treeOf` of a repository that knew nothing before. */
function freshTree(cwd: string, ...options: string[]): string {
  const program = new Program()
  program.create(['files', 'folders', ...options], { cwd })
  return treeOf(program)
}

describe('files and folders of which only attributes change', { skip: SKIP_UNLESS_ROOT }, () => {
  it('are not uploaded again, and are in the snapshot as they are then', (t) => {
    const cwd = prepareDisk(t)
    if (cwd === undefined) return
    const program = new Program()
    program.create(['files', 'folders'], { cwd })
    const before = treeOf(program)
    for (const [name, change] of Object.entries(CHANGES))
      for (const kind of ['files', 'folders']) change(`${cwd}/${kind}/${name}`)
    const second = program.create(['files', 'folders'], { cwd })
    assertNothingUploaded(second)
    assert.equal(second.letters['files/nothing'], 'U')
    const after = treeOf(program)
    assert.notEqual(after, before)
    assert.equal(after, freshTree(cwd))
    const nodes = program.nodes()
    for (const kind of ['files', 'folders']) {
      assert.equal(nodes[`${kind}/setfattr -n`]?.['has_xattrs'], true)
      assert.equal(nodes[`${kind}/setfattr -x`]?.['has_xattrs'], undefined)
      assert.deepEqual(nodes[`${kind}/chattr +d`]?.['flags'], ['nodump'])
      assert.equal(nodes[`${kind}/nothing`]?.['flags'], undefined)
      assert.deepEqual([nodes[`${kind}/chown`]?.['uid'], nodes[`${kind}/chown`]?.['gid']], [12, 34])
      assert.equal(nodes[`${kind}/touch`]?.['mtime'], '1970-01-01T18:51:30.000000000Z')
    }
    const target = `${cwd}/target`
    program.succeed(['restore', '-r', program.repository, 'latest', '--target', target, '-q'])
    for (const kind of ['files', 'folders'])
      assert.deepEqual(digestTree(`${target}/${kind}`), digestTree(`${cwd}/${kind}`))
    // And back again.
    for (const kind of ['files', 'folders']) {
      run('chattr', '-d', `${cwd}/${kind}/chattr +d`)
      run('setfacl', '-b', `${cwd}/${kind}/setfacl -m`)
    }
    program.create(['files', 'folders'], { cwd })
    assert.equal(treeOf(program), freshTree(cwd))
  })

  it('have everything again that an earlier run was told to leave out', (t) => {
    const cwd = prepareDisk(t)
    if (cwd === undefined) return
    for (const [name, change] of Object.entries(CHANGES))
      for (const kind of ['files', 'folders']) change(`${cwd}/${kind}/${name}`)
    run('sleep', '2.1')
    const program = new Program()
    const all = freshTree(cwd)
    for (const [option, ...otherNames] of [
      ['--no-xattrs', '--noxattrs'],
      ['--no-acls', '--noacls'],
      ['--no-flags', '--noflags', '--nobsdflags'],
      ['--numeric-ids', '--numeric-owner'],
    ] as const) {
      const without = freshTree(cwd, option)
      assert.notEqual(without, all, option)
      // Twice each, so that a run also takes over what one of its own kind had found.
      for (const given of [option, ...otherNames, option]) {
        program.create(['files', 'folders', given], { cwd })
        assert.equal(treeOf(program), without, given)
      }
      for (let i = 0; i < 2; i++) {
        assertNothingUploaded(program.create(['files', 'folders', '--noatime'], { cwd }))
        assert.equal(treeOf(program), all, `after ${option}`)
      }
    }
  })
})

describe('a file that is written to while it is read', () => {
  it('has status C, is told of, ends with 3, and is marked in lists until it was read in peace', async () => {
    const program = new Program()
    const source = newFolder()
    writeFileSync(`${source}/log`, testBytes('log', 40 << 20))
    writeFileSync(`${source}/quiet`, 'quiet')
    const writer = spawn('sh', ['-c', 'while :; do echo line >>"$0"; done', `${source}/log`], { stdio: 'ignore' })
    const inside = `${source.slice(1)}/log`
    try {
      const size = lstatSync(`${source}/log`).size
      while (lstatSync(`${source}/log`).size === size) await sleep(2)
      const { letters, issues, summary } = program.create([source], { exit: 3 })
      assert.equal(letters[inside], 'C')
      assert.deepEqual(issues, [`CHANGED ${source}/log`])
      assert.deepEqual([summary['incomplete'], summary['error_count']], [true, 1])
      assert.equal(program.nodes()[inside]?.['changed'], true)
      assert.equal('changed' in (program.nodes()[`${source.slice(1)}/quiet`] ?? {}), false)
      const list = program.succeed(['list', '-r', program.repository, 'latest'])
      assert.match(list, /log \(changed while it was read\)\n/)
      assert.doesNotMatch(list, /quiet \(/)

      const plain = program.run(['create', '-r', program.repository, source])
      assert.equal(plain.status, 3)
      assert.equal(
        plain.stderr,
        `cairn: warning: ${source}/log: it changed while it was read\n` +
          'cairn: warning: the snapshot is incomplete: 1 problem, see above\n',
      )
    } finally {
      const closed = once(writer, 'close')
      writer.kill()
      await closed
    }
    const { letters } = program.create([source])
    assert.equal(letters[inside], 'M')
    assert.equal('changed' in (program.nodes()[inside] ?? {}), false)
    assert.deepEqual(digestTree(path.join(program.restore(), source)), digestTree(source))
  })
})
