/** Mounting by a user without rights, with the help of fusermount3. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { run } from '../src/platform/testing.ts'
import { SKIP_UNLESS_FUSE } from './mounting.ts'
import { commitFolder } from './full-snapshot.ts'
import {
  AS_NOBODY,
  CAN_BE_NOBODY,
  NOBODY,
  TestRepository,
  cairnCommand,
  hasCommand,
  needs,
  newFolder,
} from './testing.ts'

const skip =
  SKIP_UNLESS_FUSE ||
  needs(
    CAN_BE_NOBODY && hasCommand('fusermount3', '-V') && hasCommand('unshare', '-m', 'true'),
    'cannot mount as another user',
  )

/** Runs a shell script as nobody, where everybody may open /dev/fuse, as usual; what it prints. */
function asNobody(script: string): string {
  const device = path.join(newFolder(), 'fuse')
  run('mknod', device, 'c', '10', '229')
  chmodSync(device, 0o666)
  const open = `mount --bind '${device}' /dev/fuse && exec ${AS_NOBODY.join(' ')} sh -c "$0"`
  return run(
    'unshare',
    '-m',
    'sh',
    '-c',
    open,
    `exec 2>&1; export HOME=/nonexistent NODE_COMPILE_CACHE=; cd /; ${script}`,
  )
}

describe('a user without rights', { skip }, () => {
  it('mounts, unmounts and tidies up after a kill, in folders that are his', async () => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'content')
    writeFileSync(`${source}/secret`, 'secret', { mode: 0o600 })
    chmodSync(source, 0o755)
    const repository = await TestRepository.create({ encryption: 'none' })
    await commitFolder(repository, source)
    run('chown', '-R', `${NOBODY}:${NOBODY}`, path.dirname(repository.location))
    const directory = newFolder()
    chownSync(directory, NOBODY, NOBODY)
    const mount = cairnCommand(['mount', repository.location, directory])
    const umount = cairnCommand(['umount', directory])
    const printed = asNobody(`
      ${mount}; echo $?; cat ${directory}/latest/f; echo; cat ${directory}/latest/secret; echo $?
      (cd ${directory}/latest; ${umount}; echo $?)
      ${umount}; echo $?; ls ${directory}
      ${mount}; echo $?; kill -9 $(pgrep -u ${NOBODY} -f '[m]ount ${repository.location}'); while ls ${directory}; do :; done
      ${mount}; echo $?; ${umount}; echo $?; ls ${directory}`)
    const lines = printed.trim().split('\n')
    const mounted = `cairn: mounted on ${directory}; 'cairn umount' ends it`
    assert.deepEqual(lines.slice(0, 5), [
      mounted,
      '0',
      'content',
      `cat: ${directory}/latest/secret: Permission denied`,
      '1',
    ])
    assert.match(lines[5] ?? '', /^cairn: error: Cannot unmount .*busy/)
    assert.deepEqual(lines.slice(6, 10), ['1', '0', mounted, '0'])
    assert.ok(lines.some((line) => /(endpoint is not connected|connection abort)$/.test(line)))
    assert.deepEqual(lines.slice(-3), [mounted, '0', '0'])
  })

  it('is told why he cannot', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    run('chown', '-R', `${NOBODY}:${NOBODY}`, path.dirname(repository.location))
    const others = newFolder()
    chmodSync(others, 0o755)
    const printed = asNobody(`${cairnCommand(['mount', repository.location, others])}; echo $?`)
    assert.match(
      printed,
      /^cairn: error: Cannot mount on .*: user has no write access to mountpoint .*; where FUSE .*\n1\n$/,
    )
    mkdirSync(`${others}/d`)
    assert.deepEqual(readdirSync(others), ['d'])
  })
})
