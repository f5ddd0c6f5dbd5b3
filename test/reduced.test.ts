/** Where system calls cannot be made natively, everything else works, and one warning says what is missing. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { linkSync, lstatSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { newFolder } from './testing.ts'

const MAIN = path.join(import.meta.dirname, '../src/main.ts')

/** Runs the program where koffi cannot be loaded, as on a platform without it. */
function cairn(home: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const preload = path.join(home, 'without-koffi.cjs')
  writeFileSync(
    preload,
    `const Module = require('node:module')
     const load = Module._load
     Module._load = function (name, ...rest) {
       if (name.includes('koffi')) throw new Error('koffi is not here')
       return load.call(this, name, ...rest)
     }`,
  )
  const env = { ...process.env, HOME: home, XDG_DATA_HOME: '', XDG_CONFIG_HOME: '', XDG_CACHE_HOME: '', CAIRN_REPO: '' }
  return spawnSync(process.execPath, ['--require', preload, MAIN, ...args], { env, encoding: 'utf8' })
}

describe('without native system calls', () => {
  it('backups, restores and checks work, with one warning each', () => {
    const home = newFolder()
    const source = newFolder()
    mkdirSync(`${source}/folder`)
    writeFileSync(`${source}/folder/file`, 'content')
    writeFileSync(`${source}/large`, Buffer.alloc(20 << 20, 'large'))
    linkSync(`${source}/large`, `${source}/linked`)
    symlinkSync('large', `${source}/symlink`)
    utimesSync(`${source}/folder/file`, 1_234_567_890.25, 1_234_567_890.25)

    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2100) // what is younger is read again next time
    const first = cairn(home, 'backup', source)
    assert.equal(first.status, 0, first.stderr)
    assert.equal(first.stderr.match(/warning/g)?.length, 1, first.stderr)
    assert.match(first.stderr, /koffi is not here/)
    const second = cairn(home, 'backup', '--list', source)
    assert.equal(second.status, 0, second.stderr)
    assert.match(second.stdout, /^U .*folder\/file$/m)
    assert.doesNotMatch(second.stdout, /^[AMCE] /m)
    assert.equal(cairn(home, 'check', '--read-data').status, 0)

    const target = newFolder()
    const restored = cairn(home, 'restore', '--target', target)
    // Times of folders, which the system gives to the nanosecond, come back to the microsecond: not everything.
    assert.equal(restored.status, 3, restored.stderr)
    assert.equal(restored.stderr.match(/koffi is not here/g)?.length, 1, restored.stderr)
    const at = (name: string): string => path.join(target, source, name)
    assert.equal(readFileSync(at('folder/file'), 'utf8'), 'content')
    assert.equal(lstatSync(at('folder/file')).mtimeMs, 1_234_567_890_250)
    assert.equal(lstatSync(at('linked')).ino, lstatSync(at('large')).ino)
    assert.ok(readFileSync(at('linked')).equals(readFileSync(`${source}/large`)))
    assert.equal(lstatSync(at('symlink')).isSymbolicLink(), true)
  })
})
