/** For tests of completion: real shells on real terminals, and a folder with repositories and files, some with hostile names. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createSnapshot } from '../../src/operations/create.ts'
import { initRepository } from '../../src/operations/init.ts'
import { allCommands, runCli, wordsOf } from '../cli/harness.ts'
import { TestRepository, newFolder } from '../testing.ts'
import { Tmux } from '../tmux.ts'

/** Names that can be typed, and of which each begins with another character. */
export const NAMES = [
  'tuesday',
  '1$(touch PWNED)',
  '2`touch PWNED`',
  '3;touch PWNED;',
  '4"double" quotes',
  "5'single' quotes",
  '6  blanks',
  '7*?[a-z]',
  '8!!!$!',
  '9\\back\\slash\\',
  'a~',
  'b{c}{d,e}',
  'c<d>e|f&',
  'd#$HOME',
  'ö — ü',
  'f:g',
  'h%F{red}%n',
  'i=j,k',
]

/** Names that are not offered: what would reach the terminal are commands to it, or they cannot be typed. */
export const UNTYPEABLE = ['k\u001B]0;owned\u0007', 'l\nline', 'm\ttab', 'n\u009B31m', 'o\u202Etxt', 'p/q']

export const FILES = ['plain', '$(touch PWNED)', 'two words']

export interface Scene {
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * A folder with `repo`, whose snapshots have `NAMES`, that numbered n with a file `is-n`; `locked`, with a passphrase and a snapshot
 * `inside`; and `folder/` with `FILES`. `cairn` and `borg` can be run.
 */
export async function makeScene(): Promise<Scene> {
  const folder = newFolder()
  for (const name of ['bin', 'home', 'folder', 'folder/sub']) mkdirSync(path.join(folder, name))
  for (const name of FILES) writeFileSync(path.join(folder, 'folder', name), '')
  for (const name of ['cairn', 'borg']) symlinkSync(path.resolve('cairn'), path.join(folder, 'bin', name))
  await symlinkRepositories(folder)
  const env = {
    PATH: `${folder}/bin:${process.env['PATH']}`,
    HOME: `${folder}/home`,
    NODE_COMPILE_CACHE: `${folder}/compile-cache`,
    TZ: 'UTC',
  }
  return { folder, env }
}

async function symlinkRepositories(folder: string): Promise<void> {
  const repository = await TestRepository.create({ encryption: 'none' })
  for (const [number, name] of [...NAMES, ...UNTYPEABLE].entries()) {
    const source = newFolder()
    writeFileSync(path.join(source, `is-${number}`), '')
    await repository.create([path.join(source, `is-${number}`)], { name })
  }
  symlinkSync(repository.location, path.join(folder, 'repo'))
  const locked = { location: path.join(folder, 'locked'), keyFolder: newFolder(), askPassphrase: async () => 'sesame' }
  await initRepository({ ...locked, encryption: 'repokey', passphrase: 'sesame' })
  await createSnapshot(locked, { name: 'inside', paths: [path.join(folder, 'folder')], workers: 1 })
}

export type ShellName = 'bash' | 'zsh' | 'fish'

const COMMANDS: Readonly<Record<ShellName, string>> = {
  bash: 'bash --norc --noprofile -i',
  zsh: 'zsh -f -i',
  fish: 'fish --no-config -i',
}

/** What makes a shell show all candidates at once, and nothing else that moves. */
const SETTINGS: Readonly<Record<ShellName, string>> = {
  bash: `PS1='$ '; bind 'set enable-bracketed-paste off' 'set show-all-if-ambiguous on'
bind 'set completion-query-items 0'; bind 'set page-completions off'; bind 'set show-all-if-ambiguous on'
source <(cairn completion bash)
`,
  zsh: `PS1='$ '; unsetopt zle_bracketed_paste prompt_sp; LISTMAX=1000
autoload -Uz compinit && compinit -u -D; source <(cairn completion zsh)
`,
  fish: `function fish_prompt; echo -n '$ '; end
cairn completion fish | source
`,
}

/** An interactive shell that has read our script. */
export class Shell {
  readonly #terminal: Tmux

  private constructor(terminal: Tmux) {
    this.#terminal = terminal
  }

  /** `before` is read before the script. */
  static async start(
    name: ShellName,
    { folder, env }: Scene,
    { before = '', env: more = {} }: { readonly before?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<Shell> {
    const file = path.join(newFolder(), 'settings')
    writeFileSync(file, `${before}\n${SETTINGS[name]}echo ready\n`)
    const terminal = new Tmux(COMMANDS[name], { cwd: folder, env: { ...env, ...more }, columns: 160, rows: 150 })
    terminal.type(`. ${file}`)
    terminal.press('Enter')
    await terminal.sees(/^ready$/m)
    return new Shell(terminal)
  }

  /** What a line becomes when Tab is pressed at its end, and then X. The line is not run. */
  async tab(line: string): Promise<string> {
    await this.#clear()
    this.#terminal.type(line)
    this.#terminal.press('Tab')
    this.#terminal.type('X')
    const screen = await this.#terminal.sees(/^\$ .*X$/m)
    return /.*^\$ (.*)X$/ms.exec(screen)?.[1] ?? assert.fail(screen)
  }

  /** Presses Tab at the end of a line, and waits until the screen has all these words; returns what can be seen. */
  async offers(line: string, words: readonly string[]): Promise<string> {
    await this.#clear()
    this.#terminal.type(line)
    this.#terminal.press('Tab')
    return this.#terminal.sees((screen) => {
      const [, ...shown] = ` ${screen.replaceAll('\n', ' \n ')} `.split('\n')
      return words.every((word) => shown.join('\n').includes(` ${word} `))
    })
  }

  /** Presses Tab and then Enter at the end of a line, and waits for what the command then prints. */
  async run(line: string, wanted: RegExp): Promise<string> {
    await this.#clear()
    this.#terminal.type(line)
    this.#terminal.press('Tab', 'Enter')
    return this.#terminal.sees(wanted)
  }

  get title(): string {
    return this.#terminal.ask('#{pane_title}')
  }

  close(): void {
    this.#terminal.close()
  }

  async #clear(): Promise<void> {
    this.#terminal.press('C-u', 'C-l')
    await this.#terminal.sees(/^\$$/)
  }
}

/** What a line becomes in every shell. */
export const TABLE: readonly (readonly [typed: string, becomes: string])[] = [
  ['cairn cre', 'cairn create '],
  ['cairn back', 'cairn backup '],
  ['cairn key rot', 'cairn key rotate '],
  ['cairn help umo', 'cairn help umount '],
  ['cairn man key', 'cairn man key '],
  ['cairn -r repo --js', 'cairn -r repo --json '],
  ['cairn create --detect part', 'cairn create --detect partial-hash '],
  ['cairn create --detect=part', 'cairn create --detect=partial-hash '],
  ['cairn create -C zs', 'cairn create -C zstd '],
  ['cairn list --sort-by name,ti', 'cairn list --sort-by name,timestamp '],
  ['cairn list --sort-by=name,ti', 'cairn list --sort-by=name,timestamp '],
  ['cairn mount -o ui', 'cairn mount -o uid='],
  ['cairn config repo storage', 'cairn config repo storage_quota '],
  ['cairn completion z', 'cairn completion zsh '],
  ['cairn create fold', 'cairn create folder/'],
  ['cairn create ~/../folder/pl', 'cairn create ~/../folder/plain '],
  ['cairn create -- --de', 'cairn create -- --de'],
  ['cairn restore --target fold', 'cairn restore --target folder/'],
  ['cairn restore --target=fold', 'cairn restore --target=folder/'],
  ['cairn restore --target folder/', 'cairn restore --target folder/sub/'],
  ['cairn create --exclude-from=folder/pl', 'cairn create --exclude-from=folder/plain '],
  ['cairn prune lock', 'cairn prune locked/'],
  ['cairn list > folder/pl', 'cairn list > folder/plain '],
  ['cairn list repo::tu', 'cairn list repo::tuesday '],
  ['cairn list ~/../repo::tu', 'cairn list ~/../repo::tuesday '],
  ['X=1 cairn list repo::tu', 'X=1 cairn list repo::tuesday '],
  ['true; cairn list repo::tu', 'true; cairn list repo::tuesday '],
  ['bin/cairn list repo::tu', 'bin/cairn list repo::tuesday '],
  ['~/../bin/cairn list repo::tu', '~/../bin/cairn list repo::tuesday '],
  ['cairn list repo::f', 'cairn list repo::f:g '],
  ['cairn list repo::f:', 'cairn list repo::f:g '],
  ['cairn restore -r repo tu', 'cairn restore -r repo tuesday '],
  ['cairn -r repo info tu', 'cairn -r repo info tuesday '],
  ['cairn restore --repo=repo tu', 'cairn restore --repo=repo tuesday '],
  ['cairn diff repo::tuesday i', 'cairn diff repo::tuesday i=j,k '],
  ['cairn check repo tu', 'cairn check repo tuesday '],
  ['cairn list -r repo lat', 'cairn list -r repo latest '],
  ['cairn mount -r repo tuesday fold', 'cairn mount -r repo tuesday folder/'],
  ['cairn list locked::', 'cairn list locked::'],
  ['cairn list nothing::', 'cairn list nothing::'],
  ['cairn list host:repo::', 'cairn list host:repo::'],
  ['cairn nonsense --', 'cairn nonsense --'],
  ['borg cre', 'borg create '],
  ['borg list repo::tu', 'borg list repo::tuesday '],
  ['borg create --lock-w', 'borg create --lock-wait '],
  ['borg create --read-sp', 'borg create --read-sp'],
  ['cairn create --lock-w', 'cairn create --lock-w'],
]

/** What was not to be run has not been. */
export function assertNothingRun({ folder }: Scene): void {
  for (const place of [folder, `${folder}/folder`, `${folder}/home`]) assert.ok(!existsSync(`${place}/PWNED`), place)
}

export interface Offered {
  /** `create`, or `key add`; empty for the program. */
  readonly words: string
  /** Commands with their other names, and options with their short forms. */
  readonly commands: readonly string[]
  readonly options: readonly string[]
}

/** All that the help of each command tells of commands and options, read from what it prints. */
export async function allHelp(): Promise<Offered[]> {
  const offered: Offered[] = []
  for (const command of await allCommands()) {
    const [, ...words] = wordsOf(command)
    const { stdout } = await runCli([...words, '--help'])
    const [body = ''] = stdout.split(/^Examples:$/m)
    const terms = [...body.matchAll(/^ {2}(\S.*?)(?: {2}|$)/gm)].map(([, term = '']) => term.split(', '))
    const options = terms
      .filter(([term]) => term?.startsWith('-'))
      .flatMap((flags) => flags.map((flag) => flag.replace(/ .*/, '')))
    const commands = command.commands.length > 0 ? terms.filter(([term]) => /^[a-z]/.test(term ?? '')).flat() : []
    assert.ok(options.includes('--help') && options.includes('-r'), stdout)
    offered.push({ words: words.join(' '), commands, options })
  }
  return offered
}
