import assert from 'node:assert/strict'
import { pbkdf2 } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { OutputFile } from './output-file.ts'
import { processScope } from './process-scope.ts'
import { LATIN1_NAME, newDirectory, newFifo, runScript } from './testing.ts'

const NOW_MS = 1_800_000_000_000
const options = { replace: false, nowMs: NOW_MS }

async function writeFile(file: string, text: string, replace = false): Promise<void> {
  using output = new OutputFile(file, { replace, nowMs: NOW_MS })
  await output.write(Buffer.from(text))
  await output.commit({ path: `${file}.meta`, text: `about ${text}` })
}

function scope(): string {
  const { boot, pids } = processScope()
  return `${boot.slice(0, 8)}.${pids.replaceAll(/\D/g, '')}`
}

describe('OutputFile', () => {
  it('gives the file its name only when it is committed, with its companion', async () => {
    const folder = newDirectory()
    const file = `${folder}/f`
    {
      using output = new OutputFile(file, options)
      for (const length of [3, 1 << 20, (1 << 20) + 5, 70_000]) await output.write(Buffer.alloc(length, length % 251))
      assert.deepEqual([existsSync(file), readdirSync(folder).length], [false, 1])
      await output.commit({ path: `${file}.meta`, text: 'about it' })
    }
    assert.deepEqual(readdirSync(folder).sort(), ['f', 'f.meta'])
    const want = Buffer.concat([3, 1 << 20, (1 << 20) + 5, 70_000].map((length) => Buffer.alloc(length, length % 251)))
    assert.ok(readFileSync(file).equals(want))
    assert.equal(readFileSync(`${file}.meta`, 'utf8'), 'about it')
  })

  it('leaves nothing when it is not committed', async () => {
    const folder = newDirectory()
    {
      using output = new OutputFile(`${folder}/f`, options)
      await output.write(Buffer.alloc(3 << 20))
    }
    assert.deepEqual(readdirSync(folder), [])
  })

  it('replaces only what it may, and never a directory', async () => {
    const file = `${newDirectory()}/f`
    await writeFile(file, 'old')
    await assert.rejects(writeFile(file, 'new'), { code: 'EEXIST' })
    assert.deepEqual([readFileSync(file, 'utf8'), readFileSync(`${file}.meta`, 'utf8')], ['old', 'about old'])
    await writeFile(file, 'new', true)
    assert.deepEqual([readFileSync(file, 'utf8'), readFileSync(`${file}.meta`, 'utf8')], ['new', 'about new'])
    mkdirSync(`${file}.d`)
    await assert.rejects(writeFile(`${file}.d`, 'x', true), { code: 'EISDIR' })
  })

  it('does not replace what came meanwhile', async () => {
    const file = `${newDirectory()}/f`
    using output = new OutputFile(file, options)
    await output.write(Buffer.from('ours'))
    writeFileSync(file, 'theirs')
    await assert.rejects(output.commit({ path: `${file}.meta`, text: '' }), { code: 'EEXIST' })
    assert.equal(readFileSync(file, 'utf8'), 'theirs')
  })

  it('replaces a symlink, and not what it points to', async () => {
    const folder = newDirectory()
    writeFileSync(`${folder}/target`, 'untouched')
    symlinkSync('target', `${folder}/f`)
    await assert.rejects(writeFile(`${folder}/f`, 'new'), { code: 'EEXIST' })
    await writeFile(`${folder}/f`, 'new', true)
    assert.equal(readFileSync(`${folder}/target`, 'utf8'), 'untouched')
    assert.ok(statSync(`${folder}/f`).isFile())
  })

  it('replaces no device and no FIFO, not even by way of a symlink', async () => {
    const folder = newDirectory()
    const fifo = newFifo()
    symlinkSync(fifo, `${folder}/link`)
    for (const file of [fifo, `${folder}/link`])
      await assert.rejects(writeFile(file, 'x', true), { code: 'TARGET_FAILED', message: /no regular file/ })
    assert.ok(statSync(fifo).isFIFO())
  })

  it('closes its descriptor only when nothing is written to it any more', async () => {
    const folder = newDirectory()
    // Keeps all threads of Node busy, so that the write waits for one.
    const busy = Array.from({ length: 8 }, () => promisify(pbkdf2)('', '', 100_000, 64, 'sha512'))
    const output = new OutputFile(`${folder}/f`, options)
    const writing = output.write(Buffer.alloc(2 << 20)).catch(() => undefined)
    await new Promise((resolve) => setImmediate(resolve))
    output[Symbol.dispose]()
    const other = openSync(`${folder}/other`, 'w')
    await Promise.all([writing, ...busy])
    closeSync(other)
    assert.equal(statSync(`${folder}/other`).size, 0)
    assert.deepEqual(readdirSync(folder), ['other'])
  })

  it('gives way to one that writes the same file already, and to nobody else', async () => {
    const folder = newDirectory()
    using first = new OutputFile(`${folder}/f`, options)
    assert.throws(() => new OutputFile(`${folder}/f`, { ...options, nowMs: NOW_MS + 1 }), { code: 'EBUSY' })
    using other = new OutputFile(`${folder}/f.other`, { ...options, nowMs: NOW_MS + 1 })
    await first.write(Buffer.from('first'))
    await other.write(Buffer.from('other'))
    await first.commit({ path: `${folder}/f.meta`, text: '' })
    await other.commit({ path: `${folder}/f.other.meta`, text: '' })
    assert.deepEqual(readdirSync(folder).sort(), ['f', 'f.meta', 'f.other', 'f.other.meta'])
  })

  it('gives way before it has its name to one that came before and had not made its file', async () => {
    const file = `${newDirectory()}/f`
    using later = new OutputFile(file, { ...options, nowMs: NOW_MS + 1 })
    using earlier = new OutputFile(file, options)
    await assert.rejects(later.commit({ path: `${file}.meta`, text: '' }), { code: 'EBUSY' })
    await earlier.commit({ path: `${file}.meta`, text: '' })
  })

  it('removes what killed processes left, of this boot at once, of others after a day', async () => {
    const folder = newDirectory()
    runScript(
      `
      const { OutputFile } = await import('${import.meta.resolve('./output-file.ts')}')
      const output = new OutputFile('${folder}/f', { replace: false, nowMs: ${NOW_MS} })
      await output.write(Buffer.alloc(2 << 20))
      process.kill(process.pid, 'SIGKILL')`.replace("process.kill(process.pid, 'SIGKILL')", 'process.reallyExit(0)'),
    )
    const [left = ''] = readdirSync(folder)
    assert.match(left, /^f\..*\.tmp$/)
    const foreign = [`f.00000000.1-${NOW_MS - 1000}-77-1.tmp`, `f.00000000.1-${NOW_MS - 90_000_000}-77-1.tmp`]
    const notOurs = ['f.tmp', `f.${scope()}-x-77-1.tmp`, 'g.tmp']
    for (const name of [...foreign, ...notOurs]) writeFileSync(`${folder}/${name}`, '')
    utimesSync(`${folder}/f.tmp`, 0, 0)
    await writeFile(`${folder}/f`, 'x')
    assert.deepEqual(readdirSync(folder).sort(), ['f', 'f.meta', foreign[0], ...notOurs].sort())
  })

  it('takes names that are not UTF-8', async () => {
    const folder = newDirectory()
    await writeFile(`${folder}/${LATIN1_NAME}`, 'x')
    assert.equal(readdirSync(folder, 'buffer').length, 2)
  })
})
