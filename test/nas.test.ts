/**
 * Sources whose times and inode numbers mean little: file servers with times of whole seconds (ext2 with 128-byte inodes), file
 * systems in user space (bindfs), and files that are not yet settled.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../src/base/clock.ts'
import { testBytes } from '../src/chunker/testing.ts'
import type { CreateEvent, Detect } from '../src/operations/create.ts'
import { hasPrograms, newDirectory, newFileSystem, run, skip } from '../src/platform/testing.ts'
import { Program, untilTrusted } from './program.ts'
import { TestRepository, newFolder, statuses } from './testing.ts'

/** A file server's disk: times of whole seconds. */
function newServer(t: TestContext): { directory: string; image: string } | undefined {
  if (!hasPrograms(t, 'mkfs.ext2', 'debugfs')) return undefined
  const disk = newFileSystem(t, 'ext2', { format: ['-I', '128'] })
  if (disk) assert.equal(lstatSync(disk.directory, { bigint: true }).ctimeNs % 1_000_000_000n, 0n)
  return disk
}

/** Writes to a file at the top of the disk as if it were still the second of the last change: no time of it tells. */
function writeInSameSecond(
  { directory, image }: { directory: string; image: string },
  name: string,
  text: string,
): void {
  const { ctimeMs, mtimeMs } = lstatSync(`${directory}/${name}`)
  writeFileSync(`${directory}/${name}`, text)
  run('umount', directory)
  for (const [field, ms] of Object.entries({ ctime: ctimeMs, mtime: mtimeMs }))
    run('debugfs', '-w', '-R', `set_inode_field /${name} ${field} @${ms / 1000}`, image)
  run('mount', '-o', 'loop', image, directory)
  assert.deepEqual(
    [lstatSync(`${directory}/${name}`).ctimeMs, readFileSync(`${directory}/${name}`, 'utf8')],
    [ctimeMs, text],
  )
}

/** A repository that uses the time of day, as the program does. */
const newRepository = (): Promise<TestRepository> => TestRepository.create({ clock: systemClock, encryption: 'none' })

/** What the latest snapshot has as the content of `file`. */
async function saved(repository: TestRepository, file: string): Promise<string> {
  const { target } = await repository.extract({ paths: [file] })
  return readFileSync(path.join(target, file), 'utf8')
}

/** All but `mtime`, which is for those who know that nobody sets times back. */
const WAYS: readonly Detect[] = ['auto', 'ctime', 'partial-hash', 'full-hash']

describe('on a file system with times of whole seconds', () => {
  it('an edit of the same size within the second of the one before is found by the next backup', async (t) => {
    const server = newServer(t)
    if (!server) return
    const { directory } = server
    for (const detect of [...WAYS, 'mtime'] as const) {
      const repository = await newRepository()
      writeFileSync(`${directory}/file`, 'one')
      await repository.create([directory], { detect })
      writeInSameSecond(server, 'file', 'two')
      await repository.create([directory], { detect })
      assert.equal(await saved(repository, `${directory}/file`), 'two', detect)
    }
    // With a file that had rested for a while, nothing but its content could tell.
    await untilTrusted()
    const repository = await newRepository()
    await repository.create([directory])
    writeInSameSecond(server, 'file', 'odd')
    await repository.create([directory])
    assert.equal(await saved(repository, `${directory}/file`), 'two')
    await repository.create([directory], { detect: 'full-hash' })
    assert.equal(await saved(repository, `${directory}/file`), 'odd')
  })

  it('an edit whose mtime is set back is found, but not by mtime alone', async (t) => {
    const server = newServer(t)?.directory
    if (server === undefined) return
    const file = `${server}/file`
    const reference = `${newFolder()}/reference`
    writeFileSync(file, 'before')
    await untilTrusted()
    const repositories: [Detect, TestRepository][] = []
    for (const detect of [...WAYS, 'mtime'] as const) {
      const repository = await newRepository()
      repositories.push([detect, repository])
      await repository.create([server], { detect })
      await repository.create([server], { detect })
    }
    run('touch', '-r', file, reference)
    writeFileSync(file, 'edited')
    run('touch', '-r', reference, file)
    for (const [detect, repository] of repositories) {
      const { events } = await repository.create([server], { detect })
      // This is what --detect mtime cannot see, as docs/change-detection.md says.
      const isFound = detect !== 'mtime'
      assert.equal(statuses(events)[file.slice(1)], isFound ? 'M' : 'U', detect)
      assert.equal(await saved(repository, file), isFound ? 'edited' : 'before', detect)
      if (isFound) continue
      // What was taken for unchanged is so to the other ways too, but for the one that reads.
      await repository.create([server], { detect: 'full-hash' })
      assert.equal(await saved(repository, file), 'edited')
    }
  })

  it('an edit between the walk and the reading, or after the reading, is found by the next backup at the latest', async (t) => {
    const server = newServer(t)?.directory
    if (server === undefined) return
    const repository = await newRepository()
    const cases = WAYS.flatMap((detect) => (['walked', 'read'] as const).map((moment) => ({ detect, moment })))
    const folderOf = ({ detect, moment }: (typeof cases)[number]): string => `${server}/${detect}-${moment}`
    for (const folder of cases.map(folderOf)) {
      mkdirSync(folder)
      writeFileSync(`${folder}/file`, 'before')
    }
    await untilTrusted()
    for (const each of cases) {
      const { detect, moment } = each
      const folder = folderOf(each)
      const file = `${folder}/file`
      await repository.create([folder], { detect })
      let edits = 0
      const onEvent = (event: CreateEvent): void => {
        // The walk has long listed the file when its folder is told of.
        if (event.type !== 'entry' || event.path !== (moment === 'walked' ? folder : file).slice(1)) return
        edits++
        writeFileSync(file, 'AFTER!')
      }
      utimesSync(file, 1, 1) // so that it is read
      await repository.create([folder], { detect, onEvent })
      assert.equal(edits, 1)
      const { issues } = await repository.create([folder], { detect })
      assert.equal(issues, 0)
      assert.equal(await saved(repository, file), 'AFTER!', `${detect}, ${moment}`)
    }
  })
})

/** A folder mounted by way of a program in user space; `remount` mounts another folder in its place. */
function mountBindfs(
  t: TestContext,
  folder: string,
): { mounted: string; remount: (other: string) => void } | undefined {
  if (!hasPrograms(t, 'bindfs')) return undefined
  const mounted = newDirectory()
  try {
    run('bindfs', folder, mounted)
  } catch (error) {
    skip(t, `bindfs cannot mount: ${String(error)}`)
    return undefined
  }
  t.after(() => run('umount', '-l', mounted))
  return {
    mounted,
    remount: (other) => {
      run('umount', mounted)
      run('bindfs', other, mounted)
    },
  }
}

/** Writes bytes into a file and gives it back the mtime it had. */
function patch(file: string, offset: number, text: string): void {
  const { atime, mtime } = statSync(file)
  const fd = openSync(file, 'r+')
  writeSync(fd, text, offset)
  closeSync(fd)
  utimesSync(file, atime, mtime)
}

const LARGE_BYTES = 24 << 20

/** A FUSE mount with large files, and the folder behind it. */
function prepare(
  t: TestContext,
): ({ folder: string } & Exclude<ReturnType<typeof mountBindfs>, undefined>) | undefined {
  const folder = newFolder()
  const disk = mountBindfs(t, folder)
  for (const name of ['a', 'b', 'c']) {
    writeFileSync(`${folder}/${name}`, testBytes(name, LARGE_BYTES))
    utimesSync(`${folder}/${name}`, 1e9, 1e9)
  }
  return disk && { folder, ...disk }
}

describe('on a FUSE mount', () => {
  it('a few blocks of each file are read, also when inode numbers are others after mounting it anew', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const disk = prepare(t)
    if (!disk) return
    const { folder, mounted, remount } = disk
    const program = new Program()
    await untilTrusted()
    const inodes = (): number[] => ['a', 'b', 'c'].map((name) => lstatSync(`${mounted}/${name}`).ino)
    const before = inodes()
    assert.ok(bytesRead(program, mounted) >= 3 * LARGE_BYTES)
    const copy = newFolder()
    run('cp', '-a', `${folder}/.`, copy)
    remount(copy)
    assert.notDeepEqual(inodes(), before)
    assert.equal(bytesRead(program, mounted), 3 * 3 * 64 * 1024)
    const { letters, summary } = program.create([mounted])
    assert.deepEqual(new Set(Object.values(letters)), new Set(['d', 'U']))
    assert.equal(summary['data_added'], 0)
  })

  it('a change of a sampled block is found, whatever the times say; one of another block with all times set back is not', async (t) => {
    const disk = prepare(t)
    if (!disk) return
    const { folder, mounted } = disk
    const repository = await TestRepository.create({ encryption: 'none' }) // trusts times at once
    await repository.create([mounted])
    const inside = `${mounted.slice(1)}/a`
    for (const offset of [0, LARGE_BYTES - 4, LARGE_BYTES / 2, 65_535]) {
      patch(`${folder}/a`, offset, 'edit')
      const { events, snapshot } = await repository.create([mounted])
      assert.deepEqual([statuses(events)[inside], snapshot.stats.filesUnmodified], ['M', 2], `at ${offset}`)
      await repository.expectRestored(mounted)
    }
    patch(`${folder}/a`, 5 << 20, 'edit')
    // This is what samples cannot see, as docs/change-detection.md says.
    assert.equal(statuses((await repository.create([mounted])).events)[inside], 'U')
    for (const detect of ['ctime', 'full-hash'] as const) {
      patch(`${folder}/a`, 5 << 20, detect.slice(0, 4))
      assert.equal(statuses((await repository.create([mounted], { detect })).events)[inside], 'M', detect)
      await repository.expectRestored(mounted)
    }
  })
})

/** Bytes of files below `folder` that a backup reads. */
function bytesRead(program: Program, folder: string): number {
  const log = path.join(newFolder(), 'log')
  const calls = 'trace=read,pread64,readv,preadv,preadv2'
  program.create([folder], { under: ['strace', '-f', '-qq', '-y', '-e', calls, '-o', log] })
  let sum = 0
  /** By thread: the file of a call that other threads' calls came in between. */
  const unfinished = new Map<string, string>()
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [thread = ''] = line.split(' ')
    const file = /^\d+ +p?read\w*\(\d+<([^>]*)>/.exec(line)?.[1] ?? unfinished.get(thread) ?? ''
    unfinished.set(thread, file)
    if (file.startsWith(`${folder}/`)) sum += Number(/ = (\d+)$/.exec(line)?.[1] ?? 0)
  }
  return sum
}

/** Of a line of `strace -ttt`, in seconds. */
const timeOf = (line: string | undefined): number => Number(/\d+\.\d+/.exec(line ?? '')?.[0])

describe('--sync-before and --settle', () => {
  it('have everything written out, then wait, and only then look at the source', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const program = new Program()
    const source = newFolder()
    writeFileSync(`${source}/file`, 'x')
    const log = path.join(newFolder(), 'log')
    const calls = 'trace=syncfs,statx,newfstatat,lstat,stat,open,openat,openat2,getdents64'
    program.create([source, '--sync-before', '--settle', '700ms'], {
      under: ['strace', '-f', '-qq', '-y', '-ttt', '-e', calls, '-o', log],
    })
    const lines = readFileSync(log, 'utf8').split('\n')
    const synced = lines.findIndex((line) => line.includes('syncfs('))
    assert.notEqual(synced, -1)
    const looked = lines.findIndex(
      (line) => /(?:stat|statx|newfstatat|getdents64)\(/.test(line) && line.includes(source),
    )
    assert.ok(synced < looked, 'the source was looked at before it was written out')
    assert.ok(timeOf(lines[looked]) - timeOf(lines[synced]) >= 0.7)
  })

  it('is a problem of the run where it cannot be done, and everything is saved all the same', () => {
    const program = new Program()
    const source = newFolder()
    run('ln', '-s', '/nowhere', `${source}/link`)
    const { issues, letters } = program.create([`${source}/link`, '--sync-before'], { exit: 3 })
    assert.deepEqual(issues, [`ELOOP ${source}/link`])
    assert.equal(letters[`${source.slice(1)}/link`], 's')
  })
})

describe('--stable-for', () => {
  it('stores a file that is written to for a while once that is over, and whole', async () => {
    const program = new Program()
    const source = newFolder()
    writeFileSync(`${source}/old`, 'old')
    utimesSync(`${source}/old`, 1, 1)
    const writer = spawn('sh', ['-c', 'for i in $(seq 30); do echo "line $i" >>"$0"; sleep 0.1; done', `${source}/log`])
    const closed = once(writer, 'close')
    while (!existsSync(`${source}/log`)) await sleep(5)
    const { letters, issues } = program.create([source, '--stable-for', '1s'])
    await closed
    assert.deepEqual(issues, [])
    assert.equal(letters[`${source.slice(1)}/log`], 'A')
    const restored = readFileSync(path.join(program.restore(), source, 'log'), 'utf8')
    assert.equal(restored, readFileSync(`${source}/log`, 'utf8'))
    assert.equal(restored.split('\n').length, 31)
  })

  it('keeps the previous version of a file that never comes to rest, or leaves out one that has none', async () => {
    const program = new Program()
    const source = newFolder()
    writeFileSync(`${source}/log`, 'previous\n')
    writeFileSync(`${source}/quiet`, 'quiet')
    program.create([source])
    const script = 'while :; do echo line >>"$0/log"; echo line >>"$0/new"; sleep 0.02; done'
    const writer = spawn('sh', ['-c', script, source], { stdio: 'ignore' })
    try {
      while (!existsSync(`${source}/new`)) await sleep(5)
      const { letters, issues, summary } = program.create([source, '--stable-for', '150ms'], { exit: 3 })
      assert.deepEqual(issues, [`UNSTABLE ${source}/log`, `UNSTABLE ${source}/new`])
      assert.equal(letters[`${source.slice(1)}/log`], 'E')
      assert.deepEqual([summary['incomplete'], summary['data_added']], [true, 0])
      const plain = program.run(['create', '-r', program.repository, source, '--stable-for', '150ms'])
      assert.equal(plain.status, 3)
      assert.match(plain.stderr, /log: it is still being written to; its previous version is kept\n/)
      assert.match(plain.stderr, /new: it is still being written to; it is left out\n/)
    } finally {
      const closed = once(writer, 'close')
      writer.kill()
      await closed
    }
    const target = path.join(program.restore(), source)
    assert.equal(readFileSync(`${target}/log`, 'utf8'), 'previous\n')
    assert.equal(existsSync(`${target}/new`), false)
    assert.equal(program.create([source]).letters[`${source.slice(1)}/log`], 'M')
    assert.equal(
      readFileSync(path.join(program.restore(), source, 'log'), 'utf8'),
      readFileSync(`${source}/log`, 'utf8'),
    )
  })
})
