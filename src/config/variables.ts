/** A variable of the environment that changes what the program does. */
export interface VariableInfo {
  readonly name: string
  /** Borg's name for it, which is looked at where ours is not set. */
  readonly borg?: string
  readonly meaning: string
}

/** All that users may set, for the manual. */
export const VARIABLES: readonly VariableInfo[] = [
  { name: 'CAIRN_REPO', borg: 'BORG_REPO', meaning: 'location of the repository, where none is named' },
  { name: 'CAIRN_PASSPHRASE', borg: 'BORG_PASSPHRASE', meaning: 'the passphrase of the repository' },
  {
    name: 'CAIRN_PASSCOMMAND',
    borg: 'BORG_PASSCOMMAND',
    meaning: 'a command that prints the passphrase; it is run without a shell',
  },
  {
    name: 'CAIRN_PASSPHRASE_FD',
    borg: 'BORG_PASSPHRASE_FD',
    meaning: 'number of a file descriptor from which the passphrase is read',
  },
  {
    name: 'CAIRN_NEW_PASSPHRASE',
    borg: 'BORG_NEW_PASSPHRASE',
    meaning: 'the passphrase of a key or repository that is made',
  },
  { name: 'CAIRN_RSH', borg: 'BORG_RSH', meaning: 'the command to reach another machine with, in place of ssh' },
  {
    name: 'CAIRN_REMOTE_PATH',
    borg: 'BORG_REMOTE_PATH',
    meaning: 'the program to run on another machine, in place of cairn',
  },
  {
    name: 'CAIRN_KEYS_DIR',
    borg: 'BORG_KEYS_DIR',
    meaning: 'folder of the key files of repositories with --encryption keyfile',
  },
  { name: 'CAIRN_CACHE_DIR', meaning: 'folder for what was read of repositories on other machines' },
  {
    name: 'BORG_EXIT_CODES',
    meaning: "'modern' for the exit codes of Borg 1.4, under the name borg or with --exit-codes borg",
  },
  {
    name: 'CAIRN_DEBUG',
    meaning: 'parts of the program, with commas between them, that tell on standard error what they do; * for all',
  },
  { name: 'NO_COLOR', meaning: 'no colours, when it is set to anything' },
  { name: 'TERM', meaning: "'dumb' for a terminal that has neither colours nor a cursor to move" },
  { name: 'SOURCE_DATE_EPOCH', meaning: "the date of the pages that 'cairn man' makes, in seconds since 1970" },
  { name: 'HOME', meaning: 'the home folder; that of the account where it is not set' },
  { name: 'XDG_CONFIG_HOME', meaning: 'where the folder of key files is, in place of ~/.config' },
  { name: 'XDG_DATA_HOME', meaning: 'where the default repository is, in place of ~/.local/share' },
  { name: 'XDG_CACHE_HOME', meaning: 'where the cache is, in place of ~/.cache' },
]
