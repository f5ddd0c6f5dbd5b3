import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { needs } from './local/testing.ts'
import { type RemoteLocation, parseRemoteLocation, sshDestination } from './remote-location.ts'

type Parts = [scheme: string, user: string | undefined, host: string, port: number | undefined, path: string]

const LOCATIONS: [text: string, ...Parts][] = [
  ['user@host:/srv/repo', 'ssh', 'user', 'host', undefined, '/srv/repo'],
  ['host:repo', 'ssh', undefined, 'host', undefined, 'repo'],
  ['host:~/Documents/repo', 'ssh', undefined, 'host', undefined, '~/Documents/repo'],
  ['host:with space/ü:x', 'ssh', undefined, 'host', undefined, 'with space/ü:x'],
  ['[::1]:repo', 'ssh', undefined, '::1', undefined, 'repo'],
  ['user@[fe80::1]:/repo', 'ssh', 'user', 'fe80::1', undefined, '/repo'],
  ['ssh://host/srv/repo', 'ssh', undefined, 'host', undefined, '/srv/repo'],
  ['ssh://user@host:2222/srv/repo', 'ssh', 'user', 'host', 2222, '/srv/repo'],
  ['ssh://user@host:22/./repo', 'ssh', 'user', 'host', 22, 'repo'],
  ['ssh://user@host/~/repo', 'ssh', 'user', 'host', undefined, '~/repo'],
  ['ssh://host/~bob/repo', 'ssh', undefined, 'host', undefined, '~bob/repo'],
  ['ssh://[::1]:22/repo', 'ssh', undefined, '::1', 22, '/repo'],
  ['ssh://user@[::1]/./repo', 'ssh', 'user', '::1', undefined, 'repo'],
]

/** Borg has none of these. */
const OURS: [text: string, ...Parts][] = [
  ['SSH://host/repo', 'ssh', undefined, 'host', undefined, '/repo'],
  ['sftp://user@host:2222/srv/repo', 'sftp', 'user', 'host', 2222, '/srv/repo'],
  ['sftp://host/./repo', 'sftp', undefined, 'host', undefined, 'repo'],
  ['sftp:user@host:/srv/repo', 'sftp', 'user', 'host', undefined, '/srv/repo'],
  ['sftp:host:repo', 'sftp', undefined, 'host', undefined, 'repo'],
  ['sftp:repo', 'ssh', undefined, 'sftp', undefined, 'repo'],
]

const partsOf = ({ scheme, user, host, port, path }: RemoteLocation): Parts => [scheme, user, host, port, path]

describe('parseRemoteLocation()', () => {
  for (const [text, ...parts] of [...LOCATIONS, ...OURS]) {
    it(`reads '${text}'`, () => {
      const location = parseRemoteLocation(text)
      assert.deepEqual(location && partsOf(location), parts)
    })
  }

  for (const text of [
    '/srv/repo',
    'repo',
    './host:path',
    '~/x',
    'file:///x',
    's3://bucket/x',
    '/a:b',
    '',
    ':x',
    'a/b:c',
  ])
    it(`leaves '${text}' to others`, () => assert.equal(parseRemoteLocation(text), undefined))

  for (const text of ['ssh://', 'ssh://host', 'ssh:///path', 'ssh://host:x/path', 'ssh://u@/path', 'sftp://h:1:2/x'])
    it(`refuses '${text}'`, () => assert.throws(() => parseRemoteLocation(text), { code: 'INVALID_ARGUMENT' }))

  it('lets nobody pass options to ssh', () => {
    for (const text of ['-oProxyCommand=x:y', 'ssh://-oProxyCommand=x/y', '-l@host:y', 'ssh://-x@host/y', 'sftp:-x:y'])
      assert.throws(() => parseRemoteLocation(text), { code: 'INVALID_ARGUMENT', message: /cannot be the name/ }, text)
  })

  it('does not repeat a password', () => {
    assert.throws(
      () => parseRemoteLocation('ssh://user:secret@host/repo'),
      (error: Error) => {
        assert.doesNotMatch(error.message, /secret/)
        return /with a password/.test(error.message)
      },
    )
  })

  it('agrees with Borg', needs('borg is not installed', '/usr/bin/python3', '-c', 'import borg.helpers'), () => {
    const texts = LOCATIONS.map(([text]) => text)
    const script = `
import json, sys
from borg.helpers import Location
def ask(text):
    l = Location(text)
    return [l.proto, l.user, l._host.strip('[]'), l.port, l.path]
print(json.dumps([ask(text) for text in json.load(sys.stdin)]))`
    const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', script], {
      input: JSON.stringify(texts),
      encoding: 'utf8',
    })
    assert.notEqual(stdout, '', stderr)
    const borgs = JSON.parse(stdout) as (string | number | null)[][]
    for (const [i, [text, , user, host, port, path]] of LOCATIONS.entries()) {
      // In URLs, Borg keeps what is below the home folder as /./path and /~/path.
      const isPlain = path.startsWith('/') || !text.startsWith('ssh:')
      const there = isPlain ? path : path.startsWith('~') ? `/${path}` : `/./${path}`
      assert.deepEqual(borgs[i], ['ssh', user ?? null, host, port ?? null, there], text)
    }
  })
})

describe('sshDestination()', () => {
  it('names user, host and port', () => {
    assert.deepEqual(words('host:x'), ['host'])
    assert.deepEqual(words('user@[::1]:x'), ['user@::1'])
    assert.deepEqual(words('ssh://user@host:2222/x'), ['-p', '2222', 'user@host'])
  })
})

function words(text: string): string[] {
  return sshDestination(parseRemoteLocation(text) ?? assert.fail(text))
}
