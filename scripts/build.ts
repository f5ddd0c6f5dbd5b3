/**
 * Makes what is given to others: the npm package, and the executable for this platform. `npm run build` puts both into `dist/`;
 * `npm run build -- --out FOLDER package` makes one of them, somewhere else.
 */
import { mkdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { buildExecutable } from './build/executable.ts'
import { buildPackage } from './build/npm-package.ts'
import { ROOT, findAddons } from './build/packages.ts'

const BUILDERS: Record<string, (folder: string, addons: ReadonlyMap<string, string>) => Promise<string>> = {
  package: buildPackage,
  executable: buildExecutable,
}

const { values, positionals } = parseArgs({
  options: { out: { type: 'string', default: path.join(ROOT, 'dist') } },
  allowPositionals: true,
})
const unknown = positionals.find((what) => !Object.hasOwn(BUILDERS, what))
if (unknown) {
  console.error(`Cannot build ${unknown}: want ${Object.keys(BUILDERS).join(' or ')}, or nothing for both`)
  process.exit(2)
}
const folder = path.resolve(values.out)
mkdirSync(folder, { recursive: true })
const addons = findAddons()
for (const [what, build] of Object.entries(BUILDERS)) {
  if (positionals.length > 0 && !positionals.includes(what)) continue
  const file = await build(folder, addons)
  console.log(`${(statSync(file).size / 1e6).toFixed(1).padStart(6)} MB  ${path.relative('', file)}`)
}
