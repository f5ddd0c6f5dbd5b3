import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CairnError } from '../base/errors.ts'

/**
 * Shows a page, in the language of roff, on the terminal by man(1).
 *
 * @throws {CairnError} `NOT_FOUND` when there is no such program, or it fails
 */
export async function showManual(page: string): Promise<void> {
  const child = spawn('man', ['-l', '-'], { stdio: ['pipe', 'inherit', 'inherit'] })
  child.stdin.on('error', () => {}) // the reader has left before the end
  child.stdin.end(page)
  const [result] = await Promise.race([
    once(child, 'close') as Promise<[number | null]>,
    once(child, 'error') as Promise<[Error]>,
  ]).catch((error: unknown) => [error])
  if (result === 0) return
  const problem = result instanceof Error ? result.message : "'man -l -' failed"
  throw new CairnError(
    'NOT_FOUND',
    `Cannot show the manual: ${problem}; install man, or see --help, which says the same`,
  )
}
