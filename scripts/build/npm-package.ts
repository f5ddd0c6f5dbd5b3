import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { NOTICES_FILE } from '../../src/platform/installation.ts'
import { MAIN_FILE, bundlePackage } from './bundle.ts'
import { ROOT, formatNotices, packageNotice, readPackageJson } from './packages.ts'

/** Makes the npm package below `out`, in `npm/`, and beside it the archive of it that `npm install` takes, which is returned. */
export async function buildPackage(out: string, addons: ReadonlyMap<string, string>): Promise<string> {
  const nativePackages = [...addons.keys()]
  const folder = path.join(out, 'npm')
  const code = path.join(folder, 'lib')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(code, { recursive: true })
  const { packages } = await bundlePackage(code, nativePackages)
  const main = path.join(code, MAIN_FILE)
  writeFileSync(main, `#!/usr/bin/env node\n${readFileSync(main, 'utf8')}`)
  chmodSync(main, 0o755)

  const { name, version, description, license, engines, dependencies } = readPackageJson()
  const manifest = {
    name,
    version,
    description,
    license,
    type: 'module',
    bin: { [name]: `lib/${MAIN_FILE}` },
    man: writeManual(path.join(folder, 'man')).map((page) => `man/${page}`),
    dependencies: Object.fromEntries(Object.entries(dependencies).filter(([name]) => nativePackages.includes(name))),
    engines,
  }
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
  writeFileSync(path.join(folder, NOTICES_FILE), formatNotices(packages.map(packageNotice)))
  for (const file of ['README.md', 'LICENSE']) copyFileSync(path.join(ROOT, file), path.join(folder, file))

  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', out]
  return path.join(out, execFileSync('npm', args, { cwd: folder, encoding: 'utf8' }).trim())
}

/**
 * Writes the pages of the manual, with the date of the last commit, so that the same checkout gives the same bytes.
 *
 * @returns the names of the files
 */
function writeManual(folder: string): string[] {
  const commit = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' })
  const env = { SOURCE_DATE_EPOCH: commit.status === 0 ? commit.stdout.trim() : '', ...process.env }
  execFileSync(process.execPath, [path.join(ROOT, 'src/main.ts'), 'man', '--quiet', '--output', folder], { env })
  return readdirSync(folder).sort()
}
