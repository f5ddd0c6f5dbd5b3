import type { RepositoryAccess } from './repository-access.ts'
import type { SnapshotInfo } from './list.ts'
import { CairnError } from '../base/errors.ts'

export type ExtractEvent =
  | {
      readonly type: 'progress'
      readonly filesDone: number
      readonly bytesDone: number
      readonly filesTotal: number | undefined
      readonly bytesTotal: number | undefined
      readonly issues: number
      readonly currentPath: string
    }
  | { readonly type: 'entry'; readonly path: string; readonly sizeBytes: number }
  | { readonly type: 'issue'; readonly path: string; readonly message: string; readonly code: string }

export interface ExtractOptions {
  /** `latest`, a name or an id prefix. */
  readonly snapshot: string
  /** Paths inside the snapshot; all when empty. */
  readonly paths: readonly string[]
  /** Folder to write below; made when missing. */
  readonly target: string
  readonly workers?: number | undefined
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: ExtractEvent) => void) | undefined
}

export interface ExtractResult {
  readonly snapshot: SnapshotInfo
  readonly files: number
  readonly directories: number
  readonly otherEntries: number
  readonly bytes: number
  readonly issues: number
  readonly durationMs: number
}

/** Restores a snapshot or paths of it below `target`, verifying every chunk. Existing files are refused as issues, never overwritten. */
export function extractSnapshot(_access: RepositoryAccess, _options: ExtractOptions): Promise<ExtractResult> {
  throw new CairnError('INTERNAL', 'stub')
}
