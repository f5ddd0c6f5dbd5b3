import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { hasCommand, needs } from '../testing.ts'
import { NEEDS_TMUX } from '../tmux.ts'
import { allHelp, assertNothingRun, makeScene, NAMES, type Scene, Shell, TABLE } from './shells.ts'

const skip = NEEDS_TMUX || needs(hasCommand('zsh', '-f', '-c', 'true'), 'needs zsh')

describe('zsh', { skip }, () => {
  let scene: Scene
  let shell: Shell
  before(async () => {
    scene = await makeScene()
    shell = await Shell.start('zsh', scene)
  })
  after(() => shell.close())

  const table: readonly (readonly [typed: string, becomes: string])[] = [
    ...TABLE,
    ['cairn diff repo::tuesday h', 'cairn diff repo::tuesday h%F\\{\\{red\\}\\}%n '],
    ['cairn create folder/tw', 'cairn create folder/two\\ words '],
    ["cairn create 'folder/tw", "cairn create 'folder/two words' "],
    ["cairn list 'repo::6", "cairn list 'repo::6  blanks' "],
    ['cairn list "repo::6', 'cairn list "repo::6  blanks" '],
    ["cairn list 'repo::5", "cairn list 'repo::5'\\''single'\\'' quotes' "],
    ['cairn list repo::6\\ ', 'cairn list repo::6\\ \\ blanks '],
    ["cairn restore -r 'repo' 6", "cairn restore -r 'repo' 6\\ \\ blanks "],
  ]
  for (const [typed, becomes] of table)
    it(`makes '${becomes}' of '${typed}'`, async () => assert.equal(await shell.tab(typed), becomes))

  it('shows descriptions', async () => {
    const screen = await shell.offers('cairn key ', ['list', 'change-passphrase', 'rotate'])
    assert.match(screen, /^rotate +-- seal everything from now on under a new master key$/m)
    const names = await shell.offers('cairn list repo::t', [])
    assert.ok(names.includes('repo::t'))
  })

  it('runs nothing that names of snapshots have in them, and offers none that a terminal would obey', async () => {
    const screen = await shell.offers('cairn list repo::', ['tuesday', 'latest'])
    assert.ok(!/owned|line|^k|txt|p\/q/m.test(screen), screen)
    assert.ok(!shell.title.includes('owned'))
    for (const [number, name] of NAMES.entries())
      await shell.run(`cairn list --short repo::${name.slice(0, 1)}`, new RegExp(`is-${number}$`, 'm'))
    assertNothingRun(scene)
  })

  it('offers every command and every option that help tells of', async () => {
    for (const { words, commands, options } of await allHelp()) {
      const line = `cairn ${words === '' ? '' : `${words} `}`
      if (commands.length > 0) await shell.offers(line, commands)
      await shell.offers(`${line}-`, options)
    }
  })
})
