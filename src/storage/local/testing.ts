import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** A new empty folder that is removed after the test. */
export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cairn-local-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Names of all temporary files of the repository in `root`. */
export async function tempFilesOf(root: string): Promise<string[]> {
  return readdir(join(root, '.tmp'))
}

/** Test options that skip a test where `command` does not succeed, and do not where everything has to be tested. */
export function needs(reason: string, command: string, ...args: string[]): { skip: string | false } {
  if (process.env['CAIRN_TEST_REQUIRE_ALL'] === '1') return { skip: false }
  return { skip: spawnSync(command, args).status === 0 ? false : reason }
}

/** Arguments of node that run `code` with `LocalStorage` in scope and `args` in `process.argv` from index 1. */
export function localStorageScript(code: string, ...args: string[]): string[] {
  const url = new URL('local-storage.ts', import.meta.url).href
  return ['--input-type=module', '-e', `import { LocalStorage } from ${JSON.stringify(url)}\n${code}`, ...args]
}
