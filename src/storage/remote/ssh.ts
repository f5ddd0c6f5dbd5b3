import type { AbortOptions } from '../../base/abort.ts'
import { startRemoteCommand } from '../../platform/remote-command.ts'
import { type RemoteLocation, sshDestination } from '../remote-location.ts'
import { RemoteStorage } from './remote-storage.ts'

export interface SshOptions extends AbortOptions {
  /** In place of `ssh`: a program and its arguments, to which port, destination and command are added. */
  readonly rsh?: readonly string[] | undefined
  /** In place of `cairn`: how it is called on the far machine, as a shell there understands it. */
  readonly remotePath?: string | undefined
  /** Silence after which the far machine counts as gone. Default: a minute. */
  readonly silenceMs?: number | undefined
}

/**
 * A storage served by the `cairn` of another machine, over SSH. What `ssh` is configured to do is done: aliases, keys, agents, jump hosts,
 * known hosts. The path is not on the command line: so no shell can misread it, and a key may be limited to `cairn serve`.
 *
 * @throws {CairnError} as `RemoteStorage.open`
 */
export async function openSshStorage(
  text: string,
  location: RemoteLocation,
  options: SshOptions & { readonly create: boolean; readonly mayContain: readonly string[] },
): Promise<RemoteStorage> {
  const { rsh = ['ssh'], remotePath = 'cairn', create, mayContain, signal, silenceMs } = options
  const command = await startRemoteCommand([...rsh, ...sshDestination(location), `${remotePath} serve`])
  const open = { path: location.path, create, mayContain }
  const link = {
    input: command.input,
    output: command.output,
    explainEnd: async () => explain(await command.explainEnd(), remotePath, location.host),
    close: (how?: { readonly atOnce: boolean }) => command.close(how),
  }
  return RemoteStorage.open(link, { location: text, open, signal, silenceMs })
}

/** What shells say of a command that is not there, and what to do about it. */
function explain(said: string | undefined, command: string, host: string): string | undefined {
  if (said === undefined || !/not found|exit code 127/.test(said)) return said
  return `${said}: want '${command}' on ${host}, where a shell that is not interactive finds it; install it there, name it with --remote-path, or use sftp:// if that is not possible`
}
