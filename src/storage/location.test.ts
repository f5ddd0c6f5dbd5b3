import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import { needs } from './local/testing.ts'
import { openStorage, parseLocation } from './location.ts'
import { parseRemoteLocation } from './remote-location.ts'

const LOCATIONS: [text: string, repository: string, snapshot?: string][] = [
  ['/srv/repo', '/srv/repo'],
  ['/srv/repo::monday', '/srv/repo', 'monday'],
  ['repo::monday', 'repo', 'monday'],
  ['./repo::gaia_data-2022-10-04T13:23:07', './repo', 'gaia_data-2022-10-04T13:23:07'],
  [
    'asus:~/Documents/borgrepo::gaia_data-2022-10-04T13:23:07',
    'asus:~/Documents/borgrepo',
    'gaia_data-2022-10-04T13:23:07',
  ],
  ['~/repo::{hostname}-{now:%Y-%m-%d}', '~/repo', '{hostname}-{now:%Y-%m-%d}'],
  ['/srv/a:b::c:d', '/srv/a:b', 'c:d'],
  ['repo::a::b', 'repo', 'a::b'],
  ['repo:::a', 'repo', ':a'],
  ['repo:', 'repo:'],
  ['::monday', '', 'monday'],
  ['::', ''],
  ['', ''],
  ['user@host:/srv/repo::monday', 'user@host:/srv/repo', 'monday'],
  ['[::1]:/srv/repo::monday', '[::1]:/srv/repo', 'monday'],
  ['user@[fe80::1]:repo', 'user@[fe80::1]:repo'],
  ['ssh://user@[::1]:22/srv/repo::monday', 'ssh://user@[::1]:22/srv/repo', 'monday'],
  ['ssh://user@host:22/./repo::monday', 'ssh://user@host:22/./repo', 'monday'],
  ['file:///srv/repo::monday', 'file:///srv/repo', 'monday'],
  ['s3://bucket/folder::monday', 's3://bucket/folder', 'monday'],
  ['/srv/with space/ü::name with space', '/srv/with space/ü', 'name with space'],
]

describe('parseLocation()', () => {
  for (const [text, repository, snapshot] of LOCATIONS) {
    it(`reads '${text}'`, () => assert.deepEqual(parseLocation(text), { repository, snapshot }))
  }

  for (const text of ['repo::', 'repo::a/b', '/srv/a::b/c', '::a/b', ':', ':a']) {
    it(`refuses '${text}'`, () => assert.throws(() => parseLocation(text), { code: 'INVALID_ARGUMENT' }))
  }

  it('agrees with Borg', needs('borg is not installed', '/usr/bin/python3', '-c', 'import borg.helpers'), async () => {
    const unit = fc.constantFrom('a', 'b', '1', ':', ':', '::', '/', '@', '[', ']', '[::1]', '.', ' ')
    const random = fc.sample(fc.string({ unit, maxLength: 8 }), { numRuns: 4_000, seed: 1 })
    // Borg takes // at the beginning for the rest of a URL; here it is a path like any other.
    const texts = [...LOCATIONS.map(([text]) => text), ...random].filter((text) => !/^\/\/|:\/\//.test(text))
    const results = askBorg(texts)
    let valid = 0
    for (const [i, text] of texts.entries()) {
      const borg = results[i]
      if (!borg) {
        assert.throws(() => parseLocation(text), { code: 'INVALID_ARGUMENT' }, `Borg refuses '${text}'`)
        continue
      }
      valid++
      const location = parseLocation(text)
      assert.deepEqual([location.repository, location.snapshot ?? null], [borg.repository, borg.archive], `'${text}'`)
      const isRemote = parseRemoteLocation(location.repository) !== undefined
      assert.equal(isRemote, !borg.local, `'${text}' is remote`)
    }
    assert.ok(valid > 1_000 && valid < texts.length)
  })
})

describe('openStorage()', () => {
  for (const location of [
    's3://key:secret@host/b',
    'https://u:secret@h/',
    'rclone://r',
    'ssh://user:secret@host/repo',
  ]) {
    it(`refuses ${location.replace('secret', '…')}, and does not repeat a password`, async () => {
      await assert.rejects(openStorage(location, { create: true }), (error) => {
        assert.ok(isCairnError(error, 'INVALID_ARGUMENT'))
        assert.doesNotMatch(error.message, /secret/)
        return true
      })
    })
  }

  it('refuses an empty location and the home of another user', async () => {
    await assert.rejects(openStorage(''), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(openStorage('~bob/repo'), { code: 'INVALID_ARGUMENT', message: /full path in place of ~bob$/ })
    await assert.rejects(openStorage('file://server/repo'), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(openStorage('file://repo'), { code: 'INVALID_ARGUMENT' })
  })

  it('expands ~ to the home folder', async () => {
    const storage = await openStorage('~')
    assert.equal(storage.location, homedir())
    await assert.rejects(openStorage('~/no-such-folder-of-cairn'), { code: 'REPOSITORY_NOT_FOUND' })
  })

  it('creates and opens local folders, by path and by file URL, with colons in their names', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-location-'))
    t.after(() => rm(folder, { recursive: true }))
    for (const [location, path] of [
      [`${folder}/plain`, `${folder}/plain`],
      [`${folder}/host:path`, `${folder}/host:path`],
      [`${folder}/a::b`, `${folder}/a::b`],
      [`file://${folder}/url`, `${folder}/url`],
      [`file://localhost${folder}/%20`, `${folder}/%20`],
    ] as const) {
      await assert.rejects(openStorage(location), { code: 'REPOSITORY_NOT_FOUND' })
      const created = await openStorage(location, { create: true })
      await created.put('config', Uint8Array.of(1))
      await created.close()
      const storage = await openStorage(location)
      assert.equal(storage.location, path)
      assert.deepEqual(await storage.get('config'), Uint8Array.of(1))
      await assert.rejects(openStorage(location, { create: true }), { code: 'INVALID_ARGUMENT' })
      await openStorage(location, { create: true, mayContain: ['config'] })
    }
  })

  it('prefers another host to a local folder of that name', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-location-'))
    const before = process.cwd()
    t.after(async () => {
      process.chdir(before)
      await rm(folder, { recursive: true })
    })
    process.chdir(folder)
    await mkdir('host:path')
    await assert.rejects(openStorage('host:path', { rsh: ['false'] }), { code: 'STORAGE_UNAVAILABLE' })
    await openStorage('./host:path')
  })
})

interface BorgLocation {
  readonly repository: string
  readonly archive: string | null
  readonly local: boolean
}

function askBorg(texts: readonly string[]): (BorgLocation | null)[] {
  const script = `
import json, os, sys
os.path.normpath = lambda path: path
from borg.helpers import Location
def ask(text):
    try:
        l = Location(text)
    except ValueError:
        return None
    if l.path == '/from-environment':
        return {'repository': '', 'archive': l.archive or None, 'local': True}
    user = l.user + '@' if l.user else ''
    host = user + l._host + ':' if l._host else ''
    # Borg puts /. before a path that begins with /./ (relative to the home folder on a remote host).
    path = l.path[2:] if l.path.startswith('/././') else l.path
    return {'repository': host + path, 'archive': l.archive, 'local': l.proto == 'file'}
# No placeholders: what they stand for differs from host to host.
import borg.helpers.parseformat as parseformat
parseformat.replace_placeholders = lambda text, overrides={}: text
print(json.dumps([ask(text) for text in json.load(sys.stdin)]))
`
  const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', script], {
    input: JSON.stringify(texts),
    encoding: 'utf8',
    env: { ...process.env, BORG_REPO: '/from-environment' },
  })
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as (BorgLocation | null)[]
}
