import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, type TestContext } from 'node:test'
import { fromRawName, toSystemPath } from '../base/raw-name.ts'

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

/** Skips the running test, or fails it where everything must be there. */
export function skip(t: TestContext, reason: string): void {
  assert.notEqual(process.env['CAIRN_TEST_REQUIRE_ALL'], '1', reason)
  t.skip(reason)
}
