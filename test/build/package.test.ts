import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { readPackageJson } from '../../scripts/build/packages.ts'
import { hasCommand, needs, newFolder } from '../testing.ts'
import { InstalledProgram, build, describeProgram } from './suite.ts'

let out: string | undefined
const built = (): string => (out ??= build('package'))

function archive(folder: string): string {
  return path.join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '')
}

// As npm picks packages that suit the Node which runs it.
process.env['PATH'] = `${path.dirname(process.execPath)}:${process.env['PATH']}`

/** Whether npm gets at packages: at the registry, or in its cache. */
const HAS_REGISTRY = hasCommand('npm', 'view', '--prefer-offline', 'koffi', 'version')

/** Into an empty folder, with a Node on PATH, and what it depends on from the registry or npm's cache. */
function install(): InstalledProgram {
  const folder = newFolder()
  const args = ['install', '--prefix', folder, '--prefer-offline', '--no-audit', '--no-fund', archive(built())]
  const { status, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  mkdirSync(`${folder}/node`)
  copyFileSync(process.execPath, `${folder}/node/node`)
  return new InstalledProgram(`${folder}/node_modules/.bin/cairn`, `${folder}/node:/usr/bin:/bin`)
}

describeProgram('the npm package', install, needs(HAS_REGISTRY, 'needs the npm registry'))

describe('the npm package, besides', () => {
  it('needs nothing but packages with native libraries, as this checkout has them', () => {
    const { man, ...manifest } = JSON.parse(readFileSync(`${built()}/npm/package.json`, 'utf8')) as { man: string[] }
    const { commander: _, yauzl: __, ...dependencies } = readPackageJson().dependencies
    const { name, version, description, license, engines } = readPackageJson()
    const bin = { cairn: 'lib/cairn.js' }
    assert.deepEqual(manifest, { name, version, description, license, engines, type: 'module', bin, dependencies })
    assert.deepEqual(
      man,
      readdirSync(`${built()}/npm/man`)
        .map((page) => `man/${page}`)
        .sort(),
    )
    assert.ok(man.includes('man/cairn-create.1'))
  })

  it('has the manual, where npm looks for it', () => {
    const page = spawnSync('tar', ['-xOf', archive(built()), 'package/man/cairn-create.1'], { encoding: 'utf8' })
    assert.match(page.stdout, /^\.TH CAIRN\\-CREATE 1 /)
  })

  it('is the same, byte for byte, when it is built again', () => {
    assert.ok(readFileSync(archive(built())).equals(readFileSync(archive(build('package')))))
  })
})
