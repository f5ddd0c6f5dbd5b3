import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { describe, it } from 'node:test'
import { fromRawName } from '../src/base/raw-name.ts'
import { closeFile, createFile, makeDirectory, makeSymlink, setMode, writeFully } from '../src/platform/files.ts'
import { setTimes } from '../src/platform/native.ts'
import { TestRepository, needs, newFolder } from './testing.ts'

/** A folder with a file and a symlink on each of 60 levels, whose names have 255 bytes: far beyond what one system call takes. */
function makeDeepTree(): string {
  const root = newFolder()
  const names = ['x'.repeat(255), 'é'.repeat(127), fromRawName(Buffer.alloc(255, 0xff))]
  const levels: string[] = []
  let folder = root
  for (let level = 0; level < 60; level++) {
    folder += `/${names[level % names.length]}`
    makeDirectory(folder, 0o755)
    const content = Buffer.from(`level ${level}`)
    const fd = createFile(`${folder}/file`, 0o600)
    writeFully(fd, content, 0, content.length)
    closeFile(fd)
    makeSymlink('file', `${folder}/link`)
    levels.push(folder)
  }
  for (const level of levels.reverse()) {
    setTimes(`${level}/file`, 1n, BigInt(level.length) * 1_000_000_007n)
    setMode(level, 0o750)
    setTimes(level, 1n, BigInt(level.length) * 1_000_000_009n)
  }
  return root
}

/** A digest of names, types, modes, owners, times and contents, made by tar(1), which reaches any depth. */
function digestBySystem(folder: string): string {
  const options = '--sort=name --format=posix --pax-option=delete=atime,delete=ctime'
  return execFileSync('sh', ['-c', `tar -c ${options} -C "$0" . | sha256sum`, folder], { encoding: 'utf8' })
}

describe(
  'a tree deeper than the kernel takes paths',
  { skip: needs(process.platform === 'linux', 'needs Linux') },
  () => {
    it('comes back as it was', async () => {
      const source = makeDeepTree()
      const repository = await TestRepository.create()
      const first = await repository.create([source])
      assert.equal(first.issues, 0)
      const again = await repository.create([source])
      assert.equal(again.issues, 0)
      const { target, issues } = await repository.extract()
      assert.equal(issues, 0)
      assert.equal(digestBySystem(path.join(target, source)), digestBySystem(source))
    })
  },
)
