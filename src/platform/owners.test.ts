import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { currentUser, groupId, groupName, hostName, parseAccounts, readAccounts, userId, userName } from './owners.ts'
import { runScript, SKIP_UNLESS_ROOT } from './testing.ts'

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' }).trim()

describe('userName(), groupName(), userId() and groupId()', () => {
  it('know what the account files say', () => {
    for (const [file, nameOf, idOf] of [
      ['/etc/passwd', userName, userId],
      ['/etc/group', groupName, groupId],
    ] as const) {
      const [name = '', , id] = readFileSync(file, 'utf8').split('\n')[0]?.split(':') ?? []
      assert.equal(nameOf(Number(id)), name)
      assert.equal(idOf(name), Number(id))
      assert.equal(nameOf(4_000_000_123), undefined)
      assert.equal(idOf('no such account'), undefined)
    }
  })
})

describe('parseAccounts()', () => {
  it('takes the first entry of a name and of a number', () => {
    const { names, ids } = parseAccounts('root:x:0:0::/root:/bin/sh\ntoor:x:0:0:::\nroot:x:7:0:::\n')
    assert.deepEqual(
      [...names],
      [
        [0, 'root'],
        [7, 'root'],
      ],
    )
    assert.deepEqual(
      [...ids],
      [
        ['root', 0],
        ['toor', 0],
      ],
    )
  })

  it('passes over comments, NIS lines and damage', () => {
    const { names } = parseAccounts(
      [
        '# comment:x:1:',
        '+::::::',
        '+user:x:2:',
        '-user:x:3:',
        '',
        'short',
        'short:x',
        'number:x:12a:',
        'empty:x::',
        'minus:x:-5:',
        ':x:6:',
        'long:x:12345678901:',
        'good:x:8:',
        'with space:x:9:',
        'Jürgen_1$:*:10',
      ].join('\n'),
    )
    assert.deepEqual(
      [...names],
      [
        [8, 'good'],
        [9, 'with space'],
        [10, 'Jürgen_1$'],
      ],
    )
  })

  it('never throws', () => {
    const anyText = fc
      .array(fc.constantFrom('a', ':', '\n', '0', '9', '+', '#', ' ', '\r'))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(anyText, (text) => {
        for (const [name, id] of parseAccounts(text).ids) assert.ok(text.includes(`${name}:`) && id >= 0)
      }),
    )
  })
})

describe('readAccounts()', () => {
  it('knows nobody when the file is missing', () => {
    assert.equal(readAccounts('/nonexistent/passwd').names.size, 0)
  })
})

describe('currentUser() and hostName()', () => {
  it('agree with the system', () => {
    assert.deepEqual(currentUser(), {
      uid: Number(run('id', '-u')),
      gid: Number(run('id', '-g')),
      name: run('id', '-un'),
    })
    assert.equal(hostName(), hostname())
    assert.equal(hostName(), run('uname', '-n'))
  })

  it('give the number where the user has no name', { skip: SKIP_UNLESS_ROOT }, () => {
    const script = `const { currentUser } = await import('${import.meta.resolve('./owners.ts')}')
      process.setgid(60124)
      process.setuid(60123)
      console.log(JSON.stringify(currentUser()))`
    assert.equal(runScript(script), '{"uid":60123,"gid":60124,"name":"60123"}\n')
  })
})
