/** The command line program: wires the process to `cli`. Everything else is there. */
import { systemClock } from './base/clock.ts'
import { runProgram } from './cli/program.ts'
import { systemOperations } from './cli/world.ts'
import { calledAs } from './platform/installation.ts'
import { abortOnSignals } from './platform/signals.ts'

process.exitCode = 1 // until it is known otherwise: a process may also end because nothing goes on any more
void main() // not awaited, for the executable is made of code that cannot do that here

async function main(): Promise<void> {
  const watch = abortOnSignals()
  const name = calledAs()
  process.exitCode = await runProgram(await commandLine(), {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    connection: () => ({ input: process.stdin, output: process.stdout }),
    signal: watch.signal,
    clock: systemClock,
    calledAs: name,
    operations: systemOperations,
    makeFolder: async (folder) => (await import('./platform/private-folder.ts')).makePrivateFolder(folder),
    background: {
      run: async (argv) => (await import('./platform/background.ts')).runInBackground(argv, name, passphraseFds()),
      isInside: process.env['CAIRN_IN_BACKGROUND'] !== undefined,
      detach: async () => (await import('./platform/background.ts')).detach(),
    },
    // Node waits at its end for system calls that do not return.
    killAfter: (ms) => void setTimeout(() => process.kill(process.pid, 'SIGKILL'), ms).unref(),
  })
  watch.dispose()
}

/** Descriptors that a passphrase is to be read from. */
function passphraseFds(): number[] {
  return ['CAIRN_PASSPHRASE_FD', 'BORG_PASSPHRASE_FD'].map((name) => Number(process.env[name] ?? 0))
}

/**
 * The arguments without loss. Node decodes them as UTF-8 and puts U+FFFD where that fails, which would make a path with another
 * encoding impossible to name; Linux has the bytes.
 */
async function commandLine(): Promise<readonly string[]> {
  const decoded = process.argv.slice(2)
  if (!decoded.some((word) => word.includes('\uFFFD'))) return decoded
  try {
    const { readFile } = await import('node:fs/promises')
    const { fromRawName } = await import('./base/raw-name.ts')
    const bytes = await readFile('/proc/self/cmdline')
    const words: string[] = []
    for (let start = 0, end; (end = bytes.indexOf(0, start)) >= 0; start = end + 1) {
      words.push(fromRawName(bytes.subarray(start, end)))
    }
    return words.slice(words.length - decoded.length)
  } catch {
    return decoded // not Linux
  }
}
