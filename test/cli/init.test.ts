import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Operations } from '../../src/cli/world.ts'
import type { InitOptions } from '../../src/operations/init.ts'
import { jsonLines, runCli, typing } from './harness.ts'

function initializing(): { operations: Partial<Operations>; calls: InitOptions[] } {
  const calls: InitOptions[] = []
  const operations: Partial<Operations> = {
    init: async () => ({
      initRepository: async (options) => {
        calls.push(options)
        const { location, encryption, keyFolder } = options
        const keyFile = encryption === 'keyfile' ? `${keyFolder}/12.key` : undefined
        return { repositoryId: '12'.repeat(16), location, encryption, keyFile }
      },
    }),
  }
  return { operations, calls }
}

describe('init', () => {
  it('asks twice for the passphrase of a repokey repository, which is the default', async () => {
    const { operations, calls } = initializing()
    const secrets = typing('sesame', 'sesame')
    const { exitCode, stdout } = await runCli(['init', '/mnt/r'], { operations, secrets })
    assert.equal(exitCode, 0)
    assert.equal(secrets.questions.length, 2)
    assert.equal(calls[0]?.encryption, 'repokey')
    assert.equal(calls[0]?.passphrase, 'sesame')
    assert.match(stdout, /^Repository \/mnt\/r made/)
    assert.match(stdout, /keep the passphrase, and a copy of that folder, somewhere else too/)
  })

  it('takes the repository from any place, and the argument before the environment', async () => {
    for (const [argv, env, location] of [
      [['init', 'r'], {}, 'r'],
      [['init', '-r', 'r'], {}, 'r'],
      [['init'], { BORG_REPO: 'r' }, 'r'],
      [['init', 's'], { CAIRN_REPO: 'r' }, 's'],
    ] as const) {
      const { operations, calls } = initializing()
      await runCli([...argv], { env: { ...env, CAIRN_PASSPHRASE: 'x' }, operations })
      assert.equal(calls[0]?.location, location)
    }
  })

  it('asks for nothing with --encryption none, and warns', async () => {
    const { operations, calls } = initializing()
    const argv = ['init', 'r', '-e', 'none', '--chunker-params', 'fixed,1M']
    const { stdout } = await runCli(argv, { operations, env: { CAIRN_PASSPHRASE: 'ignored' } })
    assert.equal(calls[0]?.passphrase, undefined)
    assert.equal(calls[0]?.chunkerParams, 'fixed,1M')
    assert.match(stdout, /Nothing in it is encrypted/)
  })

  it('lets a key file do without a passphrase, and says where it is', async () => {
    const { operations, calls } = initializing()
    const argv = ['init', 'r', '--encryption=keyfile']
    const { stdout } = await runCli(argv, { operations, secrets: typing('', '') })
    assert.equal(calls[0]?.passphrase, undefined)
    assert.match(stdout, /Its key is \/home\/ann\/\.config\/cairn\/keys\/12\.key/)
    await runCli(argv, { operations, secrets: typing('x', 'x') })
    assert.equal(calls[1]?.passphrase, 'x')
  })

  it('takes an empty passphrase for repokey only from the environment', async () => {
    const { operations, calls } = initializing()
    assert.equal((await runCli(['init', 'r'], { operations, secrets: typing('', '', '') })).exitCode, 2)
    assert.equal(calls.length, 0)
    assert.equal((await runCli(['init', 'r'], { operations, env: { CAIRN_PASSPHRASE: '' } })).exitCode, 0)
    assert.equal(calls[0]?.passphrase, '')
  })

  it('names the variables when there is no terminal', async () => {
    const { operations } = initializing()
    const { exitCode, stderr } = await runCli(['init', 'r'], { operations })
    assert.equal(exitCode, 2)
    assert.match(stderr, /set CAIRN_PASSPHRASE, CAIRN_PASSCOMMAND or CAIRN_PASSPHRASE_FD/)
  })

  it("prints restic's object with --json", async () => {
    const { operations } = initializing()
    const { stdout } = await runCli(['init', 'r', '-e', 'keyfile', '--json'], {
      operations,
      env: { CAIRN_PASSPHRASE: 'x' },
    })
    assert.deepEqual(jsonLines(stdout), [
      {
        message_type: 'initialized',
        id: '12'.repeat(16),
        repository: 'r',
        encryption: 'keyfile',
        key_file: '/home/ann/.config/cairn/keys/12.key',
      },
    ])
  })
})
