import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { isCairnError } from '../base/errors.ts'
import { type ChunkId, toHex } from '../base/ids.ts'
import { toPrintable } from '../base/raw-name.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import type { Repository } from '../repository/repository.ts'
import { contentIds, everyInlineId } from '../snapshot/content.ts'
import { nodeContents } from '../snapshot/node-chunks.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { readTree } from '../snapshot/tree-reader.ts'
import type { CheckedIndex } from './checked-index.ts'
import type { Findings } from './findings.ts'
import { TreeChunks, lostChunk } from './tree-chunks.ts'

/** Paths that are named of each snapshot with damage; how many there are is counted. */
const NAMED_PATHS = 5
/** Nodes between two reports of progress. */
const PROGRESS_NODES = 1000

/** What of a tree cannot be restored. */
interface TreeDamage {
  files: number
  directories: number
  /** The first few, relative to the tree, and why. */
  readonly examples: { readonly path: string; readonly reason: string }[]
}

export interface CheckSnapshotsOptions extends AbortOptions {
  readonly repository: Repository
  readonly index: CheckedIndex
  readonly findings: Findings
}

/**
 * Looks whether the trees of snapshots can be read, in order, and whether everything they refer to is there; reports, of each
 * snapshot, what cannot be restored. Trees that several snapshots share are looked at once.
 *
 * @returns how many different trees there were
 */
export async function checkSnapshots(snapshots: readonly Snapshot[], options: CheckSnapshotsOptions): Promise<number> {
  const check = new SnapshotCheck(snapshots.length, options)
  for (const snapshot of snapshots) await check.run(snapshot)
  return check.trees
}

class SnapshotCheck {
  readonly #options: CheckSnapshotsOptions
  readonly #total: number
  readonly #chunks: TreeChunks
  /** Trees looked at, 30 to 60 bytes each. */
  readonly #seen = ChunkTable.create(0)
  readonly #damaged = new Map<string, TreeDamage>()
  #done = 0
  #nodes = 0

  constructor(total: number, options: CheckSnapshotsOptions) {
    this.#options = options
    this.#total = total
    this.#chunks = new TreeChunks(options.repository, options.index, options.findings, options)
  }

  get trees(): number {
    return this.#seen.size
  }

  async run(snapshot: Snapshot): Promise<void> {
    this.#progress('')
    const below = await this.#tree(snapshot.tree, '')
    const damage: TreeDamage = below ? { ...below, examples: [...below.examples] } : newDamage()
    const ofRoot = snapshot.root && (await this.#nodeProblem(snapshot.root, ''))
    if (ofRoot !== undefined) addFile(damage, '', ofRoot)
    const beside = await this.#problemBeside(snapshot)
    this.#done++
    this.#progress('')
    if (isNone(damage) && beside === undefined) return
    // Of a snapshot that was deleted meanwhile nothing needs to be there.
    if (await this.#options.repository.isForgotten(snapshot.id, this.#options)) return
    this.#report(snapshot, damage, beside)
  }

  /** What follows from damage to what is stored beside the trees, and how it was found. */
  async #problemBeside({ stamps, samples, furtherNames }: Snapshot): Promise<string | undefined> {
    const detection =
      (stamps && (await this.#contentProblem(stamps))) ?? (samples && (await this.#contentProblem(samples)))
    if (detection !== undefined) return `the next backup has to read all of them again: ${detection}`
    const names = furtherNames && (await this.#contentProblem(furtherNames))
    return names && `a mount has to look at all of them to tell how many names one has: ${names}`
  }

  /** @param beside as of `#problemBeside` */
  #report(snapshot: Snapshot, damage: TreeDamage, beside: string | undefined): void {
    const isDamaged = !isNone(damage)
    const { files, directories, examples } = damage
    const affected = {
      id: snapshot.id,
      name: snapshot.name,
      files,
      directories,
      paths: examples.map(({ path }) => path),
    }
    const what = isDamaged ? describeDamage(damage) : `its files can be restored, but ${beside}`
    this.#options.findings.error({
      code: 'DATA_CORRUPT',
      object: `commits/${snapshot.id}`,
      message: `Snapshot '${toPrintable(snapshot.name)}' is damaged: ${what}`,
      snapshot: affected,
    })
  }

  /** Looks at a tree and those below it; what was found the first time is found again for the next snapshot that has it. */
  async #tree(id: ChunkId, path: string): Promise<TreeDamage | undefined> {
    this.#seen.reserve(1)
    if (!this.#seen.claim(id)) return this.#damaged.get(toHex(id))
    throwIfAborted(this.#options.signal)
    const damage = newDamage()
    try {
      for await (const nodes of readTree(id, this.#chunks.load)) {
        for (const node of nodes) {
          if (++this.#nodes % PROGRESS_NODES === 0) this.#progress(joinPath(path, node.name))
          // Hot path: most nodes can be judged without waiting for anything.
          if (node.tree || !this.#isSimplyThere(node, path)) await this.#node(node, path, damage)
        }
      }
    } catch (error) {
      damage.directories++
      addExample(damage, '', reasonOf(error))
    }
    if (isNone(damage)) return undefined
    this.#damaged.set(toHex(id), damage)
    return damage
  }

  async #node(node: TreeNode, parent: string, damage: TreeDamage): Promise<void> {
    const problem = await this.#nodeProblem(node, parent)
    if (problem !== undefined) addFile(damage, node.name, problem)
    const below = node.tree && (await this.#tree(node.tree, joinPath(parent, node.name)))
    if (!below) return
    damage.files += below.files
    damage.directories += below.directories
    for (const { path, reason } of below.examples) addExample(damage, joinPath(node.name, path), reason)
  }

  /** Why what a node refers to, besides the tree of a directory, could not be read; `undefined` when all of it is there. */
  async #nodeProblem(node: TreeNode, parent: string): Promise<string | undefined> {
    try {
      for (const content of nodeContents(node, joinPath(parent, node.name))) {
        const problem = await this.#contentProblem(content)
        if (problem !== undefined) return problem
      }
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }

  /** Whether everything that a node refers to is there; `false` when that takes a closer look. */
  #isSimplyThere(node: TreeNode, parent: string): boolean {
    if (!node.content && !node.xattrs && !node.holes) return true
    try {
      for (const content of nodeContents(node, parent)) {
        if (everyInlineId(content, WHAT, (bytes, offset) => this.#options.index.has(bytes, offset)) !== true)
          return false
      }
      return true
    } catch {
      return false
    }
  }

  /** Why content could not be read; `undefined` when all of it is there. */
  async #contentProblem(content: Uint8Array): Promise<string | undefined> {
    try {
      for await (const id of contentIds(content, this.#chunks.load, WHAT)) {
        if (!(await this.#chunks.has(id))) throw lostChunk(id)
      }
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }

  #progress(currentPath: string): void {
    this.#options.findings.progress({
      phase: 'snapshots',
      done: this.#done,
      total: this.#total,
      bytesTotal: undefined,
      currentPath,
    })
  }
}

const WHAT = 'the content'

/** What is damaged is told; any other error ends the run. */
function reasonOf(error: unknown): string {
  if (isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED')) return error.message
  throw error
}

function newDamage(): TreeDamage {
  return { files: 0, directories: 0, examples: [] }
}

function isNone({ files, directories }: TreeDamage): boolean {
  return files + directories === 0
}

function addFile(damage: TreeDamage, path: string, reason: string): void {
  damage.files++
  addExample(damage, path, reason)
}

function addExample(damage: TreeDamage, path: string, reason: string): void {
  if (damage.examples.length < NAMED_PATHS) damage.examples.push({ path, reason })
}

function joinPath(parent: string, name: string): string {
  return parent === '' ? name : name === '' ? parent : `${parent}/${name}`
}

function describeDamage({ files, directories, examples }: TreeDamage): string {
  const counts = [
    ...(files > 0 ? [`${files} ${files === 1 ? 'file' : 'files'}`] : []),
    ...(directories > 0 ? [`${directories} ${directories === 1 ? 'folder' : 'folders'} with what is below`] : []),
  ]
  const paths = examples.map(({ path }) => toPrintable(path === '' ? '/' : path))
  const more = files + directories - paths.length
  const named = more > 0 ? `${paths.join(', ')} and ${more} more` : paths.join(', ')
  return `${counts.join(' and ')} cannot be restored: ${named} (${examples[0]?.reason ?? ''})`
}
