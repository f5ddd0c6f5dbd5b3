import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { userInfo } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { IS_ROOT, needs, newFolder } from './testing.ts'

/** A real SSH server on loopback, and ways to it that are not good. */

const SSHD = ['/usr/sbin/sshd', '/usr/local/sbin/sshd'].find((file) => existsSync(file))

export const SKIP_WITHOUT_SSHD = needs(
  SSHD !== undefined && spawnSync('ssh', ['-V']).status === 0,
  'needs ssh and sshd',
)

export interface Sshd {
  readonly port: number
  /** Words that call `ssh` with a configuration in which the host `far` is this server, through `port` when it is given. */
  rsh: (port?: number) => string[]
  /** Adds a key for the host `limited`, with options of authorized_keys. */
  limit: (options: string) => void
  stop: () => void
}

const CLIENT_CONFIG = `Host *
  User ${userInfo().username}
  IdentitiesOnly yes
  BatchMode yes
  LogLevel ERROR
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
`

function publicKey(file: string): string {
  return readFileSync(`${file}.pub`, 'utf8')
}

/** Starts a server. Commands run as this user, in a shell. */
export async function startSshd(): Promise<Sshd> {
  const folder = newFolder()
  const keyOf = (name: string): string => {
    const file = path.join(folder, name)
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
    return file
  }
  const [hostKey, userKey, limitedKey] = [keyOf('host'), keyOf('user'), keyOf('limited')]
  const authorizedKeys = path.join(folder, 'authorized_keys')
  writeFileSync(authorizedKeys, publicKey(userKey))
  const port = await freePort()
  const config = path.join(folder, 'sshd_config')
  writeFileSync(
    config,
    `ListenAddress 127.0.0.1:${port}
${hasIpv6() ? `ListenAddress [::1]:${port}` : ''}
HostKey ${hostKey}
AuthorizedKeysFile ${authorizedKeys}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
MaxStartups 100
LogLevel ERROR
Subsystem sftp internal-sftp
`,
  )
  if (IS_ROOT) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const server = spawn(SSHD as string, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'inherit'] })
  await untilListening(port)
  return {
    port,
    stop: () => {
      server.kill()
      for (const socket of sockets) socket.destroy()
    },
    rsh: (to = port) => {
      const file = path.join(folder, `ssh_config-${to}`)
      writeFileSync(
        file,
        `Host far limited\n  HostName 127.0.0.1\n  Port ${to}\nHost limited\n  IdentityFile ${limitedKey}\nHost !limited *\n  IdentityFile ${userKey}\n${CLIENT_CONFIG}`,
      )
      return ['ssh', '-F', file]
    },
    limit: (options) => writeFileSync(authorizedKeys, `${publicKey(userKey)}${options} ${publicKey(limitedKey)}`),
  }
}

export function hasIpv6(): boolean {
  return existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8').includes(' lo')
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function untilListening(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await setTimeout(50)
  }
}

export interface ProxyOptions {
  /** After so many bytes from the client, both sides are cut off. */
  readonly cutAfter?: number
  /** After so many bytes from the client, nothing is passed on any more, either way. */
  readonly stallAfter?: number
  /** One bit of this byte from the client is flipped. */
  readonly flipAt?: number
  readonly bytesPerSecond?: number
}

/** Of all proxies: one that stalls does not notice that its ends have gone. */
const sockets = new Set<net.Socket>()

/** A way to a server on this machine, on a port of its own, that counts what goes through it. */
export class Proxy {
  bytesUp = 0
  connections = 0
  /** Whether new connections are cut at once. */
  isClosed = false
  readonly port: number
  readonly #own = new Set<net.Socket>()

  private constructor(port: number) {
    this.port = port
  }

  static async start(to: number, options: ProxyOptions = {}): Promise<Proxy> {
    const { cutAfter = Infinity, stallAfter = Infinity, flipAt = -1, bytesPerSecond } = options
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new Proxy((server.address() as net.AddressInfo).port)
    server.on('connection', (client) => {
      proxy.connections++
      if (proxy.isClosed) {
        client.destroy()
        return
      }
      const far = net.connect(to, '127.0.0.1')
      for (const socket of [client, far]) {
        sockets.add(socket)
        proxy.#own.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => {
          sockets.delete(socket)
          proxy.#own.delete(socket)
          ;(socket === client ? far : client).destroy()
        })
      }
      client.on('data', (piece: Buffer) => {
        const at = flipAt - proxy.bytesUp
        if (at >= 0 && at < piece.length) piece[at] = (piece[at] as number) ^ 1
        proxy.bytesUp += piece.length
        if (proxy.bytesUp > cutAfter) return client.destroy()
        if (proxy.bytesUp > stallAfter) return client.pause()
        far.write(piece)
        if (bytesPerSecond === undefined) return undefined
        client.pause()
        return void setTimeout((piece.length / bytesPerSecond) * 1000).then(() => client.resume())
      })
      far.on('data', (piece: Buffer) => {
        if (proxy.bytesUp <= stallAfter) client.write(piece)
      })
    })
    server.unref()
    return proxy
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#own) socket.destroy()
  }

  /** Passes nothing on, either way, until `resume`. */
  stall(): void {
    for (const socket of this.#own) socket.pause()
  }

  resume(): void {
    for (const socket of this.#own) socket.resume()
  }
}
