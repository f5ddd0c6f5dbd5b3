import { createRequire } from 'node:module'
import { systemError } from '../system-error.ts'

/** Calls of the C library that only mounting needs, in the main thread; made through koffi as those of `native.ts`. */
interface MountLibc {
  mount(source: string, target: Buffer, type: string, flags: number, data: string): number
  umount2(target: Buffer, flags: number): number
  socketpair(domain: number, type: number, protocol: number, fds: Int32Array): number
  recvmsg(fd: number, message: Buffer, flags: number): number
  /** The number of descriptors that are ready. */
  poll(fds: Buffer, count: number, timeoutMs: number): number
  /** The same, waiting in a thread of its own. */
  pollAsync(fds: Buffer, count: number, timeoutMs: number): Promise<number>
  setsid(): number
  dup2(from: number, to: number): number
  addressOf(bytes: Uint8Array): bigint
  errno(): number
}

let libc: MountLibc | undefined

/** @throws an error that says why, where these calls cannot be made */
export function mountLibc(): MountLibc {
  if (libc) return libc
  if (process.platform !== 'linux') throw systemError('ENOSYS', 'mount')
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default
  const library = koffi.load(null)
  const poll = library.func('int poll(void *, ulong, int)')
  libc = {
    mount: library.func('int mount(const char *, void *, const char *, ulong, const char *)'),
    umount2: library.func('int umount2(void *, int)'),
    socketpair: library.func('int socketpair(int, int, int, void *)'),
    recvmsg: library.func('int64_t recvmsg(int, void *, int)'),
    poll,
    pollAsync: (fds, count, timeoutMs) =>
      new Promise((resolve, reject) => {
        poll.async(fds, count, timeoutMs, (error: Error | null, ready: number) =>
          error ? reject(error) : resolve(ready),
        )
      }),
    setsid: library.func('int setsid()'),
    dup2: library.func('int dup2(int, int)'),
    addressOf: (bytes) => koffi.address(bytes),
    errno: () => koffi.errno(),
  }
  return libc
}
