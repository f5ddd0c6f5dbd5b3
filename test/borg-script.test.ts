/** Scripts for Borg, run as they are where `borg` is ours, and where it is Borg: what they print and how they end is the same. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { BorgHost, CAN_HAVE_HOST, HAS_BORG, type HostOptions, type HostResult } from './borg-host.ts'
import { skip } from '../src/platform/testing.ts'
import { needs } from './testing.ts'

const SCRIPTS = path.join(import.meta.dirname, 'testdata/borg-scripts')
const PASSPHRASE = 'long and secret && "quoted" $5'
const ENV = { BORG_REPO: '/mnt/backup/main', BORG_PASSPHRASE: PASSPHRASE }

/** A machine with something to back up, and a repository with archives of `days`, and of another machine. */
function newHost(program: 'borg' | 'cairn', options: HostOptions = {}, days: readonly number[] = []): BorgHost {
  const host = new BorgHost(program)
  host.write('etc/conf.d/a', 'a\n')
  symlinkSync('passwd', host.path('etc/link'))
  execFileSync('mkfifo', [host.path('etc/fifo')])
  host.write('etc/secret', 'only for root\n', 0o600)
  host.write('root/secret', 'only for root\n', 0o600)
  host.write('home/ann/.cache/x', 'left out')
  host.write('home/ann/.cache-not', 'taken')
  host.write('home/ann/notes', 'notes\n')
  host.link('home/ann/notes-too', 'home/ann/notes')
  host.write('home/ann/made/CACHEDIR.TAG', 'Signature: 8a477f597d28d172789f06886806bc55\n')
  host.write('home/ann/made/f', 'left out')
  host.write('home/ann/with space and ü', 'x'.repeat(100_000))
  host.write('var/tmp/x', 'left out')
  host.write('var/log/syslog', 'first\n')
  host.write('var/gone', 'soon deleted')
  for (const script of readdirSync(SCRIPTS))
    copyFileSync(path.join(SCRIPTS, script), host.path(`mnt/scripts/${script}`))

  const given = { ...options, env: ENV }
  host.sh('borg init -e repokey', given)
  for (const day of days)
    host.sh(
      `borg create --timestamp 2025-03-${String(day).padStart(2, '0')}T12:00:00 ::{hostname}-${day} /var/log`,
      given,
    )
  host.sh('borg create --timestamp 2025-03-01 ::nas-1 /var/log', given)
  return host
}

/** Of a month long ago: more than any rule keeps, in three weeks. */
const DAYS = [1, 2, 9, 10, 12, 13, 14, 15, 16, 17]

const NIGHTS: [script: string, change: (host: BorgHost) => void][] = [
  ['nightly-1.1.sh', () => {}],
  [
    'nightly-1.4.sh',
    (host) => {
      host.write('var/log/syslog', 'first\nsecond\n')
      host.write('home/ann/new', 'new\n')
      rmSync(host.path('var/gone'))
    },
  ],
  ['nightly-1.4.sh', () => {}],
]

/** Borg never trusts the newest file, and finds the names of one file in another order. */
function isComparable(line: string): boolean {
  return !/newest|notes/.test(line)
}

/** Without the time in the name of an archive, and what follows. */
function withoutTime(line: string): string {
  return line.replace(/-2\d{3}-.*/, '')
}

/** What of a run can be compared: not sizes, ids and times. */
function essence({ status, stdout, stderr }: HostResult): Record<string, unknown> {
  const lines = stderr.replaceAll(/-2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\b/g, '-NOW').split('\n')
  const pick = (pattern: RegExp): string[] => lines.flatMap((line) => pattern.exec(line)?.[1] ?? [])
  return {
    status,
    stdout,
    entries: pick(/^([A-Za-z?-] \/.*)$/)
      .filter(isComparable)
      .sort(),
    codes: pick(/^(terminating with .*)$/),
    labels: pick(/^((?!Warning)(?:[A-Z][A-Za-z ()]+:|-{78}$| {15} +[OU].*$))/),
    decisions: pick(/^((?:Keeping|Pruning) .*?) +\w{3}, /),
    // A date, and what it is about.
    messages: pick(/^\w{3} .*\d{4} ((?:Starting|Pruning|Compacting|Backup).*)$/),
    warnings: stderr.includes('denied'),
  }
}

describe('a script for Borg', { skip: needs(CAN_HAVE_HOST, 'needs root, and mount namespaces') }, () => {
  for (const asNobody of [false, true]) {
    it(`does and prints the same as with Borg, run by ${asNobody ? 'nobody' : 'root'}`, async (t) => {
      if (!HAS_BORG) return skip(t, 'needs Borg 1.2')
      const options = { asNobody }
      const hosts = (['cairn', 'borg'] as const).map((program) => newHost(program, options, DAYS))
      for (const [script, change] of NIGHTS) {
        for (const host of hosts) {
          change(host)
          await setTimeout(50) // more than a tick of the file system's clock
          host.write('var/newest', String(process.hrtime.bigint()))
        }
        await setTimeout(2100) // what was touched less than two seconds ago is read again
        const [ours, theirs] = hosts.map((host) => essence(host.run(['sh', `/mnt/scripts/${script}`], options)))
        assert.deepEqual(ours, theirs)
        assert.equal(ours?.['status'], asNobody ? 1 : 0)
      }
      const given = { ...options, env: ENV }
      const print = (text: string): string[][] => hosts.map((host) => host.sh(text, given).split('\n'))
      const [archives, theirs] = print("borg list --format '{archive} {time}{NL}'; borg list --last 1 --short")
      assert.deepEqual(archives?.map(withoutTime), theirs?.map(withoutTime))
      const contents = print(
        `for archive in $(borg list --short --last 3)
         do borg list --format '{mode} {user} {group} {size} {path}{extra}{NL}' ::$archive; done`,
      ).map((lines) => lines.filter(isComparable).sort())
      assert.deepEqual(contents[0], contents[1])
    })
  }

  it('is ended by its trap when it is interrupted, and nothing is half done', async () => {
    const host = newHost('cairn')
    const before = host.sh('borg list --short', { env: ENV })
    // Time to interrupt it.
    host.sh(`sed -i "s/^export BORG_PASSPHRASE.*/export BORG_PASSCOMMAND='sleep 60'/" /mnt/scripts/nightly-1.4.sh`)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const child = host.start(['sh', '/mnt/scripts/nightly-1.4.sh'])
      let printed = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (printed += text))
      const ended = once(child, 'exit')
      while (!printed.includes('saving /etc')) await setTimeout(50)
      process.kill(-(child.pid as number), signal)
      assert.equal((await ended)[0], 2, printed)
      assert.match(printed, /Backup interrupted\n/)
      assert.match(printed, new RegExp(`terminating with signal status, rc ${signal === 'SIGINT' ? 130 : 143}`))
    }
    assert.equal(host.sh('borg list --short', { env: ENV }), before)
  })

  it('runs from cron: with next to no environment, and beside itself', async () => {
    const host = newHost('cairn', { asNobody: true })
    host.sh("sed -i 's/{now}/{now}-{pid}/' /mnt/scripts/nightly-1.4.sh")
    const run = async (number: number): Promise<unknown> => {
      const script = `setsid sh /mnt/scripts/nightly-1.4.sh 2>/mnt/base/${number}.log`
      const [code] = (await once(host.start(['sh', '-c', script], { asNobody: true }), 'exit')) as [number]
      return code
    }
    const codes = await Promise.all([1, 2, 3].map(run))
    const log = host.sh('cat /mnt/base/*.log')
    assert.deepEqual(codes, [1, 1, 1], log)
    assert.equal(new Set(log.match(/^Archive name: .*$/gm)).size, 3)
    host.sh('borg check --verify-data', { asNobody: true, env: ENV })
  })
})
