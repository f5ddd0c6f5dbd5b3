import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { findErrorLine, findGnuTime, measure, type Measurement, parseShellTimes } from './measure.ts'

async function run(t: TestContext, script: string, gnuTime: boolean): Promise<Measurement> {
  const scratchFolder = mkdtempSync(path.join(tmpdir(), 'cairn-bench-test-'))
  t.after(() => rmSync(scratchFolder, { recursive: true }))
  const command = { argv: [process.execPath, '-e', script], env: process.env, cwd: scratchFolder } as const
  return measure(command, { scratchFolder, gnuTime })
}

// Burns CPU, holds 150 MB long enough to be seen, and fails.
const SCRIPT = `
  const memory = Buffer.alloc(150e6, 1)
  for (const end = process.cpuUsage().user + 200e3; process.cpuUsage().user < end;);
  console.error('\\nfirst line\\nsecond line')
  setTimeout(() => process.exit(memory[0] + 6), 1000)`

function check(measurement: Measurement): void {
  assert.equal(measurement.exitCode, 7)
  assert.equal(measurement.errorLine, 'first line')
  assert.ok((measurement.cpuSeconds ?? 0) >= 0.2, `CPU time is ${measurement.cpuSeconds}`)
  assert.ok(measurement.seconds >= 1)
  assert.ok((measurement.peakBytes ?? 0) >= 150e6, `peak is ${measurement.peakBytes}`)
}

const required = process.env['CAIRN_TEST_REQUIRE_ALL'] === '1'
const skip = !existsSync('/proc/self/status') && !required && 'there is no /proc'

describe('measure()', () => {
  it('takes CPU time and peak memory from GNU time where it is installed', { skip }, async (t) =>
    check(await run(t, SCRIPT, findGnuTime())),
  )

  it('takes them from the shell and /proc without GNU time', { skip }, async (t) => check(await run(t, SCRIPT, false)))
})

describe('parseShellTimes()', () => {
  it('adds up user and system time of the children', () => {
    assert.equal(parseShellTimes('0m0.50s 0m0.50s\n1m2.25s 0m1.50s\n'), 63.75)
    assert.equal(parseShellTimes('0m0.000000s 0m0.000000s\n0m0.125000s 0m0.250000s\n'), 0.375)
    assert.equal(parseShellTimes(''), 0)
  })
})

describe('findErrorLine()', () => {
  it('passes over what a crash prints before its error', () => {
    assert.equal(findErrorLine('node:internal:1\n  throw err\n\nTypeError: no\n    at x'), 'TypeError: no')
    assert.equal(findErrorLine('\nFatal: wrong password\nmore'), 'Fatal: wrong password')
    assert.equal(findErrorLine(''), '')
  })
})
