import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatSeconds, median, renderReport, renderTable, replaceBetween } from './report.ts'
import type { ToolResult } from './run.ts'
import { SCENARIOS, selectScenarios } from './scenarios.ts'
import type { Tool, ToolName } from './tools.ts'

const result = (name: ToolName, seconds: number[], failure?: string): ToolResult => ({
  tool: { name, label: name, version: '1.0' } as Tool,
  runs: seconds.map((seconds, i) => ({
    seconds,
    cpuSeconds: 2,
    peakBytes: (i + 1) * 1e8,
    exitCode: 0,
    errorLine: '',
  })),
  repositoryBytes: 5e6,
  failure,
})

describe('median()', () => {
  it('is the middle value, or the mean of the two in the middle', () => {
    assert.equal(median([9, 1, 5]), 5)
    assert.equal(median([4, 1, 3, 2]), 2.5)
    assert.equal(median([7]), 7)
    assert.ok(Number.isNaN(median([])))
  })

  it('has as many values below as above, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values)
        const below = values.filter((value) => value < middle).length
        const above = values.filter((value) => value > middle).length
        assert.ok(below <= values.length / 2 && above <= values.length / 2)
        assert.equal(median(values.toReversed()), middle)
      }),
    )
  })
})

describe('renderTable()', () => {
  it('escapes bars and line breaks, and fills up short rows', () => {
    const table = renderTable(['tool', 's'], [['tar | zstd'], ['b\n', '1']])
    assert.equal(table, '| tool | s |\n|---|---:|\n| tar \\| zstd |  |\n| b | 1 |')
  })
})

describe('replaceBetween()', () => {
  it('replaces only what is between the markers, however often', () => {
    const once = replaceBetween('a\n<b>\nold\n<e>\nz\n', '<b>', '<e>', 'new')
    assert.equal(once, 'a\n<b>\nnew\n<e>\nz\n')
    assert.equal(replaceBetween(once, '<b>', '<e>', 'new'), once)
  })

  it('refuses a page without markers', () => {
    assert.throws(() => replaceBetween('<e> <b>', '<b>', '<e>', ''), /lacks <e>/)
    assert.throws(() => replaceBetween('', '<b>', '<e>', ''), /lacks <b>/)
  })
})

describe('formatSeconds()', () => {
  it('keeps three digits', () => {
    assert.deepEqual([0.0842, 1.251, 12.34, 125.4].map(formatSeconds), ['0.084', '1.25', '12.3', '125'])
  })
})

describe('renderReport()', () => {
  it('shows medians, rates, failures and verdicts', () => {
    const [scenario] = selectScenarios(['small-first'])
    assert.ok(scenario)
    const report = renderReport(
      [
        {
          scenario,
          data: { name: 'small', paths: ['/data'], label: '`/data`', files: 5000, bytes: 2e9 },
          results: [result('cairn', [2, 1, 4]), result('restic', [4, 4, 4]), result('borg', [], 'no space | left')],
        },
      ],
      {
        date: '2026-01-02',
        cpu: 'CPU',
        cores: 2,
        memoryBytes: 8e9,
        fileSystem: 'ext4',
        node: 'v26.0.0',
        tools: [['cairn', '1.0']],
      },
    )
    assert.equal(
      report,
      `Measured on 2026-01-02: CPU, 2 cores, 8 GB memory, ext4, Node v26.0.0.

Tools: cairn (1.0).

Many small files: \`/data\`: 5,000 files, 2,000 MB.

### Many small files: first backup

| tool | median s (min–max) | files/s | CPU s | peak MB | repository MB |
|---|---:|---:|---:|---:|---:|
| cairn | 2.00 (1.00–4.00) | 2,500 | 2.00 | 300 | 5.0 |
| restic | 4.00 (4.00–4.00) | 1,250 | 2.00 | 300 | 5.0 |
| borg | failed: no space \\| left |  |  |  |  |

- goal of cairn: ≥ 4× as fast as restic → **missed** (2.00×, by 50 %)
- goal of cairn: ≥ 6× as fast as borg → not measured
- goal of cairn: faster than tar → not measured
- goal of cairn: repository ≤ 0.95× the smallest of restic, borg → not measured
- goal of cairn: peak memory ≤ 350 MB → reached (300 MB)`,
    )
  })
})

describe('selectScenarios()', () => {
  it('keeps the order of the table, so that repositories are shared', () => {
    const names = selectScenarios(['large-first', 'help']).map(({ name }) => name)
    assert.deepEqual(names, ['help', 'large-first'])
    assert.equal(selectScenarios([]), SCENARIOS)
  })

  it('refuses an unknown name', () => {
    assert.throws(() => selectScenarios(['smal']), { code: 'INVALID_ARGUMENT' })
  })
})
