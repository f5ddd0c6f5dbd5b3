import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { openSmallData } from './data.ts'
import { runScenarios, type ScenarioResult } from './run.ts'
import { type Action, type Scenario, SCENARIOS } from './scenarios.ts'
import { allTools, commandEnvironment, type Tool } from './tools.ts'

const scenario = (action: Action, tools: Scenario['tools']): Scenario => ({
  name: action,
  title: action,
  action,
  data: action === 'help' ? undefined : 'large',
  tools,
  subject: 'cairn',
  goals: [],
})

/** Runs scenarios on one file of 1 MB in a fresh folder. */
async function run(
  t: TestContext,
  scenarios: Scenario[],
  tools: Tool[],
  runs = 2,
): Promise<[ScenarioResult[], string[]]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-bench-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const workFolder = path.join(folder, 'work')
  mkdirSync(workFolder)
  const file = path.join(folder, 'file')
  writeFileSync(file, Buffer.alloc(1_000_000, 'text'))
  const lines: string[] = []
  const results = await runScenarios(scenarios, {
    workFolder,
    tools,
    openData: () => ({ ...openSmallData([file]), name: 'large' }),
    runs,
    log: (line) => lines.push(line),
  })
  assert.ok(!existsSync(path.join(workFolder, 'restored')))
  return [results, lines]
}

/** Copies the file, and does with the copy what a test wants. */
function copyingTool(name: Tool['name'], restoreScript: string): Tool {
  return {
    name,
    label: name,
    version: '1',
    env: () => ({}),
    init: (repository) => ['mkdir', repository],
    backup: (repository, snapshot, [file = '']) => ['cp', '-p', file, path.join(repository, snapshot)],
    restore: (repository, snapshot, target) => [
      '/bin/sh',
      '-c',
      restoreScript,
      'sh',
      path.join(repository, snapshot),
      path.join(target, 'file'),
    ],
  }
}

const restoreWell = copyingTool('cairn', 'cp -p "$1" "$2"')
const restoreWrongly = copyingTool(
  'restic',
  'cp -p "$1" "$2"; printf X | dd of="$2" conv=notrunc 2>/dev/null; touch -r "$1" "$2"',
)
const failing = copyingTool('borg', 'echo "cannot open $1" >&2; exit 2')

describe('runScenarios()', () => {
  it('alternates the tools and counts repository sizes', async (t) => {
    const [[first, changed], lines] = await run(
      t,
      [scenario('first', ['cairn', 'borg']), scenario('changed', ['cairn', 'borg'])],
      [restoreWell, failing],
    )
    assert.deepEqual(
      lines.map((line) => line.replace(/:.*/, '')),
      ['first', 'changed'].flatMap((name) =>
        [1, 2].flatMap((run) => [`${name} ${run}/2 cairn`, `${name} ${run}/2 borg`]),
      ),
    )
    assert.deepEqual(
      first?.results.map(({ runs, repositoryBytes }) => [runs.length, repositoryBytes]),
      [
        [2, 1_000_000], // every run had a fresh repository
        [2, 1_000_000],
      ],
    )
    assert.equal(changed?.results[0]?.repositoryBytes, 3_000_000)
  })

  it('reports a tool that fails or restores wrongly and goes on with the others', async (t) => {
    const [[result]] = await run(
      t,
      [scenario('restore', ['cairn', 'restic', 'borg'])],
      [restoreWell, restoreWrongly, failing],
    )
    const [well, wrong, failed] = result?.results ?? []
    assert.deepEqual([well?.runs.length, well?.failure], [2, undefined])
    assert.match(String(wrong?.failure), /^restored wrongly: the content of .*file differs$/)
    assert.equal(failed?.failure, 'cannot open …/borg/repository/s1')
  })

  it('restores what was last backed up, also by a tool that took no part in the changes', async (t) => {
    const [results] = await run(
      t,
      [scenario('first', ['cairn', 'borg']), scenario('changed', ['cairn']), scenario('restore', ['cairn', 'borg'])],
      [restoreWell, copyingTool('borg', 'cp -p "$1" "$2"')],
    )
    assert.deepEqual(
      results[2]?.results.map(({ failure }) => failure),
      [undefined, undefined],
    )
  })

  const tools = allTools()
  for (const name of ['tar', 'restic', 'borg'] as const) {
    const tool = tools.find((tool) => tool.name === name)
    const required = process.env['CAIRN_TEST_REQUIRE_ALL'] === '1'
    const skip = tool?.version === undefined && !required && `${name} is not installed`
    it(`measures the real ${name}`, { skip }, async (t) => {
      assert.ok(tool)
      const actions: Action[] = name === 'tar' ? ['first', 'restore'] : ['first', 'changed', 'restore', 'list']
      const [results] = await run(
        t,
        actions.map((action) => scenario(action, [name])),
        [tool],
        1,
      )
      for (const { results: rows } of results)
        assert.deepEqual(
          rows.map(({ failure }) => failure),
          [undefined],
        )
    })
  }
})

describe('commandEnvironment()', () => {
  it("leaves the user's settings of the tools behind", (t) => {
    process.env['RESTIC_COMPRESSION'] = 'max'
    process.env['XDG_CONFIG_DIRS'] = '/etc/own'
    t.after(() => {
      delete process.env['RESTIC_COMPRESSION']
      delete process.env['XDG_CONFIG_DIRS']
    })
    const env = commandEnvironment(restoreWell, '/home-of-the-run')
    assert.equal(env['RESTIC_COMPRESSION'], undefined)
    assert.equal(env['XDG_CONFIG_DIRS'], undefined)
    assert.equal(env['PATH'], process.env['PATH'])
    assert.deepEqual([env['HOME'], env['XDG_CACHE_HOME']], ['/home-of-the-run', '/home-of-the-run/.cache'])
  })
})

describe('openSmallData()', () => {
  it('counts regular files and their bytes', (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cairn-bench-test-'))
    t.after(() => rmSync(folder, { recursive: true }))
    mkdirSync(path.join(folder, 'inner'))
    writeFileSync(path.join(folder, 'a'), 'abc')
    writeFileSync(path.join(folder, 'inner', 'b'), 'defg')
    const data = openSmallData([folder, path.join(folder, 'missing')])
    assert.deepEqual([data.files, data.bytes, data.paths], [2, 7, [folder]])
  })
})

describe('docs/benchmarks.md', () => {
  it('explains every scenario and has a place for the results', () => {
    const page = readFileSync('docs/benchmarks.md', 'utf8')
    for (const { name } of SCENARIOS) assert.ok(page.includes(`| \`${name}\` |`), name)
    assert.match(page, /<!-- bench:begin -->\n[^]*\n<!-- bench:end -->/)
  })
})
