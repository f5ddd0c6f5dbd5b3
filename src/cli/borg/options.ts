/**
 * borg: what makes a script for Borg run. The program behaves so when it is called by the name `borg`; Borg's options and
 * `--format`, `--log-json` and `--json-lines` are there under either name.
 *
 * This file is the one place that knows Borg's spellings of options that have another name here, or none.
 */
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import { CairnError } from '../../base/errors.ts'

/** An option of Borg that a command does not have by itself. Just one of `sets`, `ignored` and `refused` is there. */
interface BorgOption {
  readonly flags: string
  /** Those that take it; all when absent. */
  readonly commands?: readonly string[]
  /** The options of ours that it stands for, by the names that commander gives them. */
  readonly sets?: (value: string) => Readonly<Record<string, unknown>>
  /** Why leaving it out of account does no harm. */
  readonly ignored?: string
  /** Why it cannot be left out of account, and what to do instead. */
  readonly refused?: string
}

const NO_LOCKS = 'there are no locks here'
const NO_CACHE = 'there is no cache here'
const ONE_STEP = 'each snapshot is deleted in one step'
const ALL_CHECKED = 'all snapshots are looked at'
const ATTRIBUTES = ['create', 'extract', 'restore']
const NO_ATTRIBUTES = (name: string) => () => ({ [name]: false })

const BORG_OPTIONS: readonly BorgOption[] = [
  { flags: '--info', sets: () => ({ verbose: true }) },
  { flags: '--debug', sets: () => ({ verbose: true }) },
  { flags: '--warning', sets: () => ({}) },
  { flags: '--error', sets: () => ({ silent: true }) },
  { flags: '--critical', sets: () => ({ silent: true }) },
  { flags: '--debug-topic <TOPIC>', ignored: 'CAIRN_DEBUG names what is to be debugged' },
  { flags: '--debug-profile <FILE>', ignored: "Node's --cpu-prof makes profiles" },
  { flags: '--lock-wait <SECONDS>', ignored: NO_LOCKS },
  { flags: '--bypass-lock', ignored: NO_LOCKS },
  { flags: '--umask <M>', ignored: 'a repository is for nobody but its owner' },
  { flags: '--consider-part-files', ignored: 'there are no part files here' },
  { flags: '--remote-ratelimit <RATE>', ignored: 'the network is used as it is' },
  { flags: '--upload-ratelimit <RATE>', ignored: 'the network is used as it is' },
  { flags: '--remote-buffer <SIZE>', ignored: 'packs are the buffer' },
  { flags: '--upload-buffer <SIZE>', ignored: 'packs are the buffer' },

  { flags: '--noxattrs', commands: ATTRIBUTES, sets: NO_ATTRIBUTES('xattrs') },
  { flags: '--noacls', commands: ATTRIBUTES, sets: NO_ATTRIBUTES('acls') },
  { flags: '--noflags', commands: ATTRIBUTES, sets: NO_ATTRIBUTES('flags') },
  { flags: '--nobsdflags', commands: ATTRIBUTES, sets: NO_ATTRIBUTES('flags') },
  { flags: '--numeric-owner', commands: [...ATTRIBUTES, 'diff', 'mount'], sets: () => ({ numericIds: true }) },
  { flags: '--sparse', commands: ATTRIBUTES, sets: () => ({}) }, // holes are always kept, and always restored

  // As it is anyway.
  ...['--noatime', '--noctime', '--nobirthtime'].map((flags) => ({ flags, commands: ['create'], sets: () => ({}) })),
  { flags: '--no-cache-sync', commands: ['create'], ignored: NO_CACHE },
  { flags: '--files-cache <PARTS>', commands: ['create'], sets: (mode) => ({ detect: detectOf(mode) }) },
  { flags: '--files-changed <PART>', commands: ['create'], ignored: 'every change that can be seen is noticed' },
  { flags: '--continue', commands: ['extract'], sets: () => ({}) }, // files that are right are left as they are
  {
    flags: '--chunker-params <PARAMS>',
    commands: ['create', 'import'],
    ignored: "how files are cut is said once, to 'cairn init'",
  },
  {
    flags: '--read-special',
    commands: ['create'],
    refused: 'devices and FIFOs are saved as such, and not what can be read from them',
  },
  ...['--paths-from-stdin', '--paths-from-command', '--paths-delimiter <DELIMITER>'].map((flags) => ({
    flags,
    commands: ['create'],
    refused: 'paths are arguments here; --patterns-from FILE takes those that begin with R from a file',
  })),

  { flags: '--save-space', commands: ['check', 'delete', 'prune'], ignored: ONE_STEP },
  {
    flags: '-c, --checkpoint-interval <SECONDS>',
    commands: ['delete', 'prune', 'rewrite', 'import'],
    ignored: ONE_STEP,
  },
  { flags: '--force', commands: ['prune'], ignored: 'a snapshot that is damaged can be deleted like any other' },
  { flags: '--keep-security-info', commands: ['delete'], ignored: 'there is none here' },
  { flags: '--cache-only', commands: ['delete'], refused: `${NO_CACHE}, and nothing else was to be deleted` },
  { flags: '--cleanup-commits', commands: ['compact'], ignored: 'there are no such commits here' },

  ...['-P, --prefix <PREFIX>', '-a, --glob-archives <GLOB>', '--sort-by <KEYS>', '--first <N>', '--last <N>'].map(
    (flags) => ({ flags, commands: ['check'], ignored: ALL_CHECKED }),
  ),
  { flags: '--max-duration <SECONDS>', commands: ['check'], ignored: 'a check goes to its end' },

  { flags: '--same-chunker-params', commands: ['diff'], sets: () => ({}) }, // they always are
  { flags: '--sort', commands: ['diff'], sets: () => ({}) }, // it always is

  { flags: '--filter <LETTERS>', commands: ['rewrite'], ignored: 'only what is left out is listed' },
  { flags: '-s, --stats', commands: ['rewrite'], ignored: 'what was left out is said anyway' },
  { flags: '--target <NAME>', commands: ['rewrite'], refused: 'the new snapshot takes the place of the old one' },
  { flags: '--comment <TEXT>', commands: ['rewrite'], refused: "'cairn comment' changes comments" },
  { flags: '--timestamp <TIME>', commands: ['rewrite'], refused: 'the time of a snapshot stays' },
  ...['-C, --compression <ALGORITHM>', '--recompress [MODE]'].map((flags) => ({
    flags,
    commands: ['rewrite'],
    refused: "'cairn compact --compression' compresses anew what it moves",
  })),
  {
    flags: '--chunker-params <PARAMS>',
    commands: ['rewrite'],
    refused: "how files are cut is said once, to 'cairn init'",
  },
  ...['--exclude-caches', '--exclude-if-present <NAME>', '--keep-exclude-tags'].map((flags) => ({
    flags,
    commands: ['rewrite'],
    refused: "what lies beside such a file is left out by 'cairn create' only; name the folders with --exclude",
  })),

  { flags: '-c, --cache', commands: ['config'], refused: NO_CACHE },
]

/**
 * Adds to the command `name` what of Borg's options it does not have. `onIgnored` is told of each that was given and has no
 * effect.
 *
 * Parsing throws `INVALID_ARGUMENT` for those that would have to have one.
 */
export function addBorgOptions(command: Command, name: string, onIgnored: (option: string, why: string) => void): void {
  for (const { flags, commands, sets, ignored, refused } of BORG_OPTIONS) {
    if (commands && !commands.includes(name)) continue
    const option = new Option(flags).hideHelp()
    if (command.options.some(({ long }) => long === option.long)) continue
    if (sets && option.required) option.argParser(sets)
    command.addOption(option)
    const given = `--${option.name()}`
    command.on(`option:${option.name()}`, () => {
      if (refused !== undefined)
        throw new CairnError(
          'INVALID_ARGUMENT',
          `Cannot ${name} with ${given}: there is no such option here; ${refused}`,
        )
      if (ignored !== undefined) onIgnored(given, ignored)
      const meant = option.required ? command.getOptionValue(option.attributeName()) : sets?.('')
      for (const [attribute, value] of Object.entries((sets && meant) ?? {}))
        command.setOptionValueWithSource(attribute, value, 'cli')
    })
  }
}

/** Those of Borg's options, by their long flags, that the command `name` has only to say why it refuses them. */
export function refusedBorgOptions(name: string): ReadonlySet<string> {
  const refused = BORG_OPTIONS.filter(
    (option) => option.refused !== undefined && (option.commands?.includes(name) ?? true),
  )
  return new Set(refused.map(({ flags }) => new Option(flags).long ?? flags))
}

const FILES_CACHE_PARTS = ['ctime', 'mtime', 'size', 'inode', 'rechunk', 'disabled']

/** How unchanged files are recognized that Borg recognizes so: never with less care. */
function detectOf(mode: string): string {
  const parts = new Set(mode.trim().split(','))
  if (![...parts].every((part) => FILES_CACHE_PARTS.includes(part)))
    throw new InvalidArgumentError(`It must be some of ${FILES_CACHE_PARTS.join(', ')}, with commas between them.`)
  if (parts.has('rechunk') || parts.has('disabled')) return 'full-hash'
  return parts.has('ctime') ? 'ctime' : 'mtime'
}
