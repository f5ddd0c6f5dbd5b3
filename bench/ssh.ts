/**
 * How fast a repository on another machine is, beside one in a local folder: `node bench/ssh.ts [--megabytes N] [--runs N] [--work DIR]`.
 * Needs ssh and sshd.
 *
 * Saves a tar of `/usr/lib`, cut off at N MB (1000 unless told otherwise), as first snapshot of a new repository, and restores it into an
 * empty folder: in a folder of this machine, and over a real SSH server on loopback, which takes its share of the same processors. Ways
 * alternate; it prints medians, and the ratio to the local folder.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { startSshd } from '../test/sshd.ts'
import { createLargeData } from './data.ts'
import { median } from './report.ts'
import { PROJECT_FOLDER } from './tools.ts'

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '3' },
    work: { type: 'string', default: tmpdir() },
  },
})

const work = mkdtempSync(path.join(values.work, 'cairn-ssh-'))
const file = path.join(work, 'file')
const repository = path.join(work, 'repository')
const target = path.join(work, 'target')
const sshd = await startSshd()
const rsh = sshd.rsh().join(' ')
const cairn = path.join(PROJECT_FOLDER, 'cairn')
const env = {
  ...process.env,
  HOME: work,
  CAIRN_RSH: rsh,
  CAIRN_REMOTE_PATH: cairn,
  CAIRN_PASSPHRASE: 'benchmark',
  RESTIC_PASSWORD: 'benchmark',
  BORG_RSH: rsh,
  BORG_PASSPHRASE: 'benchmark',
}

/** Shell commands, run in the folder `target`. */
interface Way {
  readonly name: string
  readonly init: string
  readonly save: string
  readonly restore: string
}

const withCairn = (name: string, location: string): Way => ({
  name,
  init: `${cairn} init -q ${location}`,
  save: `${cairn} create -q ${location}::s ${file}`,
  restore: `${cairn} extract -q ${location}::s`,
})
const restic = `restic -q -o sftp.command='${rsh} far -s sftp' -r sftp:far:${repository}`
const ways: readonly Way[] = [
  withCairn('cairn, local folder', repository),
  withCairn('cairn, ssh', `ssh://far${repository}`),
  withCairn('cairn, sftp', `sftp://far${repository}`),
  {
    name: 'borg, ssh',
    init: `borg --critical init -e repokey ssh://far${repository}`,
    save: `borg create ssh://far${repository}::s ${file}`,
    restore: `borg extract ssh://far${repository}::s`,
  },
  {
    name: 'restic, sftp',
    init: `${restic} init`,
    save: `${restic} backup ${file}`,
    restore: `${restic} restore latest --target .`,
  },
]

try {
  const { bytes, label } = createLargeData(file, Number(values.megabytes) * 1e6)
  console.log(`${Math.round(bytes / 1e6)} MB (${label}), median of ${values.runs} runs, MB/s:`)
  const found = ways.filter(({ init }) => spawnSync('sh', ['-c', `command -v ${init.split(' ')[0]}`]).status === 0)
  const rates = new Map(found.map(({ name }) => [name, { save: [] as number[], restore: [] as number[] }]))
  for (let run = 0; run < Number(values.runs); run++) {
    for (const way of found) {
      for (const folder of [repository, target]) rmSync(folder, { recursive: true, force: true })
      mkdirSync(target)
      sh(way.init)
      for (const step of ['save', 'restore'] as const) rates.get(way.name)?.[step].push(bytes / 1e3 / timed(way[step]))
    }
  }
  let local: { readonly save: number; readonly restore: number } | undefined
  for (const [name, { save, restore }] of rates) {
    const rate = { save: median(save), restore: median(restore) }
    local ??= rate
    console.log(`| ${name} | ${describe(rate.save, local.save)} | ${describe(rate.restore, local.restore)} |`)
  }
} finally {
  sshd.stop()
  rmSync(work, { recursive: true, force: true })
}

function describe(rate: number, local: number): string {
  return `${Math.round(rate)} (${(rate / local).toFixed(2)}×)`
}

/** Milliseconds. */
function timed(command: string): number {
  const start = performance.now()
  sh(command)
  return performance.now() - start
}

function sh(command: string): void {
  execFileSync('sh', ['-c', command], { cwd: target, env, stdio: ['ignore', 'ignore', 'inherit'] })
}
