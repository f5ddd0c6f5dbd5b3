import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

describe('the lock file', () => {
  // npm leaves out an optional package whose "engines" do not fit the Node that runs npm, without a word. A checkout is
  // set up by whatever Node there is (Node 26 comes with the packages), so these entries must not say "engines".
  it('lets an older Node install the LZMA library', () => {
    const lock: unknown = JSON.parse(readFileSync('package-lock.json', 'utf8'))
    const { packages } = lock as { packages: Record<string, { engines?: unknown }> }
    const entries = Object.entries(packages).filter(([name]) => name.startsWith('node_modules/@napi-rs/lzma-'))
    assert.ok(entries.length > 0)
    for (const [name, entry] of entries) assert.equal(entry.engines, undefined, name)
  })
})
