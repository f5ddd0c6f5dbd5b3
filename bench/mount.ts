/**
 * How fast a mounted file is read in order, beside other ways to read it: `node bench/mount.ts [--megabytes N] [--runs N] [--work DIR]`.
 * Needs root and /dev/fuse.
 *
 * Saves a tar of `/usr/lib`, cut off at N MB (1000 unless told otherwise), in repositories in a new folder, and reads it with cat(1):
 * from a mount of Cairn and of each peer that is installed, each mounted anew before every run, and as a restored file, which is in
 * the page cache as all repositories are. Runs alternate; it prints medians.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createLargeData } from './data.ts'
import { median } from './report.ts'
import { PROJECT_FOLDER } from './tools.ts'

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '5' },
    work: { type: 'string', default: tmpdir() },
  },
})

const work = mkdtempSync(path.join(values.work, 'cairn-mount-'))
const file = path.join(work, 'file')
const at = (name: string): string => path.join(work, name)
const env = {
  ...process.env,
  HOME: work,
  CAIRN_PASSPHRASE: 'benchmark',
  RESTIC_PASSWORD: 'benchmark',
  BORG_PASSPHRASE: 'benchmark',
}

interface Way {
  readonly name: string
  readonly prepare: readonly string[]
  /** Mounts on the folder `mnt`, and stays in the foreground; absent where nothing is mounted. */
  readonly mount?: string
  /** The file, from `mnt`; a shell pattern. */
  readonly file: string
}

const cairn = path.join(PROJECT_FOLDER, 'cairn')
const ways: readonly Way[] = [
  { name: 'a restored file', prepare: [], file },
  {
    name: 'cairn mount',
    prepare: [`${cairn} init -q ${at('cairn')}`, `${cairn} create -q ${at('cairn')}::s ${file}`],
    mount: `${cairn} mount -f -q ${at('cairn')}::s mnt`,
    file: `mnt${file}`,
  },
  {
    name: 'borg mount',
    prepare: [`borg init -e repokey ${at('borg')}`, `borg create ${at('borg')}::s ${file}`],
    mount: `borg mount -f ${at('borg')}::s mnt`,
    file: `mnt${file}`,
  },
  {
    name: 'restic mount',
    prepare: [`restic init -q -r ${at('restic')}`, `restic backup -q -r ${at('restic')} ${file}`],
    mount: `restic mount -q -r ${at('restic')} mnt`,
    file: `mnt/snapshots/latest${file}`,
  },
]

try {
  const { bytes, label } = createLargeData(file, Number(values.megabytes) * 1e6)
  console.log(`Reading ${Math.round(bytes / 1e6)} MB (${label}), median of ${values.runs} runs:`)
  mkdirSync(at('mnt'))
  const found = ways.filter(({ name, prepare }) => {
    const program = prepare[0]?.split(' ')[0] ?? 'cat'
    const isThere = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
    if (!isThere) console.log(`| ${name} | not installed |`)
    return isThere
  })
  for (const { prepare } of found) for (const command of prepare) sh(command)
  const rates = new Map(found.map(({ name }) => [name, [] as number[]]))
  for (let run = 0; run < Number(values.runs); run++) {
    for (const way of found) rates.get(way.name)?.push(await measure(way, bytes))
  }
  for (const [name, all] of rates) console.log(`| ${name} | ${Math.round(median(all))} MB/s |`)
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** MB/s. */
async function measure({ mount, file: wanted }: Way, bytes: number): Promise<number> {
  if (mount) sh(`${mount} > /dev/null 2>&1 &`)
  while (!existsSync(path.resolve(work, wanted))) await sleep(100)
  sh(`find . -xdev -type f -size +1M -exec cat {} + > /dev/null`) // into the page cache
  const start = performance.now()
  sh(`cat ${wanted} > /dev/null`)
  const ms = performance.now() - start
  if (mount) sh('umount mnt')
  return bytes / 1e3 / ms
}

function sh(command: string): void {
  execFileSync('sh', ['-c', command], { cwd: work, env, stdio: ['ignore', 'ignore', 'inherit'] })
}
