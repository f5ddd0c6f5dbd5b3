/** Every option that real Borg's commands have is known here: it means the same, is passed over, or is refused with a reason. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { skip } from '../../src/platform/testing.ts'
import { runCli } from './harness.ts'

interface BorgCommand {
  readonly command: string
  readonly options: readonly (readonly [spellings: readonly string[], takesValue: boolean])[]
}

/** Commands that there are not, or whose options are others here. */
const OTHERS = /^(?:benchmark|debug|serve|upgrade|help|key)\b/

const VALUES: Readonly<Record<string, string>> = {
  '--encryption': 'none',
  '-o': 'allow_other',
  '--filter': 'AME',
  '--timestamp': '2025-01-02',
  '--compression': 'lz4',
  '--files-cache': 'ctime,size,inode',
  '--sort-by': 'name',
  '--keep-within': '2d',
  '--storage-quota': '10M',
  '--format': '{NL}',
  '--comment': 'x',
}

function askBorg(t: TestContext): BorgCommand[] | undefined {
  const program = spawnSync('sh', ['-c', 'command -v borg'], { encoding: 'utf8' }).stdout.trim()
  const [, python] = program === '' ? [] : (/^#!\s*(\S*python\S*)/.exec(readFileSync(program, 'latin1')) ?? [])
  const script = path.join(import.meta.dirname, 'borg-options.py')
  const result = python === undefined ? undefined : spawnSync(python, [script], { encoding: 'utf8' })
  if (result?.status !== 0) {
    skip(t, 'needs Borg 1.2, installed as modules of Python')
    return undefined
  }
  return result.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BorgCommand)
}

describe("Borg's options", () => {
  it('are known, all of them, in every spelling', async (t) => {
    const commands = askBorg(t)
    if (!commands) return
    let tried = 0
    const unknown: string[] = []
    for (const { command, options } of commands) {
      if (command === '' || OTHERS.test(command)) continue
      for (const [spellings, takesValue] of options) {
        for (const spelling of spellings) {
          const long = spellings.find((one) => one.startsWith('--')) ?? spelling
          const value = takesValue ? [VALUES[long] ?? '1'] : []
          // --nonsense after it: what is wrong with the option itself is told first, and nothing is done.
          const argv = [command, spelling, ...value, '--nonsense']
          const { stderr } = await runCli(argv, { calledAs: 'borg' })
          const isKnown = stderr.includes("unknown option '--nonsense'")
          const isRefused = stderr.includes(
            `Cannot ${commandName(command)} with ${long}: there is no such option here;`,
          )
          if (!isKnown && !isRefused) unknown.push(`${argv.join(' ')}: ${stderr}`)
          tried++
        }
      }
    }
    assert.deepEqual(unknown, [])
    assert.ok(tried > 300, `only ${tried} options`)
  })
})

function commandName(command: string): string {
  return command === 'recreate' ? 'rewrite' : command
}
