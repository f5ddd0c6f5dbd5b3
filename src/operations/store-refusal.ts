import { CairnError, isCairnError } from '../base/errors.ts'

/**
 * Runs `change`, and says what it means when the store refuses to be changed, as one does that only takes new objects.
 *
 * @param action what then failed, like `Cannot delete snapshot 'monday'`
 * @throws {CairnError} `STORAGE_DENIED`; anything else that `change` throws as it is
 */
export async function explainRefusal<T>(action: string, change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    if (!isCairnError(error, 'STORAGE_DENIED')) throw error
    const advice = 'use an account that may change and delete objects there'
    throw new CairnError('STORAGE_DENIED', `${action}: the store does not permit it (${error.message}); ${advice}`, {
      cause: error,
      details: error.details,
    })
  }
}
