/**
 * The command line on a real terminal, with operations that only pretend: `node test/cli/pretend.ts create r::n /usr`.
 * For looking at output by hand, and run by the tests under a pseudo-terminal.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/base/clock.ts'
import { CairnError } from '../../src/base/errors.ts'
import { runProgram } from '../../src/cli/program.ts'
import type { Operations } from '../../src/cli/world.ts'
import { aCreateResult, anEntry, aSnapshot } from './harness.ts'

/** How long a pretended backup takes. */
const STEPS = Number(process.env['PRETEND_STEPS'] ?? 20)
const STEP_MS = 50

const snapshots = [aSnapshot(), aSnapshot({ name: 'tuesday', id: 'fe'.repeat(16), incomplete: true })]

const operations: Operations = {
  doctor: () => import('../../src/operations/doctor.ts'),
  snapshotAges: () => import('../../src/operations/snapshot-ages.ts'),
  mount: () => import('../../src/operations/mount.ts'),
  createDryRun: () => import('../../src/operations/create-dry-run.ts'),
  patterns: () => import('../../src/operations/patterns.ts'),
  init: async () => ({
    initRepository: async ({ location, encryption, passphrase, keyFolder }) => {
      process.stderr.write(`pretend: passphrase ${JSON.stringify(passphrase)}\n`)
      const keyFile = encryption === 'keyfile' ? `${keyFolder}/1234.key` : undefined
      return { repositoryId: '12'.repeat(16), location, encryption, keyFile }
    },
  }),
  create: async () => ({
    createSnapshot: async (access, { name, onEvent = () => {}, listEntries }) => {
      for (let step = 0; step <= STEPS; step++) {
        const currentPath = `/usr/share/doc/パッケージ-${step}/examples/a-rather-long-name-of-a-file-${step}.txt`
        if (listEntries) onEvent({ type: 'entry', status: 'A', path: currentPath, sizeBytes: step })
        if (step === 5) {
          onEvent({
            type: 'issue',
            during: 'read',
            path: '/root/\u001B[31mred',
            message: 'permission denied',
            code: 'EACCES',
          })
        }
        onEvent({
          type: 'progress',
          filesDone: step * 1000,
          bytesDone: step * 1e7,
          filesTotal: step > 3 ? STEPS * 1000 : undefined,
          bytesTotal: step > 3 ? STEPS * 1e7 : undefined,
          issues: step >= 5 ? 1 : 0,
          currentPath,
        })
        await sleep(STEP_MS)
        if (access.signal?.aborted) throw access.signal.reason
      }
      return aCreateResult({ snapshot: aSnapshot({ name, incomplete: true }), issues: 1 })
    },
  }),
  list: async () => ({
    listSnapshots: async (access) => {
      for (let attempt = 1; ; attempt++) {
        const answer = await access.askPassphrase({ location: access.location, attempt })
        if (answer === undefined)
          throw new CairnError('WRONG_PASSWORD', `Cannot open repository ${access.location}: wrong passphrase`)
        if (answer === 'sesame') break
      }
      return { repositoryId: '12'.repeat(16), encryption: 'repokey', snapshots, lastSnapshot: snapshots[1] }
    },
    listEntries: async (_access, _snapshot, _paths, visitor) => {
      for (let number = 0; number < 100_000; number++) await visitor.onEntry(anEntry({ path: `home/ann/${number}` }))
    },
  }),
  createFromPipe: () => Promise.reject(new Error('not pretended')),
  extract: () => Promise.reject(new Error('not pretended')),
  export: () => Promise.reject(new Error('not pretended')),
  import: () => Promise.reject(new Error('not pretended')),
  verify: () => Promise.reject(new Error('not pretended')),
  archiveFormat: () => import('../../src/operations/archive-format.ts'),
  info: () => Promise.reject(new Error('not pretended')),
  key: () => Promise.reject(new Error('not pretended')),
  config: () => Promise.reject(new Error('not pretended')),
  diff: () => Promise.reject(new Error('not pretended')),
  delete: () => Promise.reject(new Error('not pretended')),
  undelete: () => Promise.reject(new Error('not pretended')),
  snapshotNames: () => Promise.reject(new Error('not pretended')),
  rename: () => Promise.reject(new Error('not pretended')),
  rewrite: () => Promise.reject(new Error('not pretended')),
  labels: () => Promise.reject(new Error('not pretended')),
  check: () => Promise.reject(new Error('not pretended')),
  repair: () => Promise.reject(new Error('not pretended')),
  compact: () => Promise.reject(new Error('not pretended')),
  prune: () => Promise.reject(new Error('not pretended')),
  locks: () => Promise.reject(new Error('not pretended')),
  serve: () => Promise.reject(new Error('not pretended')),
}

const controller = new AbortController()
const codes = { SIGINT: 130, SIGTERM: 143 } as const
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    controller.abort(new CairnError('CANCELLED', `Interrupted by ${signal}`, { details: { exitCode: codes[signal] } }))
  })
}
if (process.env['PRETEND_PID']) process.stdout.write(`pid=${process.pid}\n`)
process.exitCode = await runProgram(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  connection: () => ({ input: process.stdin, output: process.stdout }),
  signal: controller.signal,
  clock: systemClock,
  operations,
  killAfter: () => {},
  makeFolder: async () => {},
  background: { run: async () => undefined, isInside: false, detach: async () => process.stderr },
})
