import type { RepositoryAccess } from './repository-access.ts'
import { CairnError } from '../base/errors.ts'

export type EncryptionMode = 'repokey' | 'keyfile' | 'none'

export interface InitOptions extends Omit<RepositoryAccess, 'askPassphrase'> {
  readonly encryption: EncryptionMode
  /** `undefined` for `none`, and for a `keyfile` whose file alone opens the repository. */
  readonly passphrase: string | undefined
  /** Like `fastcdc,256K,1M,4M`; the default when absent. */
  readonly chunkerParams?: string | undefined
}

export interface InitResult {
  readonly repositoryId: string
  readonly location: string
  readonly encryption: EncryptionMode
  /** The key file that was written, for `keyfile`. */
  readonly keyFile: string | undefined
}

/**
 * Makes a new, empty repository.
 *
 * @throws {CairnError} `REPOSITORY_EXISTS`, or what the storage throws; then nothing is left behind
 */
export function initRepository(_options: InitOptions): Promise<InitResult> {
  throw new CairnError('INTERNAL', 'stub')
}
