import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { newFolder } from '../testing.ts'
import { runCli } from './harness.ts'

const operations = { doctor: () => import('../../src/operations/doctor.ts') }

/** A list of mounts with one of this type and options. */
function mountInfo(type: string, options: string): string {
  const file = `${newFolder()}/mountinfo`
  const root = '22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n'
  writeFileSync(file, `${root}90 22 0:55 / /mnt/nas rw - ${type} server:/export ${options}\n`)
  return file
}

describe('cairn doctor', () => {
  for (const [type, options, warns] of [
    ['nfs4', 'rw,vers=4.2', true],
    ['nfs4', 'rw,vers=4.2,acregmin=3,acregmax=10', true],
    ['nfs4', 'rw,vers=4.2,noac', false],
    ['nfs', 'rw,vers=3,acregmin=0,acregmax=0,acdirmin=0,acdirmax=0', false],
    ['nfs', 'rw,vers=3,actimeo=0', false],
    ['cifs', 'rw,cache=strict,actimeo=1', true],
    ['cifs', 'rw,cache=none,actimeo=1', false],
    ['smb3', 'rw,cache=strict,actimeo=0', false],
    ['vfat', 'rw,fmask=0022', true],
    ['fuse.sshfs', 'rw,user_id=0', false],
    ['ext4', 'rw', false],
  ] as const) {
    it(`${warns ? 'warns of' : 'is content with'} ${type} mounted with ${options}`, async () => {
      const { exitCode, stdout } = await runCli(['doctor', '--mountinfo', mountInfo(type, options)], { operations })
      assert.equal(exitCode, warns ? 3 : 0, stdout)
      if (warns) assert.match(stdout, /^warning \/mnt\/nas: /m)
      else assert.doesNotMatch(stdout, /warning/)
    })
  }

  it('says where blocks of content are compared', async () => {
    for (const type of ['fuse', 'fuseblk', 'fuse.sshfs', '9p']) {
      const { stdout } = await runCli(['doctor', '--mountinfo', mountInfo(type, 'rw')], { operations })
      assert.match(stdout, /^ok +\/mnt\/nas: .*blocks of content are compared besides/m, type)
    }
  })

  it('says for how long attributes are cached, and what to do', async () => {
    const args = ['doctor', '--mountinfo', mountInfo('nfs4', 'rw,acregmax=10')]
    const { stdout } = await runCli(args, { operations })
    assert.match(stdout, /cached for up to 10 s.*\n +mount it with actimeo=0 or noac, or .*--settle 10s/)
    const { stdout: json } = await runCli([...args, '--json'], { operations })
    const findings = json
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { status: string; subject: string })
    assert.deepEqual(
      findings.filter(({ status }) => status === 'warning').map(({ subject }) => subject),
      ['/mnt/nas'],
    )
  })

  it('warns of a repository on FAT or NFS 3', async () => {
    for (const [type, options] of [
      ['vfat', 'rw'],
      ['nfs', 'rw,vers=3,noac'],
    ] as const) {
      const args = ['doctor', '-r', '/mnt/nas/repository', '/', '--mountinfo', mountInfo(type, options)]
      const { exitCode, stdout } = await runCli(args, { operations })
      assert.equal(exitCode, 3)
      assert.match(stdout, /^warning \/mnt\/nas\/repository: repository on/m)
    }
  })

  it('looks at a folder of this machine, and refuses one that is not there', async () => {
    const folder = newFolder()
    mkdirSync(`${folder}/sub`)
    const { exitCode, stdout } = await runCli(['doctor', folder], { operations })
    assert.equal(exitCode, 0, stdout)
    assert.match(stdout, /system calls/)
    const missing = await runCli(['doctor', `${folder}/nothing`], { operations })
    assert.equal(missing.exitCode, 2)
    assert.match(missing.stderr, /no such file or directory/)
    const noList = await runCli(['doctor', '--mountinfo', `${folder}/nothing`], { operations })
    assert.equal(noList.exitCode, 2)
  })
})

describe('cairn doctor --max-age', () => {
  it('asks the repository that is named, and ends with warnings', async () => {
    const asked: unknown[] = []
    const snapshotAges = async () => ({
      examineSnapshotAges: async ({ location }: { location: string }, options: unknown) => {
        asked.push([location, options])
        return [{ status: 'warning', subject: 'ann: /home', message: 'is 3 days old', advice: 'look' } as const]
      },
    })
    const argv = ['doctor', '-q', '-r', '/backups', '/', '--max-age', '2d', '--mountinfo', mountInfo('ext4', 'rw')]
    const { exitCode, stdout } = await runCli(argv, { operations: { ...operations, snapshotAges } })
    assert.deepEqual([exitCode, stdout], [3, 'warning ann: /home: is 3 days old\n        look\n'])
    assert.deepEqual(asked, [['/backups', { paths: ['/'], maxAgeMs: 48 * 60 * 60 * 1000 }]])
    assert.equal((await runCli(['doctor', '--max-age', 'old'], { operations })).exitCode, 2)
  })
})
