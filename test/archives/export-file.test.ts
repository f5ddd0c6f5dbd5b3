/** An exported file: written in one step, with a sidecar, and verified by it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../../src/chunker/testing.ts'
import { exportSnapshot } from '../../src/operations/export.ts'
import { verifyArchive } from '../../src/operations/verify.ts'
import { newFileSystem, hasPrograms } from '../../src/platform/testing.ts'
import { TestRepository, cairn, newFolder, startCairn } from '../testing.ts'

async function repositoryWith(...contents: readonly Buffer[]): Promise<{ repository: TestRepository; source: string }> {
  const source = newFolder()
  const repository = await TestRepository.create({ encryption: 'none' })
  for (const [i, content] of contents.entries()) {
    writeFileSync(`${source}/f`, content)
    writeFileSync(`${source}/g`, 'second')
    await repository.create([source], { name: `s${i}` })
  }
  return { repository, source }
}

function toFile(file: string, snapshot = 's0', replace = false): Parameters<typeof exportSnapshot>[1] {
  return { snapshot, paths: [], format: 'tar', target: { file, replace } }
}

describe('an exported file', () => {
  it('has a sidecar that says what other programs say', async () => {
    const { repository, source } = await repositoryWith(testBytes('content', 3 << 20))
    const file = path.join(newFolder(), 'a.tar')
    await exportSnapshot(repository.access, toFile(file))
    const sidecar = JSON.parse(readFileSync(`${file}.meta.json`, 'utf8')) as Record<string, unknown>
    assert.equal(sidecar['checksum'], execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64))
    assert.equal(sidecar['archiveSize'], readFileSync(file).length)
    assert.equal(
      sidecar['fileCount'],
      execFileSync('find', [source, '-type', 'f'], { encoding: 'utf8' }).split('\n').length - 1,
    )
    const sizes = execFileSync('find', [source, '-type', 'f', '-printf', '%s\\n'], { encoding: 'utf8' })
    assert.equal(
      sidecar['totalSize'],
      sizes.split('\n').reduce((sum, size) => sum + Number(size), 0),
    )
    assert.match(String(sidecar['createdAt']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  it('is the old one or the new one, whoever looks whenever', async () => {
    const { repository } = await repositoryWith(testBytes('old', 2 << 20), testBytes('new', 2 << 20))
    const file = path.join(newFolder(), 'a.tar')
    const hashOf = (): string => createHash('sha256').update(readFileSync(file)).digest('hex')
    const wanted = new Set<string>()
    for (const snapshot of ['s0', 's1']) {
      wanted.add((await exportSnapshot(repository.access, toFile(file, snapshot, true))).checksum)
    }
    let looks = 0
    const done = new AbortController()
    const looking = (async () => {
      for (; !done.signal.aborted; looks++) {
        assert.ok(wanted.has(hashOf()))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    for (let i = 0; i < 8; i++) await exportSnapshot(repository.access, toFile(file, `s${i % 2}`, true))
    done.abort()
    await looking
    assert.ok(looks > 8)
    assert.deepEqual(readdirSync(path.dirname(file)).sort(), ['a.tar', 'a.tar.meta.json'])
  })

  it('is not there, and the old one untouched, when a chunk is damaged', async () => {
    const { repository } = await repositoryWith(testBytes('one', 1 << 20), testBytes('two', 1 << 20))
    const file = path.join(newFolder(), 'a.tar')
    const { checksum } = await exportSnapshot(repository.access, toFile(file))
    const packs = repository.objects('packs/')
    const damaged = repository.copy()
    for (const key of packs) truncateSync(path.join(damaged.location, key), 1000)
    await assert.rejects(exportSnapshot(damaged.access, toFile(file, 's1', true)), { code: 'DATA_CORRUPT' })
    assert.equal((await verifyArchive({ file })).checksum, checksum)
    assert.deepEqual(readdirSync(path.dirname(file)).sort(), ['a.tar', 'a.tar.meta.json'])
  })

  it('is on the disk before it has its name, and is never read again', async (t) => {
    if (!hasPrograms(t, 'strace')) return
    const { repository } = await repositoryWith(testBytes('traced', 1 << 20))
    const folder = newFolder()
    const log = path.join(newFolder(), 'log')
    const calls = 'trace=fsync,rename,renameat,renameat2,openat,flock,fcntl'
    const args = ['export', '-r', repository.location, 's0', `${folder}/a.tar`]
    const { status, stderr } = cairn(args, { command: ['strace', '-f', '-y', '-qq', '-o', log, '-e', calls] })
    assert.equal(status, 0, stderr)
    const lines = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(folder) && !line.includes('resumed'))
    const steps = lines.flatMap((line) => /\b(fsync|rename\w*)\(/.exec(line)?.[1] ?? [])
    assert.deepEqual(
      steps.map((step) => step.replace(/at2?$/, '')),
      ['fsync', 'fsync', 'rename', 'rename', 'fsync'],
    )
    assert.deepEqual(
      lines.filter((line) => line.includes('a.tar') && line.includes('O_RDONLY') && !line.includes('O_DIRECTORY')),
      [],
    )
    assert.deepEqual(
      lines.filter((line) => /flock|F_SETLK/.test(line)),
      [],
    )
  })

  it('leaves nothing behind on a full disk', async (t) => {
    const disk = newFileSystem(t, 'tmpfs', { mount: ['size=2m'] })
    if (!disk) return
    const { repository } = await repositoryWith(testBytes('too much', 4 << 20))
    const full = toFile(`${disk.directory}/a.tar`)
    await assert.rejects(exportSnapshot(repository.access, full), {
      code: 'TARGET_FAILED',
      message: /there are 2.* left/,
    })
    // How much a compressed one takes, nobody knows before.
    for (const filter of ['zstd', 'gzip', { compress: ['cat'], decompress: ['cat'] }] as const) {
      await assert.rejects(exportSnapshot(repository.access, { ...full, filter }), {
        code: 'TARGET_FAILED',
        message: /no space left on device/,
      })
    }
    assert.deepEqual(readdirSync(disk.directory), [])
  })

  it('leaves nothing behind when it is interrupted', async () => {
    const { repository } = await repositoryWith(testBytes('long', 24 << 20))
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const folder = newFolder()
      // A filter that takes nothing of what it is given.
      const filter = ['--tar-filter', 'sleep 600']
      const child = startCairn(['export', '-r', repository.location, 's0', `${folder}/a.tar`, ...filter])
      for (let tries = 0; readdirSync(folder).length === 0 && tries < 500; tries++) await sleep(20)
      assert.equal(existsSync(`${folder}/a.tar`), false)
      child.kill(signal)
      assert.deepEqual(await once(child, 'exit'), [code, null])
      assert.deepEqual(readdirSync(folder), [])
    }
  })
})

function flip(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(file, bytes)
}

function setField(file: string, field: string, value: unknown): void {
  const sidecar = JSON.parse(readFileSync(`${file}.meta.json`, 'utf8')) as object
  writeFileSync(`${file}.meta.json`, JSON.stringify({ ...sidecar, [field]: value }))
}

function damageAlone(file: string): void {
  rmSync(`${file}.meta.json`)
  flip(file, 100_000)
}

describe('cairn verify', () => {
  it('says by its exit code what is wrong', async () => {
    const { repository } = await repositoryWith(testBytes('verified', 300_000))
    const folder = newFolder()
    const good = `${folder}/good.tar.zst`
    await exportSnapshot(repository.access, { ...toFile(good), filter: 'zstd' })
    const check = (change: (file: string) => void, ...args: string[]): number | null => {
      const file = path.join(newFolder(), 'x.tar.zst')
      for (const end of ['', '.meta.json']) copyFileSync(good + end, file + end)
      change(file)
      return cairn(['verify', file, ...args]).status
    }
    assert.equal(
      check(() => undefined),
      0,
    )
    assert.equal(
      check(() => undefined, `${repository.location}::s0`),
      0,
    )
    assert.equal(
      check((file) => rmSync(file)),
      1,
    )
    assert.equal(
      check((file) => rmSync(`${file}.meta.json`)),
      3,
    )
    assert.equal(
      check((file) => truncateSync(file, 1000)),
      66,
    )
    for (const at of [0, 100, 100_000])
      assert.equal(
        check((file) => flip(file, at)),
        67,
      )
    assert.equal(
      check((file) => setField(file, 'fileCount', 3)),
      68,
    )
    assert.equal(
      check((file) => setField(file, 'totalSize', 10_737_418_240)),
      68,
    )
    assert.equal(
      check((file) => setField(file, 'checksum', 'none')),
      65,
    )
    assert.equal(
      check((file) => writeFileSync(`${file}.meta.json`, '{')),
      65,
    )
    assert.equal(check(damageAlone), 65)
  })

  it('names what a snapshot has and the archive has not', async () => {
    const { repository, source } = await repositoryWith(testBytes('a', 1000))
    const file = path.join(newFolder(), 'part.tar')
    await exportSnapshot(repository.access, { ...toFile(file), paths: [`${source}/g`] })
    const against = { access: repository.access, snapshot: 's0' }
    await assert.rejects(verifyArchive({ file, against }), {
      code: 'CONTENT_DIFFERS',
      message: new RegExp(`${source.slice(1)}/f of the snapshot is missing`),
    })
    await exportSnapshot(repository.access, toFile(file, 's0', true))
    await verifyArchive({ file, against })
  })
})
