import { type Entry, FixedListing, type Folder, type Listing, MadeEntry, type MadeStat, isFolder } from './entry.ts'

/**
 * Several folders as one: what is left of a snapshot when leading names are left away. Folders of the same name are one again; of
 * anything else of the same name, the first is shown.
 */
export class MergedFolder extends MadeEntry implements Folder {
  readonly type = 'dir'
  readonly isLasting = true
  readonly #find: () => Promise<readonly Folder[]>
  #members: Promise<readonly Folder[]> | undefined

  /** @param find finds the folders, once somebody looks */
  constructor(parentId: bigint, name: string, made: MadeStat, find: () => Promise<readonly Folder[]>) {
    super(parentId, name, made)
    this.#find = find
  }

  async find(name: string): Promise<Entry | undefined> {
    const found = await Promise.all((await this.#folders()).map((folder) => folder.find(name)))
    const entries = found.filter((entry) => entry !== undefined)
    return this.#merge(name, entries)
  }

  async open(): Promise<Listing> {
    const byName = new Map<string, Entry[]>()
    for (const folder of await this.#folders()) {
      for await (const { name, entry } of entriesOf(folder)) {
        const entries = byName.get(name)
        if (entries) entries.push(entry)
        else byName.set(name, [entry])
      }
    }
    return new FixedListing(
      [...byName].map(([name, entries]): [string, Entry] => [name, this.#merge(name, entries) as Entry]),
    )
  }

  #merge(name: string, entries: readonly Entry[]): Entry | undefined {
    const [first] = entries
    if (!first || !isFolder(first) || entries.length === 1) return first
    return new MergedFolder(this.id, name, this.made, async () => entries.filter(isFolder))
  }

  #folders(): Promise<readonly Folder[]> {
    const found = (this.#members ??= this.#find())
    found.catch(() => (this.#members = undefined)) // the next one tries again
    return found
  }
}

/** All that is in a folder now. */
export async function* entriesOf(folder: Folder): AsyncGenerator<{ readonly name: string; readonly entry: Entry }> {
  const listing = await folder.open()
  for (let position = 0; ;) {
    let next: number | undefined
    for (const listed of await listing.from(position)) {
      yield listed
      next = listed.next
    }
    if (next === undefined) return
    position = next
  }
}

/** The folders that many names below another one. */
export async function foldersBelow(folder: Folder, depth: number): Promise<Folder[]> {
  let folders = [folder]
  for (let level = 0; level < depth; level++) {
    const below: Folder[] = []
    for (const one of folders) for await (const { entry } of entriesOf(one)) if (isFolder(entry)) below.push(entry)
    folders = below
  }
  return folders
}
