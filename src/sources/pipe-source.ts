import type { AbortOptions } from '../base/abort.ts'
import type { ByteSource } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { Command } from '../platform/command.ts'
import { describeSystemError } from '../platform/files.ts'
import { type InputStream, standardInput } from '../platform/input-stream.ts'
import { currentUser, groupId, groupName, userId, userName } from '../platform/owners.ts'
import type { Arrivals, StreamedSource } from './arrivals.ts'
import type { SourceEntry } from './source.ts'

/** What the only file of such a snapshot is to look like. */
export interface PipedFile {
  /** Its path in the snapshot, relative. */
  readonly path: string
  /** Names or numbers; who runs this when absent. */
  readonly user?: string | undefined
  readonly group?: string | undefined
  readonly mode: number
  readonly mtimeMs: number
}

/** Standard input as one file. @throws {CairnError} `INVALID_ARGUMENT` when the file cannot be called or owned so */
export function stdinSource(file: PipedFile): StreamedSource {
  const entry = entryOf(file)
  return pipeSource(entry, (options) => {
    const input = openStdin(options)
    return { content: readFrom(input), close: async () => input[Symbol.dispose]() }
  })
}

/**
 * The output of a command as one file, which comes to an end only if the command does, and well.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` when the file cannot be called or owned so; later `SOURCE_FAILED` when the command
 *   cannot be run, fails or is killed
 */
export function commandSource(words: readonly string[], file: PipedFile): StreamedSource {
  const toError = (problem: string): CairnError =>
    new CairnError(
      'SOURCE_FAILED',
      `Cannot back up the output of '${toPrintable(words.join(' '))}': it ${problem}; nothing was saved`,
    )
  return pipeSource(entryOf(file), (options) => {
    const command = new Command(words, { stdin: 'ours', toError, ...options })
    return { content: command, close: () => command[Symbol.asyncDispose]() }
  })
}

interface OpenPipe {
  readonly content: ByteSource
  close(): Promise<void>
}

function pipeSource(entry: SourceEntry, open: (options: AbortOptions) => OpenPipe): StreamedSource {
  return {
    paths: [entry.path],
    isPipe: true,
    arrive(_observer, options = {}): Arrivals {
      const pipe = open(options)
      return {
        async *[Symbol.asyncIterator]() {
          yield { entry, content: pipe.content }
        },
        [Symbol.asyncDispose]: () => pipe.close(),
      }
    },
  }
}

function openStdin(options: AbortOptions): InputStream {
  try {
    return standardInput(options)
  } catch (error) {
    throw unreadable(error)
  }
}

function readFrom(input: ByteSource): ByteSource {
  return {
    async read(target) {
      try {
        return await input.read(target)
      } catch (error) {
        throw unreadable(error)
      }
    },
  }
}

function unreadable(error: unknown): unknown {
  if (error instanceof CairnError) return error
  const reason = describeSystemError(error)
  return new CairnError('SOURCE_FAILED', `Cannot read standard input: ${reason}; nothing was saved`, { cause: error })
}

function entryOf({ path, user, group, mode, mtimeMs }: PipedFile): SourceEntry {
  const parts = path.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..') || path.includes('\0')) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot save a file as '${toPrintable(path)}': give a relative path without '.' and '..'`,
    )
  }
  const me = currentUser()
  const uid = numberOf(user, me.uid, userId, 'user')
  const gid = numberOf(group, me.gid, groupId, 'group')
  const mtimeNs = BigInt(mtimeMs) * 1_000_000n
  return {
    path,
    name: parts.at(-1) ?? '',
    depth: parts.length,
    type: 'file',
    mode,
    uid,
    gid,
    user: userName(uid) ?? '',
    group: groupName(gid) ?? '',
    sizeBytes: 0,
    mtimeNs,
    ctimeNs: mtimeNs,
    inode: 0n,
    atimeNs: undefined,
    linkTarget: undefined,
    link: undefined,
    device: undefined,
    xattrs: undefined,
    flags: 0,
    sparse: false,
    fileSystemKind: 'local',
    systemPath: path,
    ancestor: false,
  }
}

function numberOf(
  given: string | undefined,
  mine: number,
  find: (name: string) => number | undefined,
  kind: string,
): number {
  if (given === undefined) return Math.max(0, mine)
  const number = /^\d{1,10}$/.test(given) ? Number(given) : find(given)
  if (number !== undefined && number < 0xffff_ffff) return number
  throw new CairnError('INVALID_ARGUMENT', `Cannot find the ${kind} '${toPrintable(given)}': it has no number here`)
}
