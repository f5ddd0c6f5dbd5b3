/** The command line program: wires the process to `cli`. Everything else is there. */
import packageJson from '../package.json' with { type: 'json' }
import { systemClock } from './base/clock.ts'
import { CairnError } from './base/errors.ts'
import { runProgram } from './cli/program.ts'
import { systemOperations } from './cli/world.ts'

const watch = abortOnSignals()
process.exitCode = await runProgram(await commandLine(), {
  version: packageJson.version,
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: watch.signal,
  clock: systemClock,
  operations: systemOperations,
})
watch.dispose()

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

// To be replaced by `abortOnSignals` of platform/signals.ts, which does the same.
function abortOnSignals(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController()
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
  const onSignal = (signal: NodeJS.Signals): void => {
    const exitCode = codes[signal as keyof typeof codes]
    controller.abort(new CairnError('CANCELLED', `Interrupted by ${signal}`, { details: { signal, exitCode } }))
    dispose() // a second signal has its usual effect
  }
  const dispose = (): void => {
    for (const name of Object.keys(codes)) process.off(name, onSignal)
  }
  for (const name of Object.keys(codes)) process.on(name, onSignal)
  return { signal: controller.signal, dispose }
}
