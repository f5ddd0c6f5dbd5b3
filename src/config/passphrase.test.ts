import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError, isCairnError } from '../base/errors.ts'
import type { SecretInput } from '../platform/secret-input.ts'
import type { Environment } from './environment.ts'
import { newPassphrase, passphraseAsker } from './passphrase.ts'

/** Answers from a command, a descriptor and a terminal; `calls` tells what was asked. */
function secretsWith(terminal: (string | undefined)[] | 'none'): SecretInput & { readonly calls: string[] } {
  const calls: string[] = []
  return {
    calls,
    fromCommand: async (command) => (calls.push(command.join('|')), 'from command'),
    fromFd: async (fd) => (calls.push(`fd ${fd}`), 'from fd'),
    hasTerminal: () => terminal !== 'none',
    prompt: async (question) => {
      calls.push(question)
      return terminal === 'none' ? assert.fail('there is no terminal') : terminal.shift()
    },
  }
}

const ask = (env: Environment, secrets: SecretInput, attempt = 1): Promise<string | undefined> =>
  passphraseAsker(env, { secrets })({ location: '/repo', attempt })

const choose = (env: Environment, secrets: SecretInput, allowEmpty = false): Promise<string> =>
  newPassphrase(env, '/repo', { secrets, allowEmpty })

describe('passphraseAsker()', () => {
  const all = { PASSPHRASE: 'direct', PASSCOMMAND: `pass 'my repo'`, PASSPHRASE_FD: '7' }
  const named = (prefix: string, names: (keyof typeof all)[]): Environment =>
    Object.fromEntries(names.map((name) => [`${prefix}_${name}`, all[name]]))

  for (const prefix of ['CAIRN', 'BORG']) {
    it(`prefers ${prefix}_PASSPHRASE, then the command, then the descriptor`, async () => {
      const secrets = secretsWith('none')
      assert.equal(await ask(named(prefix, ['PASSPHRASE', 'PASSCOMMAND', 'PASSPHRASE_FD']), secrets), 'direct')
      assert.equal(await ask(named(prefix, ['PASSCOMMAND', 'PASSPHRASE_FD']), secrets), 'from command')
      assert.equal(await ask(named(prefix, ['PASSPHRASE_FD']), secrets), 'from fd')
      assert.deepEqual(secrets.calls, ['pass|my repo', 'fd 7'])
    })
  }

  it("prefers any of our variables to any of Borg's", async () => {
    const env = { ...named('BORG', ['PASSPHRASE']), ...named('CAIRN', ['PASSPHRASE_FD']) }
    assert.equal(await ask(env, secretsWith('none')), 'from fd')
  })

  it('takes an empty passphrase as one', async () => {
    assert.equal(await ask({ CAIRN_PASSPHRASE: '' }, secretsWith('none')), '')
  })

  it('does not offer what the environment says a second time', async () => {
    const asker = passphraseAsker({ CAIRN_PASSPHRASE: 'wrong' }, { secrets: secretsWith(['typed']) })
    assert.equal(await asker({ location: '/repo', attempt: 1 }), 'wrong')
    assert.equal(await asker({ location: '/repo', attempt: 2 }), undefined)
  })

  it('asks on the terminal three times, and says that an answer was wrong', async () => {
    const secrets = secretsWith(['a', 'b', 'c', 'd'])
    const asker = passphraseAsker({}, { secrets })
    const answers: (string | undefined)[] = []
    for (let attempt = 1; attempt <= 4; attempt++) answers.push(await asker({ location: '/repo', attempt }))
    assert.deepEqual(answers, ['a', 'b', 'c', undefined])
    assert.equal(secrets.calls[0], 'Passphrase for repository /repo: ')
    assert.match(secrets.calls[1] ?? '', /^Wrong passphrase, try again\. /)
  })

  it('gives the same answer when a repository is opened twice in one run', async () => {
    const secrets = secretsWith(['bad', 'good'])
    const asker = passphraseAsker({}, { secrets })
    assert.equal(await asker({ location: '/repo', attempt: 1 }), 'bad')
    assert.equal(await asker({ location: '/repo', attempt: 2 }), 'good')
    assert.equal(await asker({ location: '/repo', attempt: 1 }), 'good')
    assert.equal(secrets.calls.length, 2)
  })

  it('names the variables when there is nobody to ask', async () => {
    await assert.rejects(
      ask({}, secretsWith('none')),
      (error) => isCairnError(error, 'WRONG_PASSWORD') && /CAIRN_PASSPHRASE, CAIRN_PASSCOMMAND/.test(error.message),
    )
  })

  it('refuses a descriptor that is not a number', async () => {
    for (const fd of ['x', '-1', '1.5', '1e3']) {
      await assert.rejects(ask({ CAIRN_PASSPHRASE_FD: fd }, secretsWith('none')), (error) =>
        isCairnError(error, 'INVALID_ARGUMENT'),
      )
    }
  })

  it('passes on the failure of a command', async () => {
    const failing = {
      ...secretsWith('none'),
      fromCommand: () => Promise.reject(new CairnError('WRONG_PASSWORD', 'exit 7')),
    }
    await assert.rejects(ask({ CAIRN_PASSCOMMAND: 'false' }, failing), /exit 7/)
  })
})

describe('newPassphrase()', () => {
  it('prefers the variables for new passphrases', async () => {
    const secrets = secretsWith('none')
    assert.equal(
      await choose({ CAIRN_NEW_PASSPHRASE: 'a', BORG_NEW_PASSPHRASE: 'b', CAIRN_PASSPHRASE: 'c' }, secrets),
      'a',
    )
    assert.equal(await choose({ BORG_NEW_PASSPHRASE: 'b', CAIRN_PASSPHRASE: 'c' }, secrets), 'b')
    assert.equal(await choose({ CAIRN_PASSPHRASE: '' }, secrets), '')
  })

  it('asks twice, until both answers are the same', async () => {
    const secrets = secretsWith(['one', 'two', 'three', 'three'])
    assert.equal(await choose({}, secrets), 'three')
    assert.match(secrets.calls[2] ?? '', /^The two were different\. /)
  })

  it('does not take an empty answer, unless the key file protects the repository', async () => {
    const secrets = secretsWith(['', 'x', 'x'])
    assert.equal(await choose({}, secrets), 'x')
    assert.match(secrets.calls[1] ?? '', /empty passphrase protects nothing/)
    assert.equal(await choose({}, secretsWith(['', '']), true), '')
  })

  it('gives up after three rounds, at the end of the input, and without a terminal', async () => {
    for (const answers of [
      ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'a'],
      ['', '', '', 'x', 'x'],
      [undefined],
      ['a', undefined],
    ]) {
      await assert.rejects(choose({}, secretsWith(answers)), (error) => isCairnError(error, 'INVALID_ARGUMENT'))
    }
    await assert.rejects(choose({}, secretsWith('none')), /CAIRN_PASSPHRASE/)
  })
})
