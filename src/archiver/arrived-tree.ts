import { ByteReader, ByteWriter } from '../base/binary.ts'
import { fromRawName, sortRawNames, toRawName } from '../base/raw-name.ts'
import { NO_SAMPLE } from '../snapshot/samples.ts'
import { type TreeNode, decodeNode, encodeNode } from '../snapshot/tree-node.ts'
import type { TreeAssembly } from './tree-assembly.ts'

/** What is not a directory, under all of its names. */
export class ArrivedFile {
  readonly type: TreeNode['type']
  /** Where its node lies among the packed ones; -1 as long as it is not known. */
  at = -1
  /** Number of its names. */
  names = 0
  /** The first of them in the order of a walk, once a walk has come across it. */
  first: string | undefined

  constructor(type: TreeNode['type']) {
    this.type = type
  }
}

interface Folder {
  /** Absent as long as only things in it have arrived. */
  node: TreeNode | undefined
  readonly children: Map<string, Folder | ArrivedFile>
}

/** Why an entry cannot be where it says. */
export type Misplaced = 'not-a-directory' | 'not-empty' | 'absent'

/**
 * Entries that arrive in any order, until they can be put into trees in the order of a walk. Of several that have the same path the
 * last one counts.
 */
export class ArrivedTree {
  #top = newFolder()
  readonly #packed = new PackedNodes()

  /** The node of the top itself, if it has arrived. */
  get root(): TreeNode | undefined {
    return this.#top.node
  }

  /** Puts a directory at a path, which keeps what is in it already. */
  placeFolder(path: string, node: TreeNode): Misplaced | undefined {
    if (path === '') {
      this.#top.node = node
      return undefined
    }
    const parts = path.split('/')
    const name = ownText(parts.pop() as string)
    const above = this.#folder(parts)
    if (!above) return 'not-a-directory'
    const found = above.children.get(name)
    if (found && !isFile(found)) found.node = node
    else {
      if (found) found.names--
      above.children.set(name, { ...newFolder(), node })
    }
    return undefined
  }

  /** Puts a file, whose node may come later, at a path. */
  placeFile(path: string, file: ArrivedFile): Misplaced | undefined {
    const parts = path.split('/')
    const name = ownText(parts.pop() as string)
    const above = this.#folder(parts)
    if (!above) return 'not-a-directory'
    const found = above.children.get(name)
    if (found && !isFile(found) && found.children.size > 0) return 'not-empty'
    if (found && isFile(found)) found.names--
    above.children.set(name, file)
    file.names++
    return undefined
  }

  /** Tells the node of a file. */
  settle(file: ArrivedFile, node: TreeNode): void {
    file.at = this.#packed.add(node)
  }

  /** Gives the file that is at `existing` by now a further name. */
  placeName(path: string, existing: string): Misplaced | ArrivedFile {
    const parts = existing.split('/')
    const name = parts.pop() as string
    let at: Folder | ArrivedFile | undefined = this.#top
    for (const part of parts) at = at && !isFile(at) ? at.children.get(part) : undefined
    const found = at && !isFile(at) ? at.children.get(name) : undefined
    if (!found || !isFile(found)) return 'absent'
    return this.placeFile(path, found) ?? found
  }

  /**
   * Hands everything over, in the order of a walk, and forgets it. All nodes must be settled.
   *
   * @param pause awaited now and then, so that what is stored meanwhile can leave
   */
  async assemble(assembly: TreeAssembly, pause: () => Promise<void> | undefined): Promise<void> {
    const open = [walkOf('', this.#top)]
    this.#top = newFolder()
    for (let at = open.at(-1); at; at = open.at(-1)) {
      const name = at.names.pop()
      if (name === undefined) {
        open.pop()
        if (open.length > 0) assembly.closeDirectory()
      } else {
        const path = at.path === '' ? name : `${at.path}/${name}`
        const child = at.children.get(name) as Folder | ArrivedFile
        at.children.delete(name)
        if (isFile(child)) this.#addFile(assembly, path, name, child)
        else {
          assembly.openDirectory({ ...(child.node ?? ANCESTOR), name })
          open.push(walkOf(path, child))
        }
      }
      assembly.advance()
      await pause()
    }
  }

  #addFile(assembly: TreeAssembly, path: string, name: string, file: ArrivedFile): void {
    const { first } = file
    const node = { ...this.#packed.get(file.at), name, ...(first !== undefined && { hardLink: first }) }
    if (first === undefined && file.names > 1) file.first = path
    assembly.add({ node, old: undefined, stamp: undefined, sample: NO_SAMPLE })
  }

  /** The folder at a path, made if nothing is there. */
  #folder(parts: readonly string[]): Folder | undefined {
    let at = this.#top
    for (const part of parts) {
      let next = at.children.get(part)
      if (!next) at.children.set(ownText(part), (next = newFolder()))
      if (isFile(next)) return undefined
      at = next
    }
    return at
  }
}

/** A directory of which nothing is known but what is in it. */
const ANCESTOR: TreeNode = {
  name: '',
  type: 'dir',
  mode: 0o755,
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  sizeBytes: 0,
  mtimeNs: 0n,
  ancestor: true,
}

/** The same text, which does not keep the path alive that it was cut from. */
function ownText(text: string): string {
  return text.length < 13 ? text : fromRawName(toRawName(text))
}

function newFolder(): Folder {
  return { node: undefined, children: new Map() }
}

function isFile(child: Folder | ArrivedFile): child is ArrivedFile {
  return child instanceof ArrivedFile
}

interface OpenFolder {
  readonly path: string
  readonly children: Folder['children']
  /** Those that are still to come, the next one last. */
  readonly names: string[]
}

function walkOf(path: string, { children }: Folder): OpenFolder {
  return { path, children, names: sortRawNames([...children.keys()]).reverse() }
}

const writer = new ByteWriter(256)
const scratch = new ByteWriter(256)
const BLOCK_BYTES = 1 << 20

/** Nodes as bytes, in a few large pieces of memory: a tenth of what they take as objects. */
class PackedNodes {
  readonly #blocks: Buffer[] = []
  #used = BLOCK_BYTES

  /** Where it lies from now on. */
  add(node: TreeNode): number {
    writer.reset()
    encodeNode(node, writer, scratch)
    const bytes = writer.view()
    if (this.#used + bytes.length > BLOCK_BYTES) {
      this.#blocks.push(Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, bytes.length)))
      this.#used = 0
    }
    const at = (this.#blocks.length - 1) * BLOCK_BYTES + this.#used
    this.#used += bytes.copy(this.#blocks.at(-1) as Buffer, this.#used)
    return at
  }

  get(at: number): TreeNode {
    const block = this.#blocks[Math.floor(at / BLOCK_BYTES)] as Buffer
    return decodeNode(
      new ByteReader(block.subarray(at % BLOCK_BYTES), 'an entry that arrived'),
      'an entry that arrived',
    )
  }
}
