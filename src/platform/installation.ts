import { readFileSync } from 'node:fs'
import path from 'node:path'
import { getAsset, isSea } from 'node:sea'

/**
 * In which form the program is here, and what depends on that. There are three: a checkout, whose launcher `cairn` starts Node
 * on TypeScript; an npm package, all of whose JavaScript lies in one folder; and a single executable, which has everything in
 * it as assets, Node included. `scripts/build.ts` makes the latter two, and has native libraries loaded by `embedded-addon.ts`
 * in the last.
 */

/** Of what others wrote, the licences: a file of the package, an asset of the executable. */
export const NOTICES_FILE = 'THIRD-PARTY.txt'

/** The file of a worker thread in the package, or its asset in the executable. */
export function bundledWorkerFile(name: string): string {
  return `${name.replaceAll('/', '-')}.js`
}

/** What a worker thread runs, for `WorkerPool`: the file `<name>.ts` of `src/`, or what became of it. */
export function workerScript(name: string): URL | string {
  if (isSea()) return getAsset(bundledWorkerFile(name), 'utf8')
  return new URL(isCheckout() ? `../${name}.ts` : bundledWorkerFile(name), import.meta.url)
}

/** The command that starts this program again; its arguments follow. */
export function ownCommand(): readonly [string, ...string[]] {
  return isSea() ? [process.execPath] : [process.execPath, ...process.execArgv, process.argv[1] ?? '']
}

/** Tells the name to a process that is started by another program than the one that was called. */
export const NAME_VARIABLE = 'CAIRN_CALLED_AS'

/** The name by which the program was called, be it by way of a link. To be asked once: the environment does not tell it on. */
export function calledAs(): string {
  const told = process.env[NAME_VARIABLE]
  delete process.env[NAME_VARIABLE] // not for programs that this one starts
  return told ?? path.parse(isSea() ? process.argv0 : (process.argv[1] ?? '')).name
}

/** The licences of what is bundled with the program, if anything is. */
export function thirdPartyNotices(): string | undefined {
  if (isSea()) return getAsset(NOTICES_FILE, 'utf8')
  return isCheckout() ? undefined : readFileSync(new URL(`../${NOTICES_FILE}`, import.meta.url), 'utf8')
}

function isCheckout(): boolean {
  return import.meta.url.endsWith('.ts')
}
