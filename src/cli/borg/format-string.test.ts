import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { skip } from '../../platform/testing.ts'
import { applyFormat, type FormatValue, keysOf, parseFormat } from './format-string.ts'

const VALUES: Record<string, FormatValue> = { name: 'mönday', id: '0123', size: 1_234_567, when: { timeMs: 0 } }

function format(text: string): string {
  return applyFormat(parseFormat(text, Object.keys(VALUES)), (key) => VALUES[key] as FormatValue)
}

describe('formats', () => {
  it('put what keys stand for into text', () => {
    process.env['TZ'] = 'UTC'
    for (const [text, expected] of [
      ['', ''],
      ['{name}{NL}', 'mönday\n'],
      ['{name:<8}|{size:>9}|{size:4}|{name:.3}|', 'mönday  |  1234567|1234567|mön|'],
      ['{when} {when:%Y}{NUL}{TAB}{{{id}}}', 'Thu, 1970-01-01 00:00:00 1970\0\t{0123}'],
      ['{name:*^9}{SPACE:3}.', '*mönday**   .'],
    ] as const)
      assert.equal(format(text), expected)
    assert.deepEqual([...keysOf(parseFormat('{name}{NL}{id:4}{name}', ['name', 'id']))], ['name', 'id'])
  })

  it('refuse keys that there are not, and name those that there are', () => {
    assert.throws(() => format('{nme}'), {
      code: 'INVALID_ARGUMENT',
      message: /there is no key 'nme'; known are name, id, size, when, NEWLINE/,
    })
  })

  it('refuse what Python refuses', () => {
    for (const text of [
      '{',
      '}',
      '{name',
      'a}b',
      '{}',
      '{name!q}',
      '{size:s}',
      '{name:d}',
      '{size:.2}',
      '{name:,}',
      '{{name}',
    ])
      assert.throws(() => format(text), { code: 'INVALID_ARGUMENT' }, text)
  })

  it('give what Python gives', (t) => {
    const spec = fc
      .tuple(
        fc.constantFrom('', '<', '>', '^', '*<', 'ö^', '0>'),
        fc.constantFrom('', '0', '1', '5', '20'),
        fc.constantFrom('', '.0', '.3', ','),
      )
      .map((parts) => parts.join(''))
    const cases = fc.sample(
      fc.tuple(
        fc.oneof(fc.integer({ min: 0 }), fc.string({ unit: 'grapheme' })),
        spec,
        fc.string({ unit: 'grapheme-ascii' }),
      ),
      500,
    )
    const rows = cases.flatMap(([value, given, text]) => {
      const isNumber = typeof value === 'number'
      if (isNumber ? given.includes('.') : given.includes(',')) return []
      return [{ value, format: `${text.replaceAll(/[{}]/g, '$&$&')}{x:${given}}` }]
    })
    const script =
      'import json,sys\nprint(json.dumps([r["format"].format(x=r["value"]) for r in json.load(sys.stdin)]))'
    const python = spawnSync('python3', ['-c', script], { input: JSON.stringify(rows), encoding: 'utf8' })
    if (python.error) return skip(t, 'needs python3')
    assert.equal(python.status, 0, python.stderr)
    const wanted = JSON.parse(python.stdout) as string[]
    for (const [i, row] of rows.entries())
      assert.equal(
        applyFormat(parseFormat(row.format, ['x']), () => row.value),
        wanted[i],
        row.format,
      )
  })
})
