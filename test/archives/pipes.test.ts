/** Standard input and the output of commands as snapshots, and the way back, by the whole program. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../../src/chunker/testing.ts'
import { isAlive } from '../../src/platform/process-scope.ts'
import { Program } from '../program.ts'
import { needs, newFolder } from '../testing.ts'

const PROGRAM = path.resolve('cairn')
const data = Buffer.concat([testBytes('piped', 20 << 20), Buffer.alloc(1 << 20)])

/** Runs the program with this input, and gives what it wrote as bytes. */
function piped(
  program: Program,
  args: readonly string[],
  input: Buffer,
): { status: number | null; stdout: Buffer; stderr: string } {
  const result = spawnSync(PROGRAM, args, {
    cwd: program.home,
    env: { ...program.env, CAIRN_REPO: program.repository },
    input,
    maxBuffer: 1 << 28,
  })
  return { ...result, stderr: result.stderr.toString() }
}

describe('cairn create -', () => {
  it('saves standard input, and extract --stdout gives it back', () => {
    const program = new Program()
    for (const [name, input] of [
      ['large', data],
      ['small', Buffer.from('x')],
      ['none', Buffer.alloc(0)],
    ] as const) {
      const { status, stdout, stderr } = piped(program, ['create', '--list', `::${name}`, '-'], input)
      assert.deepEqual([status, stderr], [0, ''])
      assert.match(stdout.toString(), /^i stdin\n/)
      const back = piped(program, ['extract', `::${name}`, '--stdout'], Buffer.alloc(0))
      assert.ok(back.status === 0 && back.stdout.equals(input), name)
    }
    // The same once more adds nothing.
    const before = program.sizeBytes()
    assert.equal(piped(program, ['create', '::again', '-'], data).status, 0)
    assert.ok(program.sizeBytes() - before < 10_000)
  })

  it('gives the file name, owner and mode that it is told', () => {
    const program = new Program()
    const options = [
      '--stdin-name',
      'dumps/shop.sql',
      '--stdin-user',
      '4711',
      '--stdin-group',
      'root',
      '--stdin-mode',
      '0604',
    ]
    assert.equal(piped(program, ['create', '::a', '-', ...options], Buffer.from('sql')).status, 0)
    const node = program.nodes('a')['dumps/shop.sql'] ?? {}
    assert.deepEqual([node['mode'], node['uid'], node['gid'], node['size']], [0o604, 4711, 0, 3])
    for (const bad of ['/absolute', 'a/../b', '', 'a//b']) {
      const { status, stderr } = piped(program, ['create', '::b', '-', '--stdin-name', bad], Buffer.from('x'))
      assert.equal(status, 2, stderr)
    }
    assert.equal(
      piped(program, ['create', '::b', '-', '--stdin-user', 'nobody-of-this-name'], Buffer.from('x')).status,
      2,
    )
    assert.equal(piped(program, ['create', '::b', '-', '--stdin-mode', '0999'], Buffer.from('x')).status, 2)
  })

  it('saves nothing besides it', () => {
    const program = new Program()
    const { status, stderr } = piped(program, ['create', '::a', '-', '/etc'], Buffer.from('x'))
    assert.match(stderr, /'-' must be the only path/)
    assert.equal(status, 2)
    assert.match(piped(program, ['create', '-n', '::a', '-'], Buffer.from('x')).stderr, /--dry-run/)
    const { letters } = program.create(['./-'], { cwd: fileCalled('-') })
    assert.deepEqual(letters, { '-': 'A' })
  })

  it('commits nothing when it is interrupted, and stores nothing twice afterwards', async () => {
    const program = new Program()
    const child = spawn(PROGRAM, ['create', '::a', '-'], {
      cwd: program.home,
      env: { ...program.env, CAIRN_REPO: program.repository },
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    child.stdin?.write(data)
    await sleep(2000)
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [143, null])
    assert.equal(program.succeed(['list', program.repository]), '')
    assert.equal(piped(program, ['create', '::a', '-'], data).status, 0)
    program.succeed(['check', program.repository, '--read-data'])
  })

  it('needs no more memory for more of it', { skip: needs(process.platform === 'linux', 'needs Linux') }, () => {
    const program = new Program()
    const peak = (megabytes: number): number => {
      const command = `head -c ${megabytes}M /dev/zero | ${PROGRAM} create -q -r ${program.repository} ::m${megabytes} -`
      const result = spawnSync('python3', ['-c', MEASURE, command], { encoding: 'utf8', env: program.env })
      return Number(result.stdout)
    }
    const [small, large] = [peak(100), peak(600)]
    assert.ok(large < small * 1.5, `${small} KB for 100 MB, ${large} KB for 600 MB`)
  })
})

const MEASURE = `
import resource, subprocess, sys
subprocess.run(['sh', '-c', sys.argv[1]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`

function fileCalled(name: string): string {
  const folder = newFolder()
  writeFileSync(`${folder}/${name}`, 'x')
  return folder
}

describe('cairn create --content-from-command', () => {
  it('saves what a command prints', () => {
    const program = new Program()
    const file = path.join(newFolder(), 'f')
    writeFileSync(file, data)
    const args = ['create', '-r', program.repository, '::a', '--content-from-command', '--stdin-name', 'f', '--']
    program.succeed([...args, 'sh', '-c', 'cat "$1"; echo "a message" >&2', 'sh', file])
    assert.ok(piped(program, ['extract', '::a', '--stdout'], Buffer.alloc(0)).stdout.equals(data))
  })

  it('saves nothing when the command fails, is killed, or cannot be run', () => {
    const program = new Program()
    const failures = [
      [['sh', '-c', 'head -c 9000000 /dev/zero; exit 3'], /it ended with exit code 3/],
      [['sh', '-c', 'echo x; kill -9 $$'], /it was ended by SIGKILL/],
      [['no-such-command'], /it cannot be run: no such file or directory/],
      [[], /no command was given/],
    ] as const
    for (const [words, message] of failures) {
      const { status, stderr } = program.run([
        'create',
        '-r',
        program.repository,
        '::a',
        '--content-from-command',
        '--',
        ...words,
      ])
      assert.match(stderr, message)
      assert.ok(status === 1 || status === 2)
    }
    assert.equal(program.succeed(['list', program.repository]), '')
    // The name is free.
    program.succeed(['create', '-r', program.repository, '::a', '--content-from-command', '--', 'echo', 'fine'])
  })

  it('does not run it when the repository cannot be opened', () => {
    const program = new Program()
    const trace = path.join(newFolder(), 'trace')
    const { status } = program.run(['create', '/nowhere::a', '--content-from-command', '--', 'touch', trace])
    assert.equal(status, 10)
    assert.throws(() => readFileSync(trace), { code: 'ENOENT' })
  })

  it('ends the command when it is interrupted itself', async () => {
    const program = new Program()
    const folder = newFolder()
    const script = `echo $$ > ${folder}/pid; while :; do head -c 1000000 /dev/urandom; sleep 0.1; done`
    const child = program.start([
      'create',
      '-r',
      program.repository,
      '::a',
      '--content-from-command',
      '--',
      'sh',
      '-c',
      script,
    ])
    await sleep(2500)
    child.kill('SIGINT')
    assert.deepEqual(await once(child, 'exit'), [130, null])
    assert.equal(isAlive(Number(readFileSync(`${folder}/pid`, 'utf8'))), false)
    assert.equal(program.succeed(['list', program.repository]), '')
  })
})

describe('a pipe of both', () => {
  it('carries a snapshot from one repository to another', () => {
    const [from, to] = [new Program(), new Program()]
    from.create([fileCalled('f')])
    const command = `${PROGRAM} export -r ${from.repository} latest - | ${PROGRAM} import - -q -r ${to.repository} copy`
    execFileSync('bash', ['-o', 'pipefail', '-c', command], { env: from.env, cwd: from.home })
    assert.deepEqual(Object.keys(to.nodes('copy')), Object.keys(from.nodes('latest')))
  })
})
