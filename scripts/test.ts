/**
 * Runs the whole test suite: every `*.test.ts` below `src/`, `test/` and `bench/`, or those whose path contains an argument.
 * `npm test -- chunker` runs the chunker's tests.
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'

const wanted = process.argv.slice(2)
const files = globSync('{src,test,bench}/**/*.test.ts')
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
if (files.length === 0) {
  console.error(`No test file matches: ${wanted.join(', ')}`)
  process.exit(2)
}
const result = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' })
process.exit(result.status ?? 1)
