import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import { skip } from '../platform/testing.ts'
import { splitCommand } from './split-command.ts'

describe('splitCommand()', () => {
  const table: [string, string[]][] = [
    ['pass show backup', ['pass', 'show', 'backup']],
    ["  cat  '/a b/c' ", ['cat', '/a b/c']],
    [String.raw`a\ b "c \" \\ \d" 'e\f'`, ['a b', String.raw`c " \ \d`, String.raw`e\f`]],
    [`x'y'"z"`, ['xyz']],
    [`echo '' ""`, ['echo', '', '']],
    ['echo $HOME | cat', ['echo', '$HOME', '|', 'cat']],
    ['', []],
  ]
  for (const [text, words] of table) {
    it(`splits ${text}`, () => assert.deepEqual(splitCommand(text), words))
  }

  for (const text of [`echo 'open`, `echo "open`, 'echo \\']) {
    it(`refuses ${text}`, () => {
      assert.throws(
        () => splitCommand(text),
        (error) => isCairnError(error, 'INVALID_ARGUMENT'),
      )
    })
  }

  it("agrees with Python's shlex.split, which Borg uses", (t) => {
    const texts = fc.sample(
      fc.array(fc.constantFrom('a', ' ', "'", '"', '\\', 'b c', '$', '\t')).map((p) => p.join('')),
      500,
    )
    const script =
      'import json,shlex,sys\ndef f(t):\n try: return shlex.split(t)\n except ValueError: return None\nprint(json.dumps([f(t) for t in json.load(sys.stdin)]))'
    const python = spawnSync('python3', ['-c', script], { input: JSON.stringify(texts), encoding: 'utf8' })
    if (python.error || python.status !== 0) {
      skip(t, 'python3 is missing')
      return
    }
    const ours = texts.map((text) => {
      try {
        return splitCommand(text)
      } catch {
        return null // open quote or backslash
      }
    })
    assert.deepEqual(ours, JSON.parse(python.stdout))
  })
})
