import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

/** Folder → folders it may import (type imports count too). The table in ARCHITECTURE.md explains why. */
const MAY_IMPORT: Record<string, string[]> = {
  base: [],
  api: [],
  platform: ['base'],
  codec: ['base'],
  chunker: ['base'],
  db: ['base'],
  config: ['base', 'platform'],
  storage: ['base', 'platform'],
  repository: ['base', 'platform', 'codec', 'chunker', 'storage'],
  snapshot: ['base', 'repository'],
  retention: ['base', 'snapshot'],
  archives: ['base', 'platform', 'codec'],
  sources: ['base', 'platform', 'archives'],
  archiver: ['base', 'platform', 'codec', 'chunker', 'repository', 'snapshot', 'sources'],
  restorer: ['base', 'platform', 'codec', 'archives', 'repository', 'snapshot', 'sources'],
  maintenance: ['base', 'platform', 'repository', 'snapshot'],
  mount: ['base', 'platform', 'codec', 'repository', 'snapshot'],
  operations: [
    'base',
    'platform',
    'codec',
    'chunker',
    'storage',
    'repository',
    'snapshot',
    'retention',
    'archives',
    'sources',
    'archiver',
    'restorer',
    'maintenance',
    'mount',
  ],
  daemon: ['base', 'config', 'db', 'operations'],
  server: ['base', 'platform', 'api', 'config', 'db', 'daemon', 'operations'],
  web: ['api'],
  cli: ['base', 'platform', 'api', 'config', 'operations', 'daemon', 'server'],
}

/** Node built-ins that only some folders may touch, so that tests can replace the world at one place. */
const BUILTIN_HOMES: Record<string, string[]> = {
  fs: ['platform', 'storage'],
  child_process: ['platform'],
  zlib: ['codec', 'storage'], // storage: checksums of messages
  worker_threads: ['platform'],
  sea: ['platform'],
  crypto: ['codec', 'storage', 'server'], // storage: request signatures; server: session tokens
  sqlite: ['db'],
  http: ['server', 'storage', 'sources', 'cli', 'mount'], // sources: the Docker socket; cli: the daemon; mount: WebDAV
}

/** Files with a narrower audience than their folder. */
const FILE_AUDIENCE: Record<string, string[]> = {
  'repository/low-level.ts': ['maintenance'], // and, when there is one, inspection
}

const toPosix = (p: string): string => p.replaceAll(path.sep, '/')
const isTestCode = (file: string): boolean => /(\.test|\/suite|\/testing)\.ts$/.test(file)

test('imports follow the layer table', () => {
  const problems: string[] = []

  for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' }).map(toPosix)) {
    const layer = file.split('/')[0] ?? ''
    if (!/\.tsx?$/.test(file) || !file.includes('/') || isTestCode(file)) continue // src/main.ts wires everything

    for (const [, specifier = ''] of readFileSync(`src/${file}`, 'utf8').matchAll(
      /\b(?:from|import)\s*\(?\s*'([^']+)'/g,
    )) {
      const builtin = /^node:([a-z_]+)/.exec(specifier)?.[1] ?? ''
      const homes = BUILTIN_HOMES[builtin]
      if (homes && !homes.includes(layer)) problems.push(`${file}: node:${builtin} belongs in ${homes.join(', ')}`)
      if (!specifier.startsWith('.')) continue

      const target = path.posix.join(path.posix.dirname(file), specifier)
      const targetLayer = target.split('/')[0] ?? ''
      if (isTestCode(target)) problems.push(`${file}: ${target} is for tests`)
      if (targetLayer === layer) continue
      if (!MAY_IMPORT[layer]?.includes(targetLayer)) problems.push(`${file}: ${layer}/ may not import ${targetLayer}/`)
      if (target.split('/').length > 2) problems.push(`${file}: ${target} is private to ${targetLayer}/`)
      if (FILE_AUDIENCE[target] && !FILE_AUDIENCE[target].includes(layer))
        problems.push(`${file}: ${target} is not for ${layer}/`)
    }
  }

  assert.deepEqual(problems, [])
})
