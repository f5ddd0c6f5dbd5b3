import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SKIP_UNLESS_FUSE, mount } from '../mounting.ts'
import { TestRepository, cairn } from '../testing.ts'

describe('a repository that does not answer', { skip: SKIP_UNLESS_FUSE }, () => {
  it('keeps nobody waiting who presses Tab', async (t) => {
    const inner = await TestRepository.create({ encryption: 'none' })
    const outer = await TestRepository.create({ encryption: 'none' })
    await outer.create([inner.location], { name: 'one' })
    const { directory, process } = await mount(t, [`${outer.location}::one`])
    process.kill('SIGSTOP') // whoever looks into the mount now waits for ever
    const line = `cairn list ${directory}${inner.location}::`
    const { status, signal, stdout } = cairn(['__complete', 'bash', '--', line, ''])
    assert.deepEqual([status, signal, stdout], [null, 'SIGKILL', 'nothing\n'])
  })
})
