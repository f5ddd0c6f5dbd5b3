import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type SessionId, asChunkId } from '../base/ids.ts'
import { toRawName } from '../base/raw-name.ts'
import { type Snapshot, decodeSnapshot, encodeSnapshot } from './snapshot.ts'
import { anyName, anyNode, testSnapshot } from './testing.ts'

const session = '0123456789abcdef'.repeat(2) as SessionId

/** What is left of a record after the store: JSON. */
function stored(snapshot: Snapshot): Record<string, unknown> {
  return JSON.parse(JSON.stringify(encodeSnapshot(snapshot))) as Record<string, unknown>
}

describe('encodeSnapshot() and decodeSnapshot()', () => {
  it('give back any snapshot, also one of paths that are not UTF-8', () => {
    const anySnapshot = fc.record({
      name: fc.string({ minLength: 1 }),
      comment: fc.string().map((text) => `${text}\u00e9\u{1f600}`),
      hostname: fc.string(),
      paths: fc.array(fc.array(anyName, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)),
      tags: fc.array(fc.string()),
      commandLine: fc.array(fc.string()),
      issues: fc.nat(),
      tree: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => asChunkId(Buffer.from(bytes))),
      stamps: fc.option(
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        { nil: undefined },
      ),
      samples: fc.option(
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        { nil: undefined },
      ),
      furtherNames: fc.option(
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        { nil: undefined },
      ),
      root: fc.option(anyNode, { nil: undefined }),
      checkpoint: fc.boolean(),
      parent: fc.option(fc.constant('f'.repeat(32) as SessionId), { nil: undefined }),
    })
    fc.assert(
      fc.property(anySnapshot, (fields) => {
        const snapshot = testSnapshot({ id: session, ...fields })
        const { paths = [], ...found } = decodeSnapshot({ session, value: stored(snapshot) }) ?? {}
        const { paths: wantedPaths, ...wanted } = snapshot
        assert.deepEqual(found, wanted)
        // The same bytes; as text, a path decoded as a whole may differ from one joined from decoded parts.
        assert.deepEqual(paths.map(toRawName), wantedPaths.map(toRawName))
      }),
    )
  })

  it('keep readable paths readable in the record', () => {
    const record = stored(testSnapshot({ paths: ['/home/caf\u00e9', '/\udcff'] }))
    assert.deepEqual((record['snapshot'] as { paths: unknown }).paths, ['/home/caf\u00e9', { base64: 'L/8=' }])
  })

  it('take the id from the run and not from the record', () => {
    const record = stored(testSnapshot({ id: 'f'.repeat(32) as SessionId }))
    assert.equal(JSON.stringify(record).includes('ffff'), false)
    assert.equal(decodeSnapshot({ session, value: record })?.id, session)
  })

  it('are undefined for a commit of something else', () => {
    assert.equal(decodeSnapshot({ session, value: {} }), undefined)
    assert.equal(decodeSnapshot({ session, value: { other: 1 } }), undefined)
  })

  it('pass over fields of a newer version', () => {
    const { snapshot } = stored(testSnapshot({ name: 'n' })) as { snapshot: object }
    assert.equal(decodeSnapshot({ session, value: { snapshot: { ...snapshot, later: [1] }, more: true } })?.name, 'n')
  })
})

describe('a damaged snapshot record', () => {
  it('is DATA_CORRUPT naming the object, whichever field is missing or of another type', () => {
    const [root] = fc.sample(anyNode, { numRuns: 1, seed: 1 })
    const full = testSnapshot({
      stamps: Buffer.of(0),
      samples: Buffer.of(0),
      furtherNames: Buffer.of(0),
      root,
      checkpoint: true,
      leftOut: ['acls'],
      parent: session,
    })
    const { snapshot } = stored(full) as {
      snapshot: Record<string, unknown>
    }
    const optional = new Set(['stamps', 'samples', 'furtherNames', 'root', 'checkpoint', 'leftOut', 'parent'])
    for (const name of Object.keys(snapshot)) {
      for (const bad of [undefined, null, 5, 'xx', true, [null], [5], [{}], [{ base64: 5 }], { length: 1 }]) {
        const value = { snapshot: { ...snapshot, [name]: bad } }
        if (bad === undefined && optional.has(name)) continue
        if (isRight(name, bad)) continue
        assert.throws(
          () => decodeSnapshot({ session, value }),
          { code: 'DATA_CORRUPT', message: new RegExp(session) },
          `${name} = ${JSON.stringify(bad)}`,
        )
      }
    }
  })

  it('is DATA_CORRUPT when it is no record at all', () => {
    for (const snapshot of [null, 5, 'text', true])
      assert.throws(() => decodeSnapshot({ session, value: { snapshot } }), { code: 'DATA_CORRUPT' })
  })
})

/** Whether a value of the test happens to be a right one. */
function isRight(name: string, value: unknown): boolean {
  if (typeof value === 'string')
    return ![
      'tree',
      'root',
      'checkpoint',
      'parent',
      'paths',
      'tags',
      'commandLine',
      'leftOut',
      'issues',
      'stats',
    ].includes(name)
  if (name === 'checkpoint') return typeof value === 'boolean' || value === null
  return typeof value === 'number' && name === 'issues'
}
