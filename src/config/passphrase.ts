import type { AbortOptions } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import { systemSecretInput, type SecretInput } from '../platform/secret-input.ts'
import type { Environment } from './environment.ts'
import { splitCommand } from './split-command.ts'

export interface PassphraseOptions extends AbortOptions {
  readonly secrets?: SecretInput | undefined
}

/** Questions asked on a terminal before giving up. */
const MAX_ATTEMPTS = 3

const WAYS =
  'set CAIRN_PASSPHRASE, CAIRN_PASSCOMMAND or CAIRN_PASSPHRASE_FD (or their BORG_ names), or run it on a terminal'

/**
 * Answers for the passphrase of an existing repository: from the environment, which is asked once, else from the terminal,
 * up to three times. `undefined` gives up.
 *
 * @throws {CairnError} `WRONG_PASSWORD` when there is nobody to ask, or the command of `CAIRN_PASSCOMMAND` fails
 */
export function passphraseAsker(
  env: Environment,
  options: PassphraseOptions = {},
): (question: {
  readonly location: string
  readonly attempt: number
  readonly problem?: string | undefined
}) => Promise<string | undefined> {
  const secrets = options.secrets ?? systemSecretInput
  let latest: string | undefined
  let fromEnvironment = false

  return async ({ location, attempt, problem }) => {
    // Opening it again in the same run: neither ask twice nor read the file descriptor twice.
    if (attempt === 1 && latest !== undefined) return latest
    const given = attempt === 1 ? await environmentPassphrase(env, secrets, options) : undefined
    if (given !== undefined) {
      latest = given
      fromEnvironment = true
      return given
    }
    if (fromEnvironment || attempt > MAX_ATTEMPTS) return undefined
    if (!secrets.hasTerminal()) {
      throw new CairnError(
        'WRONG_PASSWORD',
        `Cannot open repository ${location}: it needs a passphrase and none was given; ${WAYS}`,
      )
    }
    const again =
      attempt > 1 ? (problem === undefined ? 'Wrong passphrase, try again. ' : `${capitalize(problem)}. `) : ''
    latest = await secrets.prompt(`${again}Passphrase for repository ${location}: `, options)
    return latest
  }
}

export interface NewPassphraseOptions extends PassphraseOptions {
  /** Whether an empty answer on the terminal means "no passphrase"; one from the environment is always taken. */
  readonly allowEmpty: boolean
  /** The repository exists, so that `CAIRN_PASSPHRASE` and its relatives are the passphrase it has. */
  readonly isExisting?: boolean
}

/**
 * A passphrase that is being chosen, for a new repository or a new key: from the environment, else asked twice on the terminal.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` when there is nobody to ask, or the answers stay empty or different
 */
export async function newPassphrase(
  env: Environment,
  location: string,
  options: NewPassphraseOptions,
): Promise<string> {
  const secrets = options.secrets ?? systemSecretInput
  const action = options.isExisting ? `make a key for repository ${location}` : `make repository ${location}`
  const given =
    env['CAIRN_NEW_PASSPHRASE'] ??
    env['BORG_NEW_PASSPHRASE'] ??
    (options.isExisting ? undefined : await environmentPassphrase(env, secrets, options))
  if (given === '' && options.isExisting && !options.allowEmpty)
    throw new CairnError('INVALID_ARGUMENT', `Cannot ${action}: CAIRN_NEW_PASSPHRASE is empty, which protects nothing`)
  if (given !== undefined) return given
  if (!secrets.hasTerminal()) {
    const ways = options.isExisting ? 'set CAIRN_NEW_PASSPHRASE, or run it on a terminal' : WAYS
    throw new CairnError('INVALID_ARGUMENT', `Cannot ${action}: it needs a passphrase; ${ways}`)
  }

  const hint = options.allowEmpty ? ' (empty: the key file alone opens it)' : ''
  let complaint = ''
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const first = await secrets.prompt(`${complaint}New passphrase for repository ${location}${hint}: `, options)
    if (first === undefined) break
    if (first === '' && !options.allowEmpty) {
      complaint = 'An empty passphrase protects nothing. '
      continue
    }
    const second = await secrets.prompt('The same passphrase again: ', options)
    if (second === undefined) break
    if (first === second) return first
    complaint = 'The two were different. '
  }
  throw new CairnError('INVALID_ARGUMENT', `Cannot ${action}: no passphrase was chosen`)
}

/** What the environment says; our variables come before Borg's, and in each family the order is Borg's. */
async function environmentPassphrase(
  env: Environment,
  secrets: SecretInput,
  options: AbortOptions,
): Promise<string | undefined> {
  for (const family of ['CAIRN', 'BORG']) {
    const passphrase = env[`${family}_PASSPHRASE`]
    if (passphrase !== undefined) return passphrase

    const command = env[`${family}_PASSCOMMAND`]
    if (command) return secrets.fromCommand(splitCommand(command), options)

    const fd = env[`${family}_PASSPHRASE_FD`]
    if (!fd) continue
    if (!/^\d{1,6}$/.test(fd)) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot read the passphrase from ${family}_PASSPHRASE_FD: '${fd}' is not the number of a file descriptor`,
      )
    }
    return secrets.fromFd(Number(fd))
  }
  return undefined
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
