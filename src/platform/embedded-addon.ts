import { closeSync, existsSync, openSync, unlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { getAssetKeys, getRawAsset } from 'node:sea'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { CairnError } from '../base/errors.ts'

/**
 * Native libraries inside of the single executable, where they take the place of the packages that have them.
 *
 * The system loads libraries from files only. So a library is written to a file that loses its name before it has content, and
 * loaded by way of its descriptor: nobody else can get at it or put another one in its place, nothing is left behind, however
 * the process ends, and processes do not meet. Each library has 1 MB and takes 1 ms, in memory; a file that stays would have
 * to be hashed each time, which takes as long.
 */

const SUFFIX = '.node'
/** By library, in the order of their names: the descriptor of its file, for all threads; 0 before it is loaded. */
const descriptors = sharedDescriptors()

/**
 * The library that was embedded under this name; each thread of the process gets the same one.
 *
 * @throws {CairnError} `STORAGE_DENIED` when there is no folder that it can be loaded from
 */
export function loadEmbeddedAddon(name: string): unknown {
  const slot = addonNames().indexOf(name)
  const known = Atomics.load(descriptors, slot)
  if (known !== 0) return load(known)
  const problems: string[] = []
  for (const folder of foldersToTry()) {
    let fd: number | undefined
    try {
      fd = openNameless(folder)
      writeFileSync(fd, new Uint8Array(getRawAsset(name + SUFFIX)))
      const addon = load(fd)
      Atomics.compareExchange(descriptors, slot, 0, fd) // at worst, two threads have loaded it twice
      return addon
    } catch (error) {
      if (fd !== undefined) closeSync(fd)
      problems.push(`${folder}: ${(error as Error).message}`)
    }
  }
  const advice = existsSync('/proc/self/fd')
    ? 'set TMPDIR to a folder that can be written to, on a file system that is not mounted noexec'
    : 'mount /proc'
  throw new CairnError('STORAGE_DENIED', `Cannot load the native library ${name}: ${[...problems, advice].join('; ')}`)
}

/** An empty file that has no name any more, for this user alone. */
function openNameless(folder: string): number {
  const name = path.join(folder, `.cairn-${crypto.randomUUID()}`)
  const fd = openSync(name, 'wx+', 0o600) // fails on anything that is there already, be it a symlink
  unlinkSync(name)
  return fd
}

/** The descriptor stays open: the next thread finds the library by it, and no other file may get the number. */
function load(fd: number): unknown {
  const module = { exports: {} }
  process.dlopen(module, `/proc/self/fd/${fd}`)
  return module.exports
}

/** Memory first, where the file costs no disk anything. Last, folders that programs are run from. */
function foldersToTry(): readonly string[] {
  const { TMPDIR, HOME } = process.env
  const folders = [TMPDIR || '/dev/shm', '/tmp', '/var/tmp', HOME || '/', path.dirname(process.execPath)]
  return [...new Set(folders)]
}

function addonNames(): readonly string[] {
  return getAssetKeys()
    .filter((key) => key.endsWith(SUFFIX))
    .map((key) => key.slice(0, -SUFFIX.length))
    .sort()
}

/** Made by the main thread, and found by those that it starts later. */
function sharedDescriptors(): Int32Array {
  const key = 'cairn: descriptors of native libraries'
  const shared = getEnvironmentData(key)
  if (shared instanceof Int32Array) return shared
  const made = new Int32Array(new SharedArrayBuffer(addonNames().length * Int32Array.BYTES_PER_ELEMENT))
  setEnvironmentData(key, made)
  return made
}
