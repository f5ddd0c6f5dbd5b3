import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { hasCommand, needs } from '../testing.ts'
import { NEEDS_TMUX } from '../tmux.ts'
import { allHelp, assertNothingRun, makeScene, NAMES, type Scene, Shell, TABLE } from './shells.ts'

const PACKAGE = '/usr/share/bash-completion/bash_completion'
const VARIANTS = [
  { title: 'bash', setup: '', skip: false },
  {
    title: 'bash with the package bash-completion',
    setup: `source ${PACKAGE}`,
    skip: needs(existsSync(PACKAGE), 'needs bash-completion'),
  },
]

let scene: Scene
before(async () => {
  scene = await makeScene()
})
after(() => assertNothingRun(scene))

for (const { title, setup, skip } of VARIANTS) {
  describe(title, { skip: NEEDS_TMUX || skip }, () => {
    let shell: Shell
    before(async () => {
      shell = await Shell.start('bash', scene, { before: setup })
    })
    after(() => shell.close())

    const table: readonly (readonly [typed: string, becomes: string])[] = [
      ...TABLE,
      ['cairn list 2>/dev/null repo::tu', 'cairn list 2>/dev/null repo::tuesday '],
      ['cairn diff repo::tuesday h', 'cairn diff repo::tuesday h%F\\{\\{red\\}\\}%n '],
      ['cairn create folder/tw', 'cairn create folder/two\\ words '],
      ["cairn create 'folder/tw", "cairn create 'folder/two words' "],
      ['cairn create folder/$', 'cairn create folder/\\$\\(touch\\ PWNED\\) '],
      ["cairn list 'repo::6", "cairn list 'repo::6  blanks' "],
      ['cairn list "repo::6', 'cairn list "repo::6  blanks" '],
      ["cairn list 'repo::5", "cairn list 'repo::5'\\''single'\\'' quotes' "],
      ['cairn list "repo::8', 'cairn list "repo::8"\\!""\\!""\\!"\\$"\\!"" '],
      ['cairn list repo::6\\ ', 'cairn list repo::6\\ \\ blanks '],
      ["cairn restore -r 'repo' 6", "cairn restore -r 'repo' 6\\ \\ blanks "],
      ['cairn list $(touch PWNED)::', 'cairn list $(touch PWNED)::'],
      ['cairn list -r `touch PWNED` ', 'cairn list -r `touch PWNED` '],
    ]
    for (const [typed, becomes] of table)
      it(`makes '${becomes}' of '${typed}'`, async () => assert.equal(await shell.tab(typed), becomes))

    it('shows all candidates', async () => {
      await shell.offers('cairn ', ['create', 'backup', 'list', 'key', 'help'])
      await shell.offers('cairn key ', ['list', 'change-passphrase', 'rotate'])
      await shell.offers('cairn restore --conflict ', ['fail', 'keep', 'overwrite', 'if-newer', 'mirror'])
    })

    it('runs nothing that names of snapshots have in them, and offers none that a terminal would obey', async () => {
      const screen = await shell.offers('cairn list repo::', ['tuesday', 'latest'])
      assert.ok(!/owned|line$|^k|txt|p\/q/m.test(screen), screen)
      assert.ok(!shell.title.includes('owned'))
      for (const [number, name] of NAMES.entries())
        await shell.run(`cairn list --short repo::${name.slice(0, 1)}`, new RegExp(`is-${number}$`, 'm'))
      assertNothingRun(scene)
    })

    it('runs nothing that names of files have in them', async () => {
      await shell.run('cairn create -n --list folder/\\$', /^cairn:.*\n?|PWNED/m)
      assertNothingRun(scene)
    })
  })
}

describe('bash, where a repository has a passphrase', { skip: NEEDS_TMUX }, () => {
  it('offers its snapshots only if the environment has it, and asks nothing', async (t) => {
    for (const [env, becomes] of [
      [{ CAIRN_PASSPHRASE: 'sesame' }, 'cairn list locked::inside '],
      [{ BORG_PASSPHRASE: 'sesame' }, 'cairn list locked::inside '],
      [{ CAIRN_PASSPHRASE: 'wrong' }, 'cairn list locked::ins'],
      [{ CAIRN_PASSCOMMAND: 'touch PWNED' }, 'cairn list locked::ins'],
    ] as const) {
      const shell = await Shell.start('bash', scene, { env })
      t.after(() => shell.close())
      assert.equal(await shell.tab('cairn list locked::ins'), becomes)
    }
    assertNothingRun(scene)
  })
})

describe('the script for bash', { skip: needs(hasCommand('bash', '-c', 'true'), 'needs bash') }, () => {
  it('offers every command and every option that help tells of', async () => {
    const script = `source <(cairn completion bash)
      offer() { COMP_WORDS=(cairn); COMP_LINE=$1 COMP_POINT=\${#1}; _cairn cairn "$2"; printf '%s ' "\${COMPREPLY[@]}"; echo; }
      while IFS= read -r line; do offer "$line" "\${line##* }"; done`
    const help = await allHelp()
    const lines = help.flatMap(({ words }) => {
      const line = `cairn ${words === '' ? '' : `${words} `}`
      return [line, `${line}-`]
    })
    const output = execFileSync('bash', ['-c', script], {
      cwd: scene.folder,
      env: scene.env,
      input: `${lines.join('\n')}\n`,
      encoding: 'utf8',
    }).split('\n')
    for (const [index, { words, commands, options }] of help.entries()) {
      const offered = [output[2 * index], output[2 * index + 1]].map((line) =>
        (line ?? '').split(' ').filter(Boolean).sort(),
      )
      if (commands.length > 0) assert.deepEqual(offered[0], [...commands].sort(), words)
      assert.deepEqual(offered[1], [...options].sort(), words)
    }
  })

  it('leaves Borg alone where that is another program', () => {
    const script = 'source <(cairn completion bash); complete -p cairn; complete -p borg'
    const run = (env: Record<string, string>): string =>
      execFileSync('bash', ['-c', `${script} 2>&1; true`], { env: { ...scene.env, ...env }, encoding: 'utf8' })
    assert.match(run({}), /-F _cairn borg$/m)
    const borg = execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim()
    execFileSync('sh', ['-c', `printf '#!/bin/sh\\n' > ${borg}/borg; chmod +x ${borg}/borg`])
    assert.match(run({ PATH: `${borg}:${scene.env['PATH']}` }), /borg: no completion specification/)
    execFileSync('rm', ['-r', borg])
  })
})
