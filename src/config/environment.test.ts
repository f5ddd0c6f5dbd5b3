import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { folders, variable } from './environment.ts'

describe('variable()', () => {
  it("prefers our variable to Borg's, and takes an empty one as unset", () => {
    assert.equal(variable({ CAIRN_REPO: 'a', BORG_REPO: 'b' }, 'REPO'), 'a')
    assert.equal(variable({ CAIRN_REPO: '', BORG_REPO: 'b' }, 'REPO'), 'b')
    assert.equal(variable({ CAIRN_REPO: '' }, 'REPO'), undefined)
  })
})

describe('folders()', () => {
  it('are below the home folder by default', () => {
    assert.deepEqual(folders({ HOME: '/home/ann' }), {
      keys: '/home/ann/.config/cairn/keys',
      known: '/home/ann/.config/cairn/known',
      cache: '/home/ann/.cache/cairn',
      defaultRepository: '/home/ann/.local/share/cairn/repository',
    })
  })

  it('follow the XDG variables, CAIRN_KEYS_DIR or BORG_KEYS_DIR, and CAIRN_CACHE_DIR', () => {
    assert.deepEqual(folders({ HOME: '/home/ann', XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d' }), {
      keys: '/c/cairn/keys',
      known: '/c/cairn/known',
      cache: '/home/ann/.cache/cairn',
      defaultRepository: '/d/cairn/repository',
    })
    assert.equal(folders({ HOME: '/home/ann', XDG_CONFIG_HOME: '/c', CAIRN_KEYS_DIR: '/keys' }).keys, '/keys')
    assert.equal(folders({ HOME: '/home/ann', BORG_KEYS_DIR: '/keys' }).keys, '/keys')
    assert.equal(folders({ HOME: '/home/ann', XDG_CACHE_HOME: '/c' }).cache, '/c/cairn')
    assert.equal(folders({ HOME: '/home/ann', XDG_CACHE_HOME: '/c', CAIRN_CACHE_DIR: '/cache' }).cache, '/cache')
  })

  it('ignore XDG variables that are not absolute, as the specification demands', () => {
    const { keys } = folders({ HOME: '/home/ann', XDG_CONFIG_HOME: 'c', XDG_DATA_HOME: '' })
    assert.equal(keys, '/home/ann/.config/cairn/keys')
  })
})
