/**
 * Measures how time and memory grow: a folder of a million files (half of them in one directory), and one file of 12 GiB with
 * holes, first, unchanged, changed a little, and restored. Alone, without peers; it is memory that is in question.
 *
 *     npm run bench:scale -- [--files N] [--large-size SIZE] [--work DIR] [--write]
 *
 * Needs about twice the large file of free space, and 5 KB for each file.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { formatBytes, parseBytes } from '../src/base/sizes.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { type Measurement, measure } from './measure.ts'
import { replaceBetween } from './report.ts'
import { PROJECT_FOLDER, allTools, commandEnvironment } from './tools.ts'

const PAGE = path.join(PROJECT_FOLDER, 'docs/benchmarks.md')

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000000' },
    'large-size': { type: 'string', default: '12G' },
    work: { type: 'string', default: tmpdir() },
    write: { type: 'boolean', default: false },
  },
})

interface Row {
  readonly what: string
  readonly measured: Measurement
  readonly repositoryBytes: number
}

const work = mkdtempSync(path.join(values.work, 'cairn-scale-'))
const rows: Row[] = []
try {
  await measureFiles(Number(values.files))
  await measureLarge(parseBytes(values['large-size']))
  const report = render()
  process.stdout.write(`${report}\n`)
  if (values.write)
    writeFileSync(
      PAGE,
      replaceBetween(readFileSync(PAGE, 'utf8'), '<!-- scale:begin -->', '<!-- scale:end -->', report),
    )
} finally {
  rmSync(work, { recursive: true, force: true })
}

async function measureFiles(count: number): Promise<void> {
  const source = path.join(work, 'files')
  log(`making ${count} files`)
  const flat = path.join(source, 'flat')
  mkdirSync(flat, { recursive: true })
  for (let i = 0; i < count / 2; i++) writeFileSync(path.join(flat, `file-${i}`), `content of ${i}\n`)
  for (let i = 0; i < count / 2; i++) {
    const folder = path.join(source, `${i % 100}`, `${Math.floor(i / 100) % 100}`)
    if (i < 10_000) mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, `file-${i}`), `content ${i}\n`)
  }
  const name = `${count.toLocaleString('en')} files`
  const run = await repository(source)
  await run.backup(`${name}, first backup`)
  await run.backup(`${name}, nothing changed`)
  writeFileSync(path.join(flat, 'file-7'), 'something else\n')
  await run.backup(`${name}, one changed`)
  await run.restore(`${name}, restored`)
  rmSync(source, { recursive: true })
  run.remove()
}

/** A third of it data that nothing else is like, a third the same again, a third holes. */
async function measureLarge(bytes: number): Promise<void> {
  const source = path.join(work, 'large')
  mkdirSync(source)
  log(`making a file of ${formatBytes(bytes)}`)
  const fd = openSync(path.join(source, 'disk.img'), 'w')
  const block = testBytes('scale', 64 << 20)
  const third = Math.floor(bytes / 3)
  for (const start of [0, third]) {
    for (let offset = 0; offset < third; offset += block.length) {
      for (let at = 0; at < block.length; at += 1 << 16) block.writeDoubleLE(offset + at, at)
      writeSync(fd, block, 0, Math.min(block.length, third - offset), start + offset)
    }
  }
  ftruncateSync(fd, bytes)
  closeSync(fd)
  const name = `a file of ${formatBytes(bytes)}`
  const run = await repository(source)
  await run.backup(`${name}, first backup`)
  await run.backup(`${name}, nothing changed`)
  await run.restore(`${name}, restored`)
  rmSync(source, { recursive: true })
  run.remove()
}

async function repository(source: string) {
  const tool = allTools()[0]
  const init = tool?.init?.(path.join(work, 'repository'))
  if (!tool || !init) throw new Error('There is no cairn')
  const home = path.join(work, 'home')
  const folder = path.join(work, 'repository')
  const target = path.join(work, 'target')
  mkdirSync(home, { recursive: true })
  const env = commandEnvironment(tool, home)
  let snapshots = 0
  const run = async (argv: readonly [string, ...string[]]): Promise<Measurement> => {
    const measured = await measure({ argv, env, cwd: work }, { scratchFolder: work })
    if (measured.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${measured.exitCode} ${measured.errorLine}`)
    return measured
  }
  const row = (what: string, measured: Measurement): void => {
    log(`${what}: ${measured.seconds.toFixed(1)} s, ${formatBytes(measured.peakBytes ?? 0)}`)
    rows.push({ what, measured, repositoryBytes: sizeOf(folder) })
  }
  await run(init)
  return {
    async backup(what: string) {
      row(what, await run(tool.backup(folder, `n${snapshots++}`, [source])))
    },
    async restore(what: string) {
      mkdirSync(target)
      row(what, await run(tool.restore(folder, `n${snapshots - 1}`, target)))
      rmSync(target, { recursive: true })
    },
    remove: () => rmSync(folder, { recursive: true }),
  }
}

function sizeOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  return files.reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(path.join(entry.parentPath, entry.name)).size : 0),
    0,
  )
}

function render(): string {
  const lines = rows.map(({ what, measured, repositoryBytes }) => {
    const { seconds, cpuSeconds, peakBytes } = measured
    return `| ${what} | ${seconds.toFixed(1)} s | ${cpuSeconds?.toFixed(1) ?? '–'} s | ${formatBytes(peakBytes ?? 0)} | ${formatBytes(repositoryBytes)} |`
  })
  return ['| | time | CPU time | peak memory | repository afterwards |', '|---|---|---|---|---|', ...lines].join('\n')
}

function log(line: string): void {
  process.stderr.write(`scale: ${line}\n`)
}
