import type { AbortOptions } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'

export interface PassphraseQuestion {
  /** The repository as the user wrote it. */
  readonly location: string
  /** 1 for the first question, 2 after one wrong answer, and so on. */
  readonly attempt: number
}

/** Which repository, and how to get at its keys. */
export interface RepositoryAccess extends AbortOptions {
  /** Location without `::NAME`. */
  readonly location: string
  /** Where key files of `keyfile` repositories are kept. */
  readonly keyFolder: string
  /** Asks for the passphrase; `undefined` gives up, which ends in `WRONG_PASSWORD`. Never asked when none is needed. */
  readonly askPassphrase: (question: PassphraseQuestion) => Promise<string | undefined>
  readonly clock?: Clock
}
