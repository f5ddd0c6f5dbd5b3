/** What the program answers when a shell asks what may come next. What shells make of it is in `test/completion/`. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RepositoryAccess } from '../../src/operations/repository-access.ts'
import type { FindSnapshotNamesOptions } from '../../src/operations/snapshot-names.ts'
import { aSnapshot, runCli, type RunOptions } from './harness.ts'

interface Asked {
  readonly location: string
  readonly deleted: boolean | undefined
  readonly passphrase: string | undefined
}

/** The words offered after these, the last of which is not complete; what else the shell is to complete; and what was asked of whom. */
async function complete(
  words: readonly string[],
  { names = ['monday'], ...options }: RunOptions & { readonly names?: readonly string[] } = {},
): Promise<{ offered: string[]; otherwise: string; asked: Asked[] }> {
  const asked: Asked[] = []
  const findSnapshotNames = async (
    { location, askPassphrase }: RepositoryAccess,
    { deleted }: FindSnapshotNamesOptions = {},
  ): Promise<{ name: string; startedAt: string }[]> => {
    asked.push({ location, deleted, passphrase: await askPassphrase({ location, attempt: 1 }) })
    assert.equal(await askPassphrase({ location, attempt: 2 }), undefined)
    return names.map((name) => aSnapshot({ name }))
  }
  const operations = { snapshotNames: async () => ({ findSnapshotNames }) }
  const { exitCode, stdout, stderr } = await runCli(['__complete', 'fish', '--', ...words], { ...options, operations })
  assert.deepEqual([exitCode, stderr], [0, ''])
  const [otherwise = '', ...lines] = stdout.trimEnd().split('\n')
  return { offered: lines.map((line) => line.split('\t')[0] ?? ''), otherwise, asked }
}

const REPO = { env: { CAIRN_REPO: '/known' } }

describe('names of snapshots', () => {
  const table: [words: string[], options: Parameters<typeof complete>[1], location: string | undefined][] = [
    [['list', '/r::'], {}, '/r'],
    [['list', '-r', '/r', ''], {}, '/r'],
    [['list', '-r/r', ''], {}, '/r'],
    [['list', '-vr', '/r', ''], {}, '/r'],
    [['list', '--repo', '/r', ''], {}, '/r'],
    [['list', '--repo=/r', ''], {}, '/r'],
    [['-r', '/r', 'list', ''], {}, '/r'],
    [['list', ''], REPO, '/known'],
    [['list', ''], { env: { BORG_REPO: '/borgs' } }, '/borgs'],
    [['list', '::'], REPO, '/known'],
    [['list', '/r::'], REPO, '/r'],
    [['list', '-r', '/r', ''], REPO, '/r'],
    [['list', '/{hostname}::'], {}, '/vm'],
    [['list', ''], {}, undefined], // a repository
    [['list', '::'], {}, '/home/ann/.local/share/cairn/repository'],
    [['restore', ''], {}, '/home/ann/.local/share/cairn/repository'],
    [['restore', '/r'], REPO, undefined],
    [['restore', 'monday', ''], REPO, undefined], // a path
    [['diff', '/r::a', ''], {}, '/r'],
    [['diff', '::a', ''], REPO, '/known'],
    [['diff', 'a', ''], REPO, '/known'],
    [['diff', 'a', 'b', ''], REPO, undefined],
    [['delete', '/r::a', 'b', ''], {}, '/r'],
    [['delete', '/r', ''], {}, '/r'],
    [['check', '/r', ''], {}, '/r'],
    [['rename', '/r::a', ''], {}, undefined],
    [['verify', 'a.tar', '/r::'], {}, '/r'],
    [['verify', 'a.tar', '-r', '/r', ''], {}, '/r'],
    [['verify', 'a::b.tar', ''], REPO, '/known'],
    [['verify', ''], REPO, undefined],
    [['verify', 'a.tar', '/r'], {}, undefined],
    [['export', '/r::'], {}, '/r'],
    [['export', '/r::a', ''], {}, undefined],
    [['prune', ''], REPO, undefined],
    [['prune', '--nonsense', '-x', ''], REPO, undefined],
    [['recreate', '/r::'], {}, '/r'],
    [['list', '--', '/r::'], {}, '/r'],
    [['list', '--last', '3', '/r::'], {}, '/r'],
    [['with-lock', '/r', 'cairn', 'list', '-r', ''], {}, undefined],
    [['list', ''], { ...REPO, calledAs: 'borg' }, undefined],
    [['list', '::'], { env: { BORG_REPO: '/borgs' }, calledAs: 'borg' }, '/borgs'],
    [['diff', '/r::a', ''], { calledAs: 'borg' }, '/r'],
  ]
  for (const [words, options, location] of table) {
    it(`after '${words.join(' ')}' are ${location === undefined ? 'not asked for' : `those of ${location}`}`, async () => {
      const { asked, offered } = await complete(words, options)
      assert.deepEqual(
        asked.map((one) => one.location),
        location === undefined ? [] : [location],
      )
      if (location !== undefined) {
        const kept = /^.*::/.exec(words.at(-1) ?? '')?.[0] ?? ''
        assert.deepEqual(offered, [`${kept}latest`, `${kept}monday`])
      }
    })
  }

  it('are those that are deleted, to be brought back', async () => {
    const { asked, offered } = await complete(['undelete', '/r::'])
    assert.deepEqual([asked[0]?.deleted, offered], [true, ['/r::monday']])
  })

  it('are found with the passphrase of the environment only: nobody is asked, and nothing is run', async () => {
    for (const [env, passphrase] of [
      [{ CAIRN_PASSPHRASE: 'a', BORG_PASSPHRASE: 'b' }, 'a'],
      [{ BORG_PASSPHRASE: 'b' }, 'b'],
      [{ CAIRN_PASSCOMMAND: 'echo c', CAIRN_PASSPHRASE_FD: '0' }, undefined],
    ] as const) {
      const { asked } = await complete(['list', '/r::'], { env })
      assert.equal(asked[0]?.passphrase, passphrase)
    }
  })

  it('are left out where they cannot be typed so', async () => {
    const names = ['a', '-b', 'c::d', 'e\u001B[31m', 'f/g', '{h}', 'latest']
    const inside = await complete(['list', '/r::'], { names })
    assert.deepEqual(
      inside.offered,
      ['latest', 'a', '-b', 'c::d', '{{h}}', 'latest'].map((name) => `/r::${name}`),
    )
    const alone = await complete(['list', '-r', '/r', ''], { names })
    assert.deepEqual(alone.offered, ['latest', 'a', '{{h}}', 'latest'])
  })
})

describe('other words', () => {
  it('are files, folders or nothing, by what help calls them', async () => {
    for (const [words, otherwise] of [
      [['create', ''], 'files'],
      [['create', '--exclude-from', ''], 'files'],
      [['create', '--comment', ''], 'nothing'],
      [['create', '--comment', '-'], 'nothing'],
      [['create', '--list=x'], 'nothing'],
      [['restore', '-t', ''], 'folders'],
      [['restore', '--target=x'], 'folders'],
      [['list', ''], 'folders'],
      [['prune', ''], 'folders'],
      [['init', ''], 'folders'],
      [['key', 'export', '/r', ''], 'files'],
      [['key', 'export', ''], 'folders'],
      [['with-lock', '/r', 'ls', '-'], 'files'],
      [['umount', ''], 'folders'],
      [['export', '/r::a', ''], 'files'],
      [['import', ''], 'files'],
      [['import', 'a.tar', ''], 'folders'],
      [['verify', 'a.tar', './'], 'folders'],
      [['umount', 'a', ''], 'nothing'],
      [['version', ''], 'nothing'],
      [['nonsense', ''], 'nothing'],
    ] as const) {
      const answer = await complete(words)
      assert.deepEqual([answer.otherwise, answer.offered], [otherwise, []], words.join(' '))
    }
  })

  it('are the choices of an option', async () => {
    const { offered } = await complete(['init', '--encryption', ''])
    assert.deepEqual(offered, ['repokey', 'keyfile', 'none'])
  })

  it('are not options after --, or in the arguments of another program', async () => {
    for (const words of [
      ['create', '--', '-'],
      ['with-lock', '/r', 'ls', '-'],
    ])
      assert.deepEqual((await complete(words)).offered, [])
  })

  it("are Borg's options only under its name, and none that would be refused", async () => {
    const cairns = (await complete(['create', '--'])).offered
    const borgs = (await complete(['create', '--'], { calledAs: 'borg' })).offered
    assert.deepEqual(
      cairns.filter((option) => !borgs.includes(option)),
      [],
    )
    const more = borgs.filter((option) => !cairns.includes(option))
    assert.ok(
      more.includes('--lock-wait') && more.includes('--noatime') && !more.includes('--read-special'),
      more.join(' '),
    )
  })

  it('are none that a command of another place has', async () => {
    assert.deepEqual((await complete(['version', '--com'])).offered.includes('--compression'), false)
  })
})

describe('completion', () => {
  it('prints a script for each shell, and knows no others', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { stdout, exitCode } = await runCli(['completion', shell])
      assert.equal(exitCode, 0)
      assert.match(stdout, /__complete/)
    }
    const { stderr, exitCode } = await runCli(['completion', 'tcsh'])
    assert.deepEqual([exitCode, /Allowed choices are bash, zsh, fish/.test(stderr)], [2, true])
  })

  it('is for people, and what scripts call is not in the help', async () => {
    const { stdout } = await runCli(['--help'])
    assert.ok(/^ {2}completion /m.test(stdout) && !stdout.includes('__complete'))
  })
})
