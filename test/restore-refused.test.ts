/** Targets that are full, or do not let everything be restored. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import type { ExtractEvent } from '../src/operations/extract.ts'
import {
  AS_NOBODY,
  CAN_BE_NOBODY,
  IS_ROOT,
  NOBODY,
  TestRepository,
  hasCommand,
  needs,
  newFolder,
  runScript,
} from './testing.ts'
import { digestTree } from './tree-digest.ts'

const source = newFolder()
let repository: TestRepository

before(async () => {
  const content = testBytes('refused', 12 << 20)
  chmodSync(source, 0o755)
  for (let i = 0; i < 60; i++) writeFileSync(`${source}/f${i}`, content.subarray(i * 50_000, i * 100_000 + 10))
  writeFileSync(`${source}/large`, content)
  mkdirSync(`${source}/d`)
  writeFileSync(`${source}/d/setuid`, 'x')
  symlinkSync('setuid', `${source}/d/link`)
  writeFileSync(`${source}/d/plain`, 'x')
  if (IS_ROOT) {
    for (const name of ['d/setuid', 'd/plain', 'd']) chownSync(`${source}/${name}`, 1234, 1234)
    lchownSync(`${source}/d/link`, 1234, 1234)
  }
  chmodSync(`${source}/d/setuid`, 0o6755)
  chmodSync(`${source}/d`, 0o2775)
  repository = await TestRepository.create()
  await repository.create([source])
})

const REPORT = `
const events = []
const onEvent = (event) => void (event.type === 'issue' && events.push(event))
const outcome = await extractSnapshot(access, { snapshot: 'latest', paths: [], target: given.target, workers: 2, onEvent }).then(
  ({ issues }) => ({ issues }),
  ({ code, message }) => ({ code, message }),
)
print({ outcome, events, digest: digestTree(given.target + given.source) })
`

interface Report {
  readonly outcome: { issues?: number; code?: string; message?: string }
  readonly events: ExtractEvent[]
  readonly digest: string[]
}

/** Restores in a process below `command` and tells what became of it. */
function restoreBelow(command: readonly string[], target: string): Report {
  const { location, keyFolder } = repository.access
  return runScript(REPORT, { location, keyFolder, target, source }, command)[0] as Report
}

describe('a target that is full', () => {
  const canMount = hasCommand('unshare', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt')

  it('ends the restore in TARGET_FAILED and leaves whole files only', { skip: needs(canMount, 'cannot mount') }, () => {
    for (const sizeKiB of [4000, 25_000]) {
      const target = newFolder()
      const mount = `mount -t tmpfs -o size=${sizeKiB}k tmpfs ${target} && exec "$@"`
      const { outcome, digest } = restoreBelow(['unshare', '--mount', 'sh', '-c', mount, 'sh'], target)
      assert.equal(outcome.code, 'TARGET_FAILED')
      assert.match(outcome.message ?? '', /no space left on device; free some space/)
      // Directories get their metadata last, so only files can be compared.
      const files = digest.filter((line) => / 10\d{4} /.test(line))
      const want = new Set(digestTree(source))
      const wrong = files.filter((line) => !want.has(line))
      assert.equal(wrong.length, 0, `with ${sizeKiB} KiB, ${wrong.length} files are not whole: ${wrong[0]}`)
    }
  })
})

describe('a restore that is cancelled', () => {
  it('ends in CANCELLED and leaves whole files only', async () => {
    for (const after of [1, 5]) {
      const target = newFolder()
      const abort = new AbortController()
      let files = 0
      const onEvent = (event: ExtractEvent): void => {
        if (event.type === 'entry' && event.sizeBytes > 0 && ++files === after) abort.abort()
      }
      await assert.rejects(repository.extract({ target, onEvent, workers: 1, access: { signal: abort.signal } }), {
        code: 'CANCELLED',
      })
      const want = new Set(digestTree(source).filter((line) => / 10\d{4} /.test(line)))
      const found = digestTree(path.join(target, source)).filter((line) => / 10\d{4} /.test(line))
      // How many more than `after` depends on the job under way, but the jobs after it are not begun.
      assert.ok(found.length >= after && found.length < want.size, `${found.length} of ${want.size} files`)
      assert.ok(found.every((line) => want.has(line)))
    }
  })
})

/** Messages of issues, sorted. */
function lossesIn(events: readonly ExtractEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'issue' ? [event.message] : [])).sort()
}

describe('a target on which owners cannot be set', () => {
  const withoutChown = ['setpriv', '--bounding-set=-chown', '--inh-caps=-chown']
  const skip = needs(IS_ROOT && hasCommand('setpriv', ...withoutChown.slice(1), 'true'), 'needs root and setpriv')

  it(
    'gets everything else, and one issue for all entries of another owner, and one for setuid and setgid',
    { skip },
    () => {
      const { outcome, events, digest } = restoreBelow(withoutChown, newFolder())
      assert.deepEqual(lossesIn(events), [
        'its owner cannot be set: operation not permitted; the same for 3 other entries',
        'setuid and setgid are left out, as its owner could not be set; the same for 1 other entry',
      ])
      assert.equal(outcome.issues, 2)
      const expected = digestTree(source).map((line) =>
        // No setuid and setgid bits for an owner that they were not meant for.
        line.replace('1234:1234', '0:0').replace('" 106755 ', '" 100755 ').replace('" 42775 ', '" 40775 '),
      )
      assert.deepEqual(digest, expected)
    },
  )
})

describe('a restore by a user without rights', () => {
  it(
    'brings back all but owners, and says so once',
    { skip: needs(CAN_BE_NOBODY, 'cannot become another user') },
    () => {
      const target = newFolder()
      const { location } = repository
      for (const folder of [target, path.dirname(location)]) execFileSync('chown', ['-R', String(NOBODY), folder])
      const { outcome, events, digest } = restoreBelow(AS_NOBODY, target)
      assert.match(
        lossesIn(events)[0] ?? '',
        /^its owner cannot be set: operation not permitted; the same for \d+ other/,
      )
      assert.equal(outcome.issues, 2)
      const expected = digestTree(source).map((line) =>
        line
          .replace(/ \d+:\d+/, ` ${NOBODY}:${NOBODY}`)
          .replace('" 106755 ', '" 100755 ')
          .replace('" 42775 ', '" 40775 '),
      )
      assert.deepEqual(digest, expected)
    },
  )
})
