/** `with-lock` and `break-lock`, which say that there are no locks. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { cairn, newFolder, startCairn, TestRepository } from '../testing.ts'

let repository = ''

before(async () => {
  repository = (await TestRepository.create({ encryption: 'repokey' })).location
})

const NO_LOCKS = /^cairn: warning: there are no locks: other runs may use the repository while 'sh' runs\n/

describe('with-lock', () => {
  it('runs a command without a passphrase, and passes on its output and exit code, whatever it is', () => {
    for (const [args, env] of [
      [[repository, 'sh', '-c', 'echo "$@"; exit 3', '-', '--json', '-q'], {}],
      [['-r', repository, 'sh', '-c', 'echo "$@"; exit 3', '-', '--json', '-q'], {}],
      [['-r', repository, '--', 'sh', '-c', 'echo "$@"; exit 3', '-', '--json', '-q'], {}],
      [['--exit-codes', 'borg', repository, '--', 'sh', '-c', 'echo "$@"; exit 3', '-', '--json', '-q'], {}],
      [['::', 'sh', '-c', 'echo "$@"; exit 3', '-', '--json', '-q'], { BORG_REPO: repository }],
      [[repository, 'sh', '-c', 'echo "$@"; exit 3', '-', '--json', '-q'], { CAIRN_CALLED_AS: 'borg' }],
    ] as const) {
      const { status, stdout, stderr } = cairn(['with-lock', ...args], { env })
      assert.deepEqual([status, stdout], [3, '--json -q\n'], stderr)
      assert.match(stderr, NO_LOCKS)
    }
    const killed = cairn(['--show-rc', 'with-lock', repository, 'sh', '-c', 'kill -9 $$'])
    assert.equal(killed.status, 137)
    assert.match(killed.stderr, /terminating with signal status, rc 137\n$/)
  })

  it('does not run what it cannot, nor anything where there is no repository', () => {
    const nowhere = path.join(newFolder(), 'nowhere')
    for (const [args, status, message] of [
      [[nowhere, 'touch', nowhere], 10, /no such folder/],
      [[repository, '/no/such/program'], 2, /Cannot run '\/no\/such\/program': .*ENOENT/],
      [[repository], 2, /none is given/],
    ] as const) {
      const result = cairn(['with-lock', ...args])
      assert.deepEqual([result.status, result.stdout], [status, ''])
      assert.match(result.stderr, message)
    }
  })

  it('hands on a signal, and waits for what the command makes of it', async () => {
    const text = 'trap "echo got >&2; exit 5" TERM; echo ready >&2; while :; do sleep 0.05; done'
    const child = startCairn(['with-lock', repository, 'sh', '-c', text])
    let printed = ''
    child.stderr?.setEncoding('utf8').on('data', (data: string) => (printed += data))
    const ended = once(child, 'exit')
    while (!printed.includes('ready')) await setTimeout(20)
    process.kill(child.pid as number, 'SIGTERM')
    assert.deepEqual(await ended, [5, null])
    assert.match(printed, /got\n/)
  })
})

describe('break-lock', () => {
  it('does nothing, and says why', () => {
    for (const args of [[repository], ['-r', repository]]) {
      const { status, stdout, stderr } = cairn(['break-lock', ...args])
      assert.deepEqual([status, stdout], [0, ''])
      assert.equal(stderr, `cairn: there are no locks on ${repository}, so there is none to break\n`)
    }
    assert.equal(cairn(['break-lock', `${repository}-not`]).status, 10)
    assert.deepEqual(cairn(['break-lock'], { env: { CAIRN_CALLED_AS: 'borg', BORG_REPO: repository } }).stderr, '')
  })
})
