import { globSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

/** Where this checkout is. */
export const ROOT = path.resolve(import.meta.dirname, '../..')

/** What is used of a `package.json`. */
export interface PackageJson {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly author?: string | { readonly name: string }
  readonly repository?: string | { readonly url: string }
  readonly engines: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

/** That of this checkout, or of a package that it depends on. */
export function readPackageJson(folder = ROOT): PackageJson {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as PackageJson
}

/** The packages with native libraries that this one needs to run, each with the library for this platform. Works once a process. */
export function findAddons(): ReadonlyMap<string, string> {
  const require = createRequire(import.meta.url)
  const addons = new Map<string, string>()
  let known = loadedAddons()
  for (const name of Object.keys(readPackageJson().dependencies)) {
    require(name)
    const loaded = loadedAddons()
    const [file] = loaded.difference(known)
    if (file) addons.set(name, file)
    known = loaded
  }
  return addons
}

function loadedAddons(): Set<string> {
  const { sharedObjects } = process.report.getReport() as unknown as { readonly sharedObjects: readonly string[] }
  return new Set(sharedObjects.filter((file) => file.endsWith('.node')))
}

/** What comes along with the program, and under which licence. */
export interface Notice {
  readonly title: string
  readonly text: string
}

export function packageNotice(name: string): Notice {
  const folder = path.join(ROOT, 'node_modules', name)
  const { version, license } = readPackageJson(folder)
  const file = readdirSync(folder).find((file) => /^licen[cs]e(\.|$)/i.test(file))
  const text = file ? readFileSync(path.join(folder, file), 'utf8') : licenceByName(folder)
  return { title: `${name} ${version} (${license})`, text }
}

/** For a package that names its licence without the text. */
function licenceByName(folder: string): string {
  const { name, license, author, repository } = readPackageJson(folder)
  if (license !== 'MIT')
    throw new Error(`Cannot tell the licence of ${name}: it is ${license}, and there is no text of it`)
  const holder = (typeof author === 'object' ? author.name : author) ?? `the authors of ${name}`
  const [, terms] = readFileSync(path.join(ROOT, 'LICENSE'), 'utf8').split(/(?=^Permission is hereby granted)/m)
  const where = typeof repository === 'object' ? repository.url : repository
  return `MIT License\n\nCopyright (c) ${holder}${where ? ` (${where})` : ''}\n\n${terms}`
}

/** The Node that goes into the executable, from the npm package. */
export const NODE = path.join(ROOT, 'node_modules/node/bin/node')

/** Its licence, with those of what is in it in turn. */
export function nodeNotice(): Notice {
  const { version } = readPackageJson(path.join(ROOT, 'node_modules/node'))
  const [file = ''] = globSync('node_modules/node/node_modules/node-*/LICENSE', { cwd: ROOT })
  return { title: `Node.js ${version}`, text: readFileSync(path.join(ROOT, file), 'utf8') }
}

/** The text of the file that goes along. */
export function formatNotices(notices: readonly Notice[]): string {
  const parts = notices.map(({ title, text }) => `${'='.repeat(80)}\n${title}\n${'='.repeat(80)}\n\n${text.trim()}\n`)
  return `What others wrote, and is part of this copy of Cairn, and under which licences.\n\n${parts.join('\n')}`
}
