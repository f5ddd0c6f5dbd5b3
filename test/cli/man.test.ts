/** What the manual has in it, and who gets it. How it looks is in `test/manual.test.ts`. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { ERROR_CODES } from '../../src/base/errors.ts'
import { EXIT_CODES, EXIT_WARNINGS } from '../../src/cli/exit-codes.ts'
import { VARIABLES } from '../../src/config/variables.ts'
import { newFolder } from '../testing.ts'
import { NOW_MS, runCli } from './harness.ts'

describe('man', () => {
  it('prints the page of the program, or of a command by any of its names', async () => {
    assert.match((await runCli(['man'])).stdout, /^\.TH CAIRN 1 2026-11-21 "cairn /)
    const create = (await runCli(['man', 'create'])).stdout
    assert.match(create, /^\.TH CAIRN\\-CREATE 1/)
    assert.match(create, /^cairn\\-create, cairn\\-backup \\- save files and folders/m)
    for (const name of ['backup', 'save']) assert.equal((await runCli(['man', name])).stdout, create)
  })

  it('dates pages by SOURCE_DATE_EPOCH, and says so if that is no time', async () => {
    const page = await runCli(['man'], { env: { SOURCE_DATE_EPOCH: '86400' } })
    assert.match(page.stdout, /^\.TH CAIRN 1 1970-01-02 /)
    for (const wrong of ['today', '1e99']) {
      const { exitCode, stderr } = await runCli(['man'], { env: { SOURCE_DATE_EPOCH: wrong } })
      assert.deepEqual([exitCode, /number of seconds since 1970/.test(stderr)], [2, true])
    }
    assert.equal(NOW_MS, Date.parse('2026-11-21T12:44:05.000Z'))
  })

  it('writes all pages into a folder, which is made, in place of older ones', async () => {
    const folder = path.join(newFolder(), 'share', 'man1')
    for (let round = 0; round < 2; round++) {
      const { exitCode, stderr } = await runCli(['man', '--output', folder])
      assert.deepEqual([exitCode, /^cairn: wrote \d+ pages to /.test(stderr)], [0, true])
    }
    const names = readdirSync(folder)
    for (const name of ['cairn.1', 'cairn-create.1', 'cairn-backup.1', 'cairn-key.1', 'cairn-man.1'])
      assert.ok(names.includes(name), name)
    assert.ok(!names.some((name) => name.includes('_')), names.join(' '))
    const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8')
    assert.equal(read('cairn-backup.1'), read('cairn-create.1'))
  })

  it('refuses what it cannot do', async () => {
    const file = path.join(newFolder(), 'file')
    writeFileSync(file, '')
    for (const [words, message, code] of [
      [['nonsense'], /no such command; see 'cairn --help'/, 2],
      [['__complete'], /no such command/, 2],
      [['create', '--output', 'x'], /--output writes all/, 2],
      [['--output', file], /Cannot write to .*file/, 1],
    ] as const) {
      const { exitCode, stderr } = await runCli(['man', ...words])
      assert.equal(exitCode, code, stderr)
      assert.match(stderr, message)
    }
  })
})

describe('tables of the manual', () => {
  it('have every exit code that there is', () => {
    const listed = EXIT_CODES.flatMap(({ codes }) => codes.split(', ')).map(Number)
    const used = [0, EXIT_WARNINGS, 143, ...Object.values(ERROR_CODES).map(({ exit }) => exit)]
    assert.deepEqual(
      listed,
      [...new Set(used)].sort((a, b) => a - b),
    )
  })

  it('have every variable that the program looks at', () => {
    const listed = new Set(VARIABLES.flatMap(({ name, borg }) => [name, ...(borg === undefined ? [] : [borg])]))
    /** Set by the program itself, or its launcher. */
    const internal = new Set(['CAIRN_CALLED_AS', 'CAIRN_IN_BACKGROUND'])
    const found = new Set<string>()
    const constants: string[] = []
    for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || /\.test|testing|variables\.ts$/.test(file)) continue
      const text = readFileSync(path.join('src', file), 'utf8')
      for (const [name] of text.matchAll(/\b(?:CAIRN|BORG)_[A-Z]+(?:_[A-Z]+)*\b(?!_)/g)) found.add(name)
      for (const [, name = ''] of text.matchAll(/\bconst (\w+)/g)) constants.push(name)
      for (const [, name = ''] of text.matchAll(/\benv\['(\w+)'\]/g)) found.add(name)
      for (const [, name = ''] of text.matchAll(/\bvariable\([^)]*'(\w+)'\)/g))
        found.add(`CAIRN_${name}`).add(`BORG_${name}`)
      for (const [, name = ''] of text.matchAll(/\$\{family\}_(\w+)/g)) found.add(`CAIRN_${name}`).add(`BORG_${name}`)
      for (const [, name = ''] of text.matchAll(/\bxdg\('(\w+)'/g)) found.add(name)
    }
    for (const name of [...internal, ...constants]) found.delete(name)
    assert.deepEqual([...found].sort(), [...listed].sort())
  })
})
