import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { CairnError, isCairnError } from '../base/errors.ts'
import { systemSecretInput } from './secret-input.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cairn-secret-'))
after(() => rmSync(folder, { recursive: true }))

const isWrongPassword = (text: RegExp) => (error: unknown) =>
  isCairnError(error, 'WRONG_PASSWORD') && text.test(error.message)

const run = (script: string, signal?: AbortSignal): Promise<string> =>
  systemSecretInput.fromCommand([process.execPath, '-e', script], { signal })

describe('secrets from a command', () => {
  it('are the first line it prints, without the line end', async () => {
    assert.equal(await run(`console.log('pä ss \\nsecond')`), 'pä ss ')
    assert.equal(await run(`process.stdout.write('no line end')`), 'no line end')
    assert.equal(await run(`process.stdout.write('dos\\r\\n')`), 'dos')
    assert.equal(await run(''), '')
  })

  it('do not break a command that prints much more', async () => {
    assert.equal(await run(`process.stdout.write('first\\n' + 'x'.repeat(1e6)); `), 'first')
  })

  it('are an error with the exit code or signal when it fails, even if it printed something', async () => {
    await assert.rejects(run(`console.log('x'); process.exitCode = 7`), isWrongPassword(/exit code 7/))
    await assert.rejects(run(`process.kill(process.pid, 'SIGKILL')`), isWrongPassword(/SIGKILL/))
    await assert.rejects(systemSecretInput.fromCommand(['/nonexistent/command']), isWrongPassword(/cannot be run/))
    await assert.rejects(systemSecretInput.fromCommand([]), isWrongPassword(/is empty/))
  })

  it('are refused when they are absurdly long', async () => {
    await assert.rejects(run(`process.stdout.write('x'.repeat(70_000))`), isWrongPassword(/longer than/))
  })

  it('end the command when the run is interrupted', async () => {
    const controller = new AbortController()
    const pending = run('setTimeout(() => {}, 60_000)', controller.signal)
    controller.abort(new CairnError('CANCELLED', 'stop'))
    await assert.rejects(pending, (error) => isCairnError(error, 'CANCELLED'))
  })
})

describe('secrets from a file descriptor', () => {
  it('are its first line', async () => {
    const file = path.join(folder, 'secret')
    writeFileSync(file, 'from a file\nrest\n')
    const fd = openSync(file, 'r')
    assert.equal(await systemSecretInput.fromFd(fd), 'from a file')
    closeSync(fd) // still open: the caller's
  })

  it('are an error when it is not open', async () => {
    await assert.rejects(systemSecretInput.fromFd(9999), isWrongPassword(/file descriptor 9999/))
  })
})
