/** What a kill, a power loss and other processes may and may not do to a `LocalStorage`. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it, type TestContext } from 'node:test'
import { text } from 'node:stream/consumers'
import { LocalStorage } from './local-storage.ts'
import { localStorageScript, needs, tempFilesOf, tempFolder } from './testing.ts'

describe('LocalStorage and power loss', () => {
  const strace = needs('strace is missing or not allowed', 'strace', '-o', '/dev/null', 'true')

  it(
    'syncs a new folder, then the file, publishes it, and syncs its folder before put() resolves',
    strace,
    async (t) => {
      assert.deepEqual(await traceOf(t, `await storage.put('packs/ab/abcd', Buffer.alloc(100_000))`), [
        'mkdir .tmp',
        'fsync .',
        'mkdir packs',
        'fsync .',
        'mkdir packs/ab',
        'fsync packs',
        'write .tmp/T 100000',
        'fsync .tmp/T',
        'rename .tmp/T packs/ab/abcd',
        'fsync packs/ab',
        'resolved',
      ])
    },
  )

  it('does no more than that once the folder is known', strace, async (t) => {
    const events = await traceOf(
      t,
      `await storage.put('packs/ab/abcd', Buffer.alloc(100))
      process.stdout.write('resolved')
      await storage.put('packs/ab/abce', Buffer.alloc(20_000_000))`,
    )
    assert.deepEqual(events.slice(events.indexOf('resolved') + 1), [
      'write .tmp/T 20000000',
      'fsync .tmp/T',
      'rename .tmp/T packs/ab/abce',
      'fsync packs/ab',
      'resolved',
    ])
  })

  it('links a register only when its content is synced', strace, async (t) => {
    const events = await traceOf(
      t,
      `await storage.putIfAbsent('commits/a', Buffer.alloc(10))
      process.stdout.write('resolved')
      await storage.putIfAbsent('commits/a', Buffer.alloc(20))`,
    )
    assert.deepEqual(events.slice(events.indexOf('mkdir commits')), [
      'mkdir commits',
      'fsync .',
      'write .tmp/T 10',
      'fsync .tmp/T',
      'link .tmp/T commits/a',
      'unlink .tmp/T',
      'fsync commits',
      'resolved',
      'write .tmp/T 20',
      'fsync .tmp/T',
      'link .tmp/T commits/a EEXIST',
      'unlink .tmp/T',
      'fsync commits', // "false" promises that the other object is there to stay
      'resolved',
    ])
  })

  it('syncs the folders of objects that another process put, once each', strace, async (t) => {
    const events = await traceOf(
      t,
      `await storage.put('packs/ab/abcd', Buffer.alloc(10))
      await storage.put('packs/ac/acde', Buffer.alloc(10))
      process.stdout.write('resolved')
      await storage.persist(['packs/ab/abcd', 'packs/ac/acde', 'packs/ab/none', 'packs/ad/none'])`,
    )
    assert.deepEqual(events.slice(events.indexOf('resolved') + 1), ['fsync packs/ab', 'fsync packs/ac', 'resolved'])
  })

  it('syncs the folder after a delete, also of an absent object', strace, async (t) => {
    const events = await traceOf(
      t,
      `await storage.put('data/a', Buffer.alloc(1))
      process.stdout.write('resolved')
      await storage.delete('data/a')
      await storage.delete('data/a')`,
    )
    assert.deepEqual(events.slice(events.indexOf('resolved') + 1), [
      'unlink data/a',
      'fsync data',
      'unlink data/a ENOENT',
      'fsync data',
      'resolved',
    ])
  })
})

describe('LocalStorage and SIGKILL', () => {
  it('holds only whole objects, and all that were acknowledged', async (t) => {
    const root = join(await tempFolder(t), 'repo')
    await LocalStorage.create(root)
    const acknowledged: string[] = []
    for (const acknowledgements of [1, 7, 20, 33, 60]) {
      acknowledged.push(...(await putUntilKilled(root, acknowledgements)))
    }

    assert.ok(acknowledged.length > 100)
    const left = await tempFilesOf(root)
    const storage = await LocalStorage.open(root)
    const keys = new Set<string>()
    for await (const { key, sizeBytes } of storage.list('')) {
      const data = await storage.get(key)
      assert.equal(data.length, sizeBytes)
      assert.equal(createHash('sha256').update(data).digest('hex'), key.split('/').at(-1))
      keys.add(key)
    }
    assert.deepEqual(
      acknowledged.filter((key) => !keys.has(key)),
      [],
    )
    t.diagnostic(`${keys.size} objects, ${left.length} temporary files swept`)
    assert.deepEqual(await tempFilesOf(root), [])
  })
})

describe('LocalStorage and another process', () => {
  it('gives each putIfAbsent() to exactly one of them', async (t) => {
    const root = join(await tempFolder(t), 'repo')
    await LocalStorage.create(root)
    const script = localStorageScript(
      `const storage = await LocalStorage.open(process.argv[1])
      const won = []
      let next = 0
      const lane = async () => {
        while (next < 200) {
          const key = 'commits/' + next++
          if (await storage.putIfAbsent(key, Buffer.from(process.argv[2]))) won.push(key)
        }
      }
      process.stdout.write('ready')
      process.stdin.once('data', async () => {
        await Promise.all([lane(), lane(), lane(), lane()])
        process.stdout.write(JSON.stringify(won))
        process.stdin.destroy()
      })`,
      root,
    )
    const children = ['a', 'b'].map((name) =>
      spawn(process.execPath, [...script, name], { stdio: ['pipe', 'pipe', 'inherit'] }),
    )
    await Promise.all(children.map(({ stdout }) => once(stdout, 'readable')))
    for (const { stdin } of children) stdin.write('go')
    const outputs = await Promise.all(children.map(({ stdout }) => text(stdout)))
    const [a, b] = outputs.map((output) => JSON.parse(output.replace('ready', '')) as string[])
    assert.ok(a && b)
    t.diagnostic(`${a.length} and ${b.length} won`)

    const storage = await LocalStorage.open(root)
    assert.equal(new Set([...a, ...b]).size, 200)
    assert.equal(a.length + b.length, 200)
    for (const [name, keys] of Object.entries({ a, b })) {
      for (const key of keys) assert.equal(Buffer.from(await storage.get(key)).toString(), name)
    }
    assert.deepEqual(await tempFilesOf(root), [])
  })
})

/** Runs a process that puts without end and kills it after so many acknowledged puts; their keys come back. */
async function putUntilKilled(root: string, acknowledgements: number): Promise<string[]> {
  const script = localStorageScript(
    `import { createHash, randomBytes } from 'node:crypto'
    import { writeSync } from 'node:fs'
    const storage = await LocalStorage.open(process.argv[1])
    const lane = async () => {
      for (;;) {
        const data = randomBytes(Math.floor(Math.random() ** 4 * 3_000_000))
        const hash = createHash('sha256').update(data).digest('hex')
        const key = 'packs/' + hash.slice(0, 1) + '/' + hash
        if (Math.random() < 0.5) await storage.put(key, data)
        else await storage.putIfAbsent(key, data)
        writeSync(1, key + '\\n')
      }
    }
    await Promise.all([lane(), lane(), lane(), lane()])`,
    root,
  )
  const child = spawn(process.execPath, script, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const keys: string[] = []
  for await (const key of createInterface(child.stdout)) {
    keys.push(key)
    if (keys.length === acknowledgements) child.kill('SIGKILL')
  }
  await exited // until then its pid counts as alive
  return keys
}

/**
 * What `code` does to a fresh repository, one system call an entry, paths relative to the repository and `T` for the name of
 * a temporary file. `resolved` is when `code` wrote that, and once at the end.
 */
async function traceOf(t: TestContext, code: string): Promise<string[]> {
  const folder = await tempFolder(t)
  const root = join(folder, 'repo')
  await LocalStorage.create(root)
  const log = join(folder, 'strace.log')
  const calls = '/^(mkdir|rename|link|unlink)(at|at2)?$,write,pwrite64,fsync,fdatasync'
  const script = localStorageScript(
    `const storage = await LocalStorage.open(process.argv[1])
    ${code}
    process.stdout.write('resolved')`,
    root,
  )
  const options = ['-f', '-y', '-qq', '-s', '200', '-e', `trace=${calls}`, '-e', 'signal=none', '-o', log]
  const result = spawnSync('strace', [...options, process.execPath, ...script], { encoding: 'utf8' })
  assert.equal(result.status, 0, result.stderr)

  const pending = new Map<string, { text: string; line: number }>()
  const events: { event: string; start: number; end: number }[] = []
  for (const [end, line] of (await readFile(log, 'utf8')).split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const begun = pending.get(thread)
    if (rest.endsWith('<unfinished ...>')) {
      pending.set(thread, { text: rest.replace(/ *<unfinished \.\.\.>$/, ''), line: end })
      continue
    }
    const resumed = rest.startsWith('<...')
    const call = resumed ? (begun?.text ?? '') + rest.replace(/^<\.\.\. \w+ resumed>/, '') : rest
    const event = eventOf(call, root)
    if (event) events.push({ event, start: resumed ? (begun?.line ?? end) : end, end })
  }
  for (const [i, { event, start }] of events.entries()) {
    const before = events[i - 1]
    assert.ok(!before || before.end < start, `'${event}' began before '${before?.event}' had ended`)
  }
  return events.map(({ event }) => event)
}

function eventOf(call: string, root: string): string | undefined {
  const name = /^\w+/.exec(call)?.[0] ?? ''
  if (name === 'write' && call.includes('"resolved"')) return 'resolved'
  const paths = Array.from(call.matchAll(/["<](\/[^">]*)[">]/g), ([, path = '']) => path)
    .filter((path) => path === root || path.startsWith(`${root}/`))
    .map((path) => path.slice(root.length + 1).replace(/^\.tmp\/.+/, '.tmp/T') || '.')
  if (paths.length === 0) return undefined
  const verb = { fdatasync: 'fsync', pwrite64: 'write' }[name] ?? name.replace(/at2?$/, '')
  const written = verb === 'write' ? (/= (\d+)/.exec(call)?.[1] ?? '') : ''
  const error = /= -1 (E\w+)/.exec(call)?.[1] ?? ''
  return [verb, ...paths, written, error].filter(Boolean).join(' ')
}
