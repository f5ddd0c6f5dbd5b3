import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { findAddons } from '../../scripts/build/packages.ts'
import { IS_ROOT, needs, newFolder } from '../testing.ts'
import { InstalledProgram, SKIP_UNLESS_ELSEWHERE, build, describeProgram } from './suite.ts'

const SKIP_UNLESS_ROOT = needs(IS_ROOT, 'needs root')

let program: InstalledProgram

function install(): InstalledProgram {
  const out = build('executable')
  const names = readdirSync(out)
  assert.deepEqual(names, [`cairn-${process.platform}-${process.arch}`])
  return (program = new InstalledProgram(path.join(out, names[0] ?? '')))
}

describeProgram('the executable', install)

describe('the executable, besides', { skip: SKIP_UNLESS_ELSEWHERE }, () => {
  const repository = `${newFolder()}/repo`
  before(() => program.succeed(['init', '-e', 'none', repository]))

  it('needs no file but itself and libraries of C and C++', { skip: SKIP_UNLESS_ROOT }, () => {
    const root = newFolder()
    const listed = spawnSync('ldd', [program.file, ...findAddons().values()], { encoding: 'utf8' }).stdout
    const libraries = [...new Set([...listed.matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file ?? ''))]
    for (const file of libraries) cpSync(file, root + file, { recursive: true, dereference: true })
    const names = libraries.map((file) => path.basename(file).replace(/[-.].*/, ''))
    // README names what of these a small system has not.
    const wanted = ['ld', 'libatomic', 'libc', 'libdl', 'libgcc_s', 'libm', 'libpthread', 'librt', 'libstdc++']
    assert.deepEqual(names.sort(), wanted)
    for (const folder of ['proc', 'dev', 'tmp', 'data']) mkdirSync(`${root}/${folder}`)
    copyFileSync(program.file, `${root}/cairn`)
    writeFileSync(`${root}/data/file`, 'content '.repeat(100_000))
    const script = `set -e
      mount -t proc proc "$root/proc"
      mount --bind /dev "$root/dev"
      cairn() { chroot "$root" /cairn "$@" </dev/null; }
      cairn init -e none /repo
      cairn create /repo::one --compression lzma /data
      cairn restore -r /repo one --target /target`
    const { status, stderr } = program.shell(script, { root })
    assert.equal(status, 0, stderr)
    assert.deepEqual(readFileSync(`${root}/target/data/file`), readFileSync(`${root}/data/file`))
  })

  it('has its own Node, which what is meant for another one does not reach', () => {
    assert.match(program.succeed(['version', '-v']), new RegExp(`node ${process.versions.node} on`))
    const env = { NODE_OPTIONS: '--require /nowhere/module.js', NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere/library.node' }
    program.succeed(['list', repository], env)
    assert.match(program.succeed(['version', '--licenses']), /^koffi .*^Node\.js /ms)
  })

  it('is the same, byte for byte, when it is built again', () => {
    const again = path.join(build('executable'), path.basename(program.file))
    assert.equal(spawnSync('cmp', [program.file, again], { encoding: 'utf8' }).stdout, '')
  })

  it('leaves nothing behind but what it was told to make', () => {
    const folder = newFolder()
    const file = `${newFolder()}/file`
    writeFileSync(file, 'content '.repeat(1000))
    program.succeed(['create', '--compression', 'lzma', `${repository}::one`, file], { TMPDIR: folder })
    assert.deepEqual(readdirSync(folder), [])
    assert.deepEqual(
      readdirSync('/tmp').filter((name) => name.startsWith('.cairn-')),
      [],
    )
  })

  it('loads its libraries where the system permits it, and else says what to do', { skip: SKIP_UNLESS_ROOT }, () => {
    // Each of the folders that it would use is without the right to execute, or cannot be written to.
    const script = `set -e
      mount -t tmpfs none /mnt
      mount -t tmpfs -o noexec none /dev/shm
      : >/dev/shm/cairn
      mount --bind "$file" /dev/shm/cairn
      mount -t tmpfs -o ro none /var/tmp
      mount --bind /tmp /tmp
      mount -o remount,bind,noexec /tmp
      exec env -i HOME=/var/tmp $more /dev/shm/cairn list "$repository"`
    const run = (more: string) => program.shell(script, { repository, more, file: program.file })
    const refused = run('')
    assert.equal(refused.status, 1, refused.stderr)
    assert.match(refused.stderr, /^cairn: error: Cannot load the native library \S+: .*; set TMPDIR to a folder/)
    for (const folder of ['/dev/shm', '/tmp', '/var/tmp']) assert.ok(refused.stderr.includes(`${folder}: `), folder)
    assert.match(refused.stderr, /EROFS/)
    assert.equal(run('TMPDIR=/mnt').status, 0)
  })
})
