import net from 'node:net'
import { throwIfAborted } from '../base/abort.ts'
import type { ByteSource } from '../base/byte-stream.ts'
import { checked, getLibc } from './native.ts'

/** A pipe whose ends are closed in programs that are run; `undefined` where the system cannot be asked for one. */
export function newPipe(): { readonly readFd: number; readonly writeFd: number } | undefined {
  const native = getLibc()
  if (!native) return undefined
  const fds = new Int32Array(2)
  checked(native, native.pipe2(fds, CLOSE_ON_EXEC), 'pipe2')
  return { readFd: fds[0] as number, writeFd: fds[1] as number }
}

/** O_CLOEXEC of asm-generic/fcntl.h, which Node does not export. */
const CLOSE_ON_EXEC = 0o2000000

const PIPE_BUFFER_BYTES = 256 << 10

/** Reads a pipe or a socket, whose descriptor it takes over, into memory that is there already. To be disposed of. */
export class PipeInput implements ByteSource, Disposable {
  readonly #socket: net.Socket
  readonly #signal: AbortSignal | undefined
  #target: Uint8Array | undefined
  #done = 0
  /** What came and had no room in the target. */
  #rest: Uint8Array = new Uint8Array(0)
  #hasEnded = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(fd: number, signal: AbortSignal | undefined) {
    this.#signal = signal
    const buffer = Buffer.allocUnsafeSlow(PIPE_BUFFER_BYTES)
    this.#socket = new net.Socket({
      fd,
      readable: true,
      writable: false,
      onread: { buffer, callback: (count, memory) => this.#take(memory.subarray(0, count)) },
    })
    this.#socket.on('end', () => {
      this.#hasEnded = true
      this.#wake?.()
    })
    this.#socket.on('error', (error) => {
      this.#failure ??= { error }
      this.#wake?.()
    })
    this.#socket.on('close', () => {
      this.#failure ??= { error: new Error('the pipe was closed before its end') }
      this.#wake?.()
    })
  }

  async read(target: Uint8Array): Promise<number> {
    this.#target = target
    this.#done = 0
    const rest = this.#rest
    this.#rest = rest.subarray(0, 0)
    this.#take(rest)
    while (this.#done < target.length && !this.#hasEnded) {
      if (this.#failure) throw this.#failure.error
      throwIfAborted(this.#signal)
      this.#socket.resume()
      await this.#more()
    }
    this.#target = undefined
    return this.#done
  }

  /** Whether there is room for more. */
  #take(bytes: Uint8Array): boolean {
    const target = this.#target
    const room = target ? target.length - this.#done : 0
    const taken = bytes.subarray(0, room)
    target?.set(taken, this.#done)
    this.#done += taken.length
    if (bytes.length < room) return true
    this.#rest = bytes.subarray(taken.length)
    this.#wake?.()
    return false
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = undefined
        this.#signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#wake = wake
      this.#signal?.addEventListener('abort', wake)
    })
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}
