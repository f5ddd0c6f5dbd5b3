import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RepositoryAccess } from '../../src/operations/repository-access.ts'
import { TestRepository } from '../testing.ts'
import * as operations from '../../src/operations/config.ts'
import { runCli, type RunResult } from './harness.ts'

const HOME = '/home/ann'

/** Runs `cairn config` on a real repository. */
async function config(
  repository: TestRepository,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<RunResult> {
  const own = (access: RepositoryAccess): RepositoryAccess => ({ ...access, keyFolder: repository.access.keyFolder })
  return runCli(['config', ...args], {
    env: { HOME, ...env },
    operations: {
      config: async () => ({
        listConfig: (access) => operations.listConfig(own(access)),
        getConfig: (access, name) => operations.getConfig(own(access), name),
        setConfig: (access, name, value) => operations.setConfig(own(access), name, value),
        unsetConfig: (access, name) => operations.unsetConfig(own(access), name),
      }),
    },
  })
}

describe('config', () => {
  it('prints, changes and puts back settings, as borg config does', async () => {
    const repository = await TestRepository.create()
    const { location } = repository
    const run = async (...args: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await config(repository, args)
      assert.deepEqual([exitCode, stderr], [0, ''])
      return stdout
    }
    assert.equal(await run(location, 'additional_free_space'), '0\n')
    assert.equal(await run(location, 'additional_free_space', '2G'), '')
    assert.equal(await run('-r', location, 'storage_quota', '1.5T'), '')
    const id = (await run(location, 'id')).trimEnd()
    assert.match(id, /^[0-9a-f]{32}$/)
    assert.equal(
      await run(location, '--list'),
      `[repository]\nversion = 1\nid = ${id}\nadditional_free_space = 2G\nstorage_quota = 1536G\nappend_only = 0\n`,
    )
    assert.equal(await run('--delete', location, 'storage_quota'), '')
    assert.deepEqual(JSON.parse(await run('--json', '-l', '-r', location)), {
      version: 1,
      id,
      additional_free_space: 2 ** 31,
      storage_quota: 0,
      append_only: false,
    })
    assert.deepEqual(JSON.parse(await run('--json', location, 'additional_free_space')), {
      additional_free_space: 2 ** 31,
    })
    assert.equal(await run(location, 'append_only', '1'), '')
    assert.equal(await run(location, 'append_only'), '1\n')
    assert.equal(await run('--delete', location, 'append_only'), '')
    assert.equal(await run(location, 'append_only'), '0\n')
    assert.equal((await config(repository, ['additional_free_space'], { CAIRN_REPO: location })).stdout, '2G\n')
  })

  it('refuses names and values that it does not know, and says what was meant', async () => {
    const repository = await TestRepository.create()
    const { location } = repository
    const before = (await config(repository, [location, '--list'])).stdout
    for (const [args, message] of [
      [['additional_freespace', '1G'], /did you mean additional_free_space\?/],
      [['quota', '1G'], /did you mean storage_quota\?/],
      [['hostname', '1'], /want one of version, id, additional_free_space, storage_quota, append_only/],
      [['append_only', '2'], /1 for on, 0 for off/],
      [['constructor', '1'], /want one of version/],
      [
        ['id', 'ab'.repeat(16)],
        /'id': it is fixed for good; what can be changed is additional_free_space, storage_quota/,
      ],
      [['storage_quota', 'lots'], /Cannot read the size 'lots'/],
      [['storage_quota', '-1'], /unknown option|Cannot read the size/],
      [['storage_quota', ''], /Cannot read the size ''/],
      [['storage_quota', '9999E'], /Cannot read the size/],
      [['stor'], /did you mean storage_quota/],
      [['__proto__'], /want one of/],
      [[], /no name is given/],
      [['a', 'b', 'c'], /too many arguments/],
      [['storage_quota', '--list'], /too many arguments/],
      [['--list', '--delete', 'id'], /exclude each other/],
      [['--delete', 'id'], /fixed for good/],
      [['--delete', 'nothing'], /want one of/],
    ] as const) {
      const { exitCode, stdout, stderr } = await config(repository, [location, ...args])
      assert.equal(exitCode, 2, args.join(' '))
      assert.equal(stdout, '')
      assert.match(stderr, message)
    }
    assert.equal((await config(repository, [location, '--list'])).stdout, before)
  })
})

describe('additional_free_space', () => {
  it('ends a backup before it takes of it, with what was found, what was wanted and what to do', async () => {
    const repository = await TestRepository.create()
    await repository.create([import.meta.filename])
    await operations.setConfig(repository.access, 'additional_free_space', '1P')
    await assert.rejects(repository.create([new URL('../testing.ts', import.meta.url).pathname]), {
      code: 'STORAGE_FULL',
      message: /are free and 1\.00 PiB are to stay free; .* additional_free_space/,
    })
    await repository.expectRestored(import.meta.filename)
    await operations.unsetConfig(repository.access, 'additional_free_space')
    await repository.create([new URL('../testing.ts', import.meta.url).pathname])
  })
})
