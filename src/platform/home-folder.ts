import { homedir } from 'node:os'

/** `HOME`, or else what the system knows; `undefined` for a user without an account, as in containers and some cron jobs. */
export function homeFolder(): string | undefined {
  try {
    return homedir()
  } catch {
    return undefined
  }
}
