import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fromRawName, toRawName, toSystemPath } from '../base/raw-name.ts'

/** For the tests of this folder: files to try things on, and scripts in processes of their own. */

/** A name that is not valid UTF-8. */
export const LATIN1_NAME = fromRawName(Buffer.from('caf\u00e9 \u00ff', 'latin1'))

/** The `skip` option of a test that changes owners or becomes another user. */
export const SKIP_UNLESS_ROOT = process.getuid?.() === 0 ? false : 'needs root'

export const SKIP_UNLESS_LINUX = process.platform === 'linux' ? false : 'needs Linux'

const root = mkdtempSync(path.join(tmpdir(), 'cairn-platform-'))
after(() => rmSync(root, { recursive: true, force: true }))
chmodSync(root, 0o755) // some tests become another user

/** A new empty directory, removed when all tests of the file are done. */
export function newDirectory(): string {
  return mkdtempSync(path.join(root, 'd-'))
}

/** A new file in a directory of its own. */
export function newFile(content: string | Uint8Array = 'content', name = 'file'): string {
  const file = path.join(newDirectory(), name)
  writeFileSync(toSystemPath(file), content)
  return file
}

export function newFifo(): string {
  const fifo = path.join(newDirectory(), 'fifo')
  execFileSync('mkfifo', [fifo])
  return fifo
}

/** Linux lets one descriptor both read and write a FIFO, which then never ends. */
export function openBothWays(fifo: string): number {
  return openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK)
}

/** What a module script prints; throws when it fails. */
export function runScript(script: string, args: readonly string[] = []): string {
  return execFileSync(process.execPath, [...args, '-e', script], { encoding: 'utf8', timeout: 60_000 })
}

/**
 * What a script of `runScript` says to go on without rights. Modules that it needs are loaded before: the checkout may lie in a
 * private folder.
 */
export const BECOME_NOBODY = `
  ;(await import('${import.meta.resolve('./native.ts')}')).nativeTimes()
  process.seteuid(65534)`

/** Skips the running test, or fails it where everything must be there. */
export function skip(t: TestContext, reason: string): void {
  assert.notEqual(process.env['CAIRN_TEST_REQUIRE_ALL'], '1', reason)
  t.skip(reason)
}

/** Messages in English, and programs that only root is meant to use. */
const PEER_ENVIRONMENT = { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }

/** Skips the running test, or fails it, unless all these programs are installed. */
export function hasPrograms(t: TestContext, ...programs: string[]): boolean {
  const missing = programs.filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`], { env: PEER_ENVIRONMENT }).status !== 0,
  )
  if (missing.length > 0) skip(t, `programs are missing: ${missing.join(', ')}`)
  return missing.length === 0
}

/** What a program prints, as bytes of a text; throws when it fails. File names in arguments may be any. */
export function run(program: string, ...args: string[]): string {
  // A shell's printf makes the bytes of names that Node cannot pass as arguments.
  const words = args.map(
    (arg) => `"$(printf '${[...toRawName(arg)].map((b) => `\\${b.toString(8).padStart(3, '0')}`).join('')}')"`,
  )
  return execFileSync('sh', ['-c', `${program} ${words.join(' ')}`], {
    encoding: 'latin1',
    maxBuffer: 1 << 26,
    env: PEER_ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/**
 * A new empty file system, mounted until the test ends: ext4 or ext2 in a file of 64 MiB, or one in
 * memory, of which only tmpfs keeps attributes. `undefined`, and the test skipped, where that cannot be done.
 */
export function newFileSystem(
  t: TestContext,
  type: 'ext2' | 'ext4' | 'tmpfs' | 'ramfs',
  { format = [], mount = [] }: { format?: string[]; mount?: string[] } = {},
): { directory: string; image: string } | undefined {
  const directory = newDirectory()
  const image = `${newDirectory()}/image`
  try {
    if (type === 'tmpfs' || type === 'ramfs') {
      run('mount', '-t', type, ...mount.flatMap((option) => ['-o', option]), 'cairn-test', directory)
    } else {
      run('truncate', '-s', '64M', image)
      run(`mkfs.${type}`, '-q', ...format, image)
      run('mount', '-o', ['loop', ...mount].join(','), image, directory)
    }
  } catch (error) {
    skip(t, `a file system of type ${type} cannot be mounted: ${error instanceof Error ? error.message : ''}`)
    return undefined
  }
  t.after(() => run('umount', '-l', directory))
  chmodSync(directory, 0o755)
  return { directory, image }
}

/**
 * Mounts the file system of `fuse.test-server.ts` until the test ends and returns where. `undefined`, and the test skipped, where
 * that cannot be done.
 */
export async function startFuseServer(t: TestContext): Promise<string | undefined> {
  const directory = newDirectory()
  const server = spawn(process.execPath, [path.join(import.meta.dirname, 'fuse.test-server.ts'), directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let printed = ''
  server.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text))
  const isMounted = (): boolean => readFileSync('/proc/self/mountinfo', 'latin1').includes(` ${directory} `)
  while (!isMounted()) {
    if (server.exitCode !== null || printed !== '') {
      server.kill('SIGKILL')
      skip(t, `a FUSE file system cannot be mounted: ${printed}`)
      return undefined
    }
    await setTimeout(5)
  }
  t.after(() => {
    run('umount', '-l', directory)
    server.kill('SIGKILL')
  })
  return directory
}
