import { once } from 'node:events'
import { PassThrough, type Transform } from 'node:stream'
import type { Storage } from '../storage.ts'
import { type Link, RemoteStorage } from './remote-storage.ts'
import { serveStorage } from './serve-storage.ts'

export interface LoopbackOptions {
  /** What the bytes go through on their way to the server, and back. */
  readonly up?: Transform
  readonly down?: Transform
  readonly silenceMs?: number
  readonly explainEnd?: Link['explainEnd']
}

/** A client and a server of `storage` in this process. */
export async function connect(storage: Storage, options: LoopbackOptions = {}) {
  const { up = new PassThrough(), down = new PassThrough(), silenceMs } = options
  const served = serveStorage({ input: up, output: down, open: async () => storage, silenceMs })
  served.catch(() => undefined)
  const remote = await RemoteStorage.open(linkOf(up, down, options), {
    location: 'ssh://far/repo',
    open: { path: 'repo', create: false, mayContain: [] },
    silenceMs,
  })
  return { remote, served, up, down }
}

export function linkOf(up: Transform, down: Transform, { explainEnd }: Pick<LoopbackOptions, 'explainEnd'> = {}): Link {
  return {
    input: down,
    output: up,
    explainEnd: explainEnd ?? (async () => undefined),
    close: async () => {
      up.end()
      if (!down.closed && !down.readableEnded) {
        down.resume()
        await Promise.race([once(down, 'end'), once(down, 'close')])
      }
    },
  }
}
