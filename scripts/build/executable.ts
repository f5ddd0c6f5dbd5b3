import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { NOTICES_FILE } from '../../src/platform/installation.ts'
import { bundleExecutable } from './bundle.ts'
import { NODE, formatNotices, nodeNotice, packageNotice } from './packages.ts'

/**
 * Makes the executable for this platform in `out`, and returns it: Node with the program in it (a "single executable application"
 * of Node's), native libraries, and the licences of all that.
 *
 * @param addons files of native libraries by package
 */
export async function buildExecutable(out: string, addons: ReadonlyMap<string, string>): Promise<string> {
  const file = path.join(out, `cairn-${process.platform}-${process.arch}`)
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-build-'))
  try {
    const { main, workers, packages } = await bundleExecutable(folder, [...addons.keys()])
    const notices = path.join(folder, NOTICES_FILE)
    const names = [...new Set([...packages, ...addons.keys()])].sort()
    writeFileSync(notices, formatNotices([...names.map(packageNotice), nodeNotice()]))
    const made = `${file}.new`
    const config = {
      main: path.basename(main), // the path becomes part of what is made
      output: made,
      executable: stripped(folder),
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      execArgvExtension: 'none', // NODE_OPTIONS are for the Node of the machine
      assets: {
        ...workers,
        ...Object.fromEntries([...addons].map(([name, file]) => [`${name}.node`, file])),
        [NOTICES_FILE]: notices,
      },
    }
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config))
    const args = ['--random-seed=1', '--build-sea', 'config.json'] // the code cache is always the same then
    execFileSync(NODE, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
    renameSync(made, file) // one that runs meanwhile goes on
    return file
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Node without its symbols, a fifth less. Where there is no strip(1), Node as it is. */
function stripped(folder: string): string {
  const file = path.join(folder, 'node')
  return process.platform === 'linux' && spawnSync('strip', ['-o', file, NODE]).status === 0 ? file : NODE
}
