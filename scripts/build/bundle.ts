import { globSync } from 'node:fs'
import path from 'node:path'
import { type BuildOptions, type Metafile, type Plugin, build } from 'esbuild'
import { bundledWorkerFile } from '../../src/platform/installation.ts'
import { ROOT } from './packages.ts'

const MAIN = 'src/main.ts'
/** What worker threads run, by the names that `workerScript` knows. */
const WORKERS = globSync('src/**/{worker,*-worker}.ts', { cwd: ROOT })
  .filter((file) => !file.includes('.test'))
  .map((file) => path.relative('src', file).slice(0, -'.ts'.length))
  .sort()

interface Bundled {
  /** Whose code became part of it, sorted. */
  readonly packages: readonly string[]
}

/** Not minified: stack traces stay readable, and starting takes no longer. */
const OPTIONS = {
  absWorkingDir: ROOT,
  preserveSymlinks: true, // node_modules may be a link, whose target must not be told
  bundle: true,
  platform: 'node',
  target: 'node26',
  charset: 'utf8',
  legalComments: 'none',
  metafile: true,
} satisfies BuildOptions

/** What `src/main.ts` becomes. */
export const MAIN_FILE = 'cairn.js'

/** For packages made for CommonJS, which ask for modules of Node. */
const REQUIRE = "const require = process.getBuiltinModule('module').createRequire(import.meta.url)"

/**
 * Writes the JavaScript of the npm package into `folder`: what commands load when they need it is in files of its own, so that
 * little is read at start. Packages with native libraries stay outside.
 */
export async function bundlePackage(folder: string, nativePackages: readonly string[]): Promise<Bundled> {
  const { metafile } = await build({
    ...OPTIONS,
    format: 'esm',
    splitting: true,
    entryPoints: [
      { in: MAIN, out: path.parse(MAIN_FILE).name },
      ...WORKERS.map((name) => ({ in: `src/${name}.ts`, out: path.parse(bundledWorkerFile(name)).name })),
    ],
    outdir: folder,
    external: [...nativePackages],
    banner: { js: REQUIRE },
  })
  return { packages: packagesIn(metafile) }
}

/** Files that go into the executable. */
interface ExecutableBundle extends Bundled {
  readonly main: string
  /** By asset. */
  readonly workers: Readonly<Record<string, string>>
}

/**
 * Writes the JavaScript of the executable into `folder`: one file for the program, and one for each kind of worker thread. They are
 * CommonJS: worker threads that get code instead of a file want that, and it loads what is in Node when it is first needed. As
 * one ES module, all that any command needs was loaded at start, in twice the time.
 */
export async function bundleExecutable(folder: string, nativePackages: readonly string[]): Promise<ExecutableBundle> {
  const bundle = async (entryPoint: string, name: string): Promise<Metafile> => {
    const { metafile } = await build({
      ...OPTIONS,
      format: 'cjs',
      entryPoints: [entryPoint],
      outfile: path.join(folder, name),
      plugins: [embeddedAddons(nativePackages)],
      define: { 'import.meta.url': '"executable"' }, // there are no files beside it
      footer: { js: `//# sourceURL=${name}` }, // for stack traces
    })
    return metafile
  }
  const workers = WORKERS.map(bundledWorkerFile)
  const metafiles = await Promise.all([
    bundle(MAIN, MAIN_FILE),
    ...WORKERS.map((name) => bundle(`src/${name}.ts`, bundledWorkerFile(name))),
  ])
  return {
    main: path.join(folder, MAIN_FILE),
    workers: Object.fromEntries(workers.map((file) => [file, path.join(folder, file)])),
    packages: [...new Set(metafiles.flatMap(packagesIn))].sort(),
  }
}

/**
 * Puts the libraries that are in the executable in the place of the packages that have them. The JavaScript of those packages only
 * looks for the right file; what they export is what the library does.
 */
function embeddedAddons(nativePackages: readonly string[]): Plugin {
  const loader = path.join(ROOT, 'src/platform/embedded-addon.ts')
  const isNative = new RegExp(`^(${nativePackages.join('|')})$`)
  return {
    name: 'embedded-addons',
    setup(build) {
      build.onResolve({ filter: isNative }, ({ path }) => ({ path, namespace: 'addon' }))
      build.onLoad({ filter: /./, namespace: 'addon' }, ({ path }) => ({
        contents: `module.exports = require(${JSON.stringify(loader)}).loadEmbeddedAddon(${JSON.stringify(path)})`,
        resolveDir: ROOT,
      }))
      // The source loads some of them by `createRequire(…)(name)`, when they are first needed.
      build.onResolve({ filter: /^node:module$/ }, ({ namespace }) =>
        namespace === 'file' ? { path: 'node:module', namespace: 'require' } : undefined,
      )
      const loaders = nativePackages.map((name) => `${JSON.stringify(name)}: () => require(${JSON.stringify(name)})`)
      build.onLoad({ filter: /./, namespace: 'require' }, () => ({
        contents: `const load = { ${loaders.join(', ')} }; export const createRequire = () => (name) => load[name]()`,
        resolveDir: ROOT,
      }))
    },
  }
}

function packagesIn({ inputs }: Metafile): string[] {
  const names = Object.keys(inputs).map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}
