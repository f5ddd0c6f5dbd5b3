import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { hasCommand, needs } from '../testing.ts'
import { NEEDS_TMUX } from '../tmux.ts'
import { allHelp, assertNothingRun, makeScene, NAMES, type Scene, Shell, TABLE } from './shells.ts'

const skip = NEEDS_TMUX || needs(hasCommand('fish', '--no-config', '-c', 'true'), 'needs fish')

describe('fish', { skip }, () => {
  let scene: Scene
  let shell: Shell
  before(async () => {
    scene = await makeScene()
    shell = await Shell.start('fish', scene)
  })
  after(() => shell.close())

  const table: readonly (readonly [typed: string, becomes: string])[] = [
    ...TABLE,
    ['cairn diff repo::tuesday h', 'cairn diff repo::tuesday h\\%F\\{\\{red\\}\\}\\%n '],
    ['cairn create folder/tw', 'cairn create folder/two\\ words '],
    ["cairn create 'folder/tw", "cairn create 'folder/two words' "],
    ["cairn list 'repo::6", "cairn list 'repo::6  blanks' "],
    ['cairn list "repo::6', 'cairn list "repo::6  blanks" '],
    ['cairn list repo::6\\ ', 'cairn list repo::6\\ \\ blanks '],
    ["cairn restore -r 'repo' 6", "cairn restore -r 'repo' 6\\ \\ blanks "],
    ['cairn list $(touch PWNED)::', 'cairn list $(touch PWNED)::'],
    ['cairn create (touch PWNED)fold', 'cairn create (touch PWNED)fold'],
  ]
  for (const [typed, becomes] of table)
    it(`makes '${becomes}' of '${typed}'`, async () => assert.equal(await shell.tab(typed), becomes))

  it('runs nothing that names of snapshots have in them, and offers none that a terminal would obey', async () => {
    const screen = await shell.offers('cairn list repo::', [])
    assert.ok(!/owned|line|^k|txt|p\/q/m.test(screen), screen)
    assert.ok(!shell.title.includes('owned'))
    for (const [number, name] of NAMES.entries())
      await shell.run(`cairn list --short repo::${name.slice(0, 1)}`, new RegExp(`is-${number}$`, 'm'))
    assertNothingRun(scene)
  })

  it('offers every command and every option that help tells of, with descriptions', async () => {
    const script = 'cairn completion fish | source; while read -l line; complete -C $line; echo =; end'
    const help = await allHelp()
    const lines = help.flatMap(({ words }) => {
      const line = `cairn ${words === '' ? '' : `${words} `}`
      return [line, `${line}-`, `${line}--`]
    })
    const answers = execFileSync('fish', ['--no-config', '-c', script], {
      cwd: scene.folder,
      env: scene.env,
      input: `${lines.join('\n')}\n`,
      encoding: 'utf8',
    })
      .split('=\n')
      .map((answer) => answer.split('\n').filter(Boolean))
    for (const [index, { words, commands, options }] of help.entries()) {
      const [first, ...others] = answers.slice(3 * index, 3 * index + 3)
      const offered = new Set(others.flat().map((line) => line.split('\t')[0]))
      assert.deepEqual(
        options.filter((option) => !offered.has(option)),
        [],
        words,
      )
      assert.ok(
        others.flat().every((line) => /\t./.test(line)),
        others.flat().join('\n'),
      )
      if (commands.length > 0)
        assert.deepEqual(first?.map((line) => line.split('\t')[0]).sort(), [...commands].sort(), words)
    }
  })
})
