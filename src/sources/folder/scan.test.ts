import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { hasPrograms, newDirectory, runScript, SKIP_UNLESS_LINUX, skip } from '../../platform/testing.ts'
import type { SourceEntry } from '../source.ts'
import { readBatch } from './entry-batch.ts'
import { FolderWalk, type WalkRoot } from './folder-walk.ts'
import { MAX_AHEAD, Scan } from './scan.ts'
import { NOTHING_EXCLUDED, Selection, type SelectionOptions } from './selection.ts'

const WANTED = { atime: false, names: true }

interface Scanned {
  readonly entries: (SourceEntry & { readonly root: number })[]
  readonly issues: string[]
}

/** What a scan gives; `pause` is awaited after each batch. */
async function scan(
  roots: readonly WalkRoot[],
  options: SelectionOptions,
  threads: number,
  pauseMs?: number,
): Promise<Scanned> {
  const entries: Scanned['entries'] = []
  const issues: string[] = []
  const scan = new Scan(roots, options, threads)
  try {
    for (let next = await scan.next(); next; next = await scan.next()) {
      const { batch, root } = next
      entries.push(...readBatch(batch, WANTED).map((entry) => ({ ...entry, root })))
      issues.push(...batch.issues.map(({ code, path }) => `${code} ${path}`))
      if (pauseMs !== undefined) await setTimeout(pauseMs)
    }
  } finally {
    await scan.close()
  }
  return { entries, issues }
}

/** The same by walks one after the other, without threads. */
function walkAll(roots: readonly WalkRoot[], options: SelectionOptions): Scanned {
  const entries: Scanned['entries'] = []
  const issues: string[] = []
  for (const [root, start] of roots.entries()) {
    const walk = new FolderWalk(start, new Selection(options))
    for (let done = false; !done;) {
      const next = walk.next()
      done = next.done
      entries.push(...readBatch(next.batch, WANTED).map((entry) => ({ ...entry, root })))
      issues.push(...next.batch.issues.map(({ code, path }) => `${code} ${path}`))
    }
  }
  return { entries, issues }
}

const topOf = (systemPath: string): WalkRoot => ({ systemPath, path: '' })

/** A folder with this many files in directories of different size and depth. */
function newTree(files: number): string {
  const root = newDirectory()
  for (let made = 0, d = 0; made < files; d++) {
    const folder = `${root}/${d % 7}/${'x/'.repeat(d % 4)}${d}`
    mkdirSync(folder, { recursive: true })
    for (let i = 0; i < (d * 37) % 500 && made < files; i++, made++) writeFileSync(`${folder}/${i}`, '')
  }
  return root
}

describe('Scan', () => {
  it('gives the entries of one walk, in its order, with any number of threads, for any trees and rules', async () => {
    const part = fc.constantFrom('a', 'b', 'c', 'd', '.ignore', '.include')
    const anyTree = fc.array(
      fc.record({ parts: fc.array(part, { minLength: 1, maxLength: 4 }), files: fc.constantFrom(0, 0, 3, 700) }),
      { minLength: 1, maxLength: 8 },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyTree, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 2, max: 5 }),
        async (trees, threads) => {
          const roots = trees.map((tree, n) => {
            const root = newDirectory()
            for (const { parts, files } of tree) {
              const folder = [root, ...parts].join('/')
              mkdirSync(folder, { recursive: true })
              if (files > 0) execFileSync('sh', ['-c', `seq ${files} | xargs touch`], { cwd: folder })
            }
            return { systemPath: root, path: `r${n}` }
          })
          assert.deepEqual(await scan(roots, NOTHING_EXCLUDED, threads), walkAll(roots, NOTHING_EXCLUDED))
        },
      ),
      { numRuns: 8 },
    )
  })

  it('does so too when the reader is slow, and when roots are many', async () => {
    const roots = [topOf(newTree(12_000))]
    for (let i = 0; i < 100; i++) roots.push({ systemPath: newTree(i % 9), path: `r${i}` })
    const want = walkAll(roots, NOTHING_EXCLUDED)
    for (const threads of [1, 2, 4]) assert.deepEqual(await scan(roots, NOTHING_EXCLUDED, threads, 1), want)
  })

  it('goes no further ahead of its reader than so many entries for each thread', { skip: SKIP_UNLESS_LINUX }, () => {
    const roots = Array.from({ length: 40 }, (_, i) => ({ systemPath: newDirectory(), path: `r${i}` }))
    for (const { systemPath } of roots) execFileSync('sh', ['-c', 'seq 2000 | xargs touch'], { cwd: systemPath })
    // What is not read is not looked at either: the calls of a process that reads nothing are counted.
    const calls = statxCalls(`
      const roots = ${JSON.stringify(roots)}
      const scan = new Scan(roots, NOTHING_EXCLUDED, 2)
      await setTimeout(2000)
      await scan.close()`)
    if (calls === undefined) return
    const most = MAX_AHEAD * 512 * 3
    assert.ok(calls.length > 1000 && calls.length < most + 2000, `${calls.length} of 80,000 were looked at`)
  })

  it('has several threads wait for the file system at the same time', { skip: SKIP_UNLESS_LINUX }, (t) => {
    if (!hasPrograms(t, 'strace')) return
    const root = newDirectory()
    for (let i = 0; i < 8; i++) {
      mkdirSync(`${root}/${i}`)
      for (let f = 0; f < 300; f++) writeFileSync(`${root}/${i}/${f}`, '')
    }
    const calls = statxCalls(
      `
      const scan = new Scan([{ systemPath: ${JSON.stringify(root)}, path: '' }], NOTHING_EXCLUDED, 4)
      while (await scan.next());
      await scan.close()`,
      500,
    )
    if (calls === undefined) return skip(t, 'strace cannot trace')
    const moments = calls.flatMap(({ start, end }): [number, number][] => [
      [start, 1],
      [end, -1],
    ])
    let now = 0
    let most = 0
    for (const [, change] of moments.sort((a, b) => a[0] - b[0] || a[1] - b[1])) most = Math.max(most, (now += change))
    assert.ok(most >= 3, `${most} waited at the same time`)
  })

  it('ends its threads when it is closed, at any moment, and keeps nobody waiting', async () => {
    const root = newTree(4000)
    for (const batches of [0, 1, 3]) {
      const scan = new Scan([topOf(root)], NOTHING_EXCLUDED, 3)
      for (let i = 0; i < batches; i++) assert.ok(await scan.next())
      const waiting = (async () => {
        while (await scan.next());
      })()
      const [outcome] = await Promise.allSettled([waiting, scan.close()])
      if (outcome.status === 'rejected') assert.equal((outcome.reason as { code?: string }).code, 'CANCELLED')
      await scan.close()
    }
  })

  it('keeps no process alive when nobody reads it', () => {
    const url = JSON.stringify(import.meta.resolve('./scan.ts'))
    const options = JSON.stringify(NOTHING_EXCLUDED)
    const root = JSON.stringify(topOf(newTree(12_000)))
    const printed = runScript(`
      const { Scan } = await import(${url})
      new Scan([${root}], ${options}, 2)
      process.on('exit', () => console.log('over'))`)
    assert.equal(printed, 'over\n')
  })

  it('passes on the error of a thread', async () => {
    // Rules that no thread can make something of.
    const broken = { ...NOTHING_EXCLUDED, patterns: [null] } as unknown as SelectionOptions
    const scan = new Scan([topOf(newTree(10))], broken, 2)
    await assert.rejects(scan.next(), { code: 'INTERNAL' })
    await assert.rejects(scan.next(), { code: 'INTERNAL' })
    await scan.close()
  })

  it('ends at once without roots', async () => {
    assert.deepEqual(await scan([], NOTHING_EXCLUDED, 2), { entries: [], issues: [] })
  })
})

/** When the calls of statx began and ended of a process that runs this code; each takes `delayUs` longer. */
function statxCalls(code: string, delayUs = 0): { readonly start: number; readonly end: number }[] | undefined {
  const output = `${newDirectory()}/strace`
  const script = `
    import { setTimeout } from 'node:timers/promises'
    import { Scan } from ${JSON.stringify(import.meta.resolve('./scan.ts'))}
    import { NOTHING_EXCLUDED } from ${JSON.stringify(import.meta.resolve('./selection.ts'))}
    ${code}`
  const delay = delayUs > 0 ? ['-e', `inject=statx:delay_enter=${delayUs}`] : []
  const args = ['-f', '-ttt', '-T', '-e', 'trace=statx', ...delay, '-o', output, process.execPath, '-e', script]
  const { status, stderr } = spawnSync('strace', args, { encoding: 'utf8' })
  if (status !== 0 && /ptrace|not found|ENOENT/.test(stderr ?? '')) return undefined
  assert.equal(status, 0, stderr)
  // "123 1700000000.123456 statx(…) = 0 <0.000012>", or in two lines when another thread came between.
  const began = new Map<string, number>()
  const calls: { start: number; end: number }[] = []
  for (const line of readFileSync(output, 'latin1').split('\n')) {
    const [, thread = '', at = '', rest = ''] = /^(\d+) +([\d.]+) (.*)$/.exec(line) ?? []
    if (!rest.includes('statx') || rest.startsWith('+++')) continue
    const start = began.get(thread) ?? Number(at)
    if (rest.includes('<unfinished')) began.set(thread, Number(at))
    else {
      began.delete(thread)
      const took = Number(/<([\d.]+)>$/.exec(rest)?.[1] ?? 0)
      calls.push({ start, end: start + took })
    }
  }
  return calls
}
