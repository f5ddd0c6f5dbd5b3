/** Snapshots as WebDAV clients and browsers see them, and what somebody can do to the server who should not. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { buffer } from 'node:stream/consumers'
import { toSystemPath } from '../src/base/raw-name.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { hasPrograms } from '../src/platform/testing.ts'
import { commitFolder } from './full-snapshot.ts'
import { SKIP_UNLESS_FUSE } from './mounting.ts'
import { LATIN1_NAME, TestRepository, needs, newFolder, startCairn } from './testing.ts'

const MOUNT_DAVFS = '/sbin/mount.davfs'

const HOSTILE = [
  '<script>alert(1)<',
  '"onclick="alert(1)',
  "'&amp;",
  'javascript:alert(1)',
  '%2e%2e',
  '%00',
  '?query#hash',
  '\u202egnp.exe',
  'new\nline',
  ']]>',
  LATIN1_NAME,
  'caf\u00e9 \u{1f600}',
]

/** A folder of what is hard to show. */
function makeSource(): string {
  const source = newFolder()
  mkdirSync(`${source}/names`)
  for (const name of HOSTILE) writeFileSync(toSystemPath(`${source}/names/${name}`), `content of ${name}`)
  mkdirSync(`${source}/names/<folder>`)
  writeFileSync(`${source}/names/<folder>/in`, 'in')
  writeFileSync(`${source}/large`, testBytes('webdav', 5 << 20))
  writeFileSync(`${source}/empty`, '')
  writeFileSync(`${source}/page.html`, '<script>alert(1)</script>')
  symlinkSync('/etc/passwd', `${source}/link`)
  symlinkSync('/etc', `${source}/folder-link`)
  return source
}

/** Serves a repository until the test ends: the address that is printed. */
async function serve(t: TestContext, ...what: string[]): Promise<{ url: string; stop: () => Promise<number | null> }> {
  const child = startCairn(['mount', '--webdav', '--json', ...what], { stdout: 'pipe' })
  const exited = once(child, 'exit')
  t.after(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout?.setEncoding('utf8')
  while (!printed.includes('\n')) printed += ((await once(child.stdout ?? assert.fail(), 'data')) as string[])[0] ?? ''
  const { message_type: type, url } = JSON.parse(printed) as Record<string, string>
  assert.equal(type, 'serving')
  const stop = async (): Promise<number | null> => {
    child.kill('SIGINT')
    await exited
    return child.exitCode
  }
  return { url: url ?? assert.fail(), stop }
}

async function ask(
  url: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> {
  const sent = request(url, { method, headers })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) }
}

async function newServer(t: TestContext): Promise<{ url: string; source: string; stop: () => Promise<number | null> }> {
  const source = makeSource()
  const repository = await TestRepository.create({ encryption: 'none' })
  await commitFolder(repository, source)
  return { source, ...(await serve(t, `${repository.location}::latest`)) }
}

/** Every link of a page, as a browser resolves it. */
function linksOf(page: string, url: string): string[] {
  return [...page.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => new URL(href.replaceAll('&amp;', '&'), url).href)
}

describe('a browser', () => {
  it('can click through to every file, whatever it is called', async (t) => {
    const { url, source, stop } = await newServer(t)
    const contents: string[] = []
    const visit = async (page: string): Promise<void> => {
      const { status, headers, body } = await ask(page)
      assert.equal(status, 200, page)
      assert.match(String(headers['content-security-policy']), /default-src 'none'/)
      for (const link of linksOf(body.toString(), page)) {
        if (link.length <= page.length) continue // up
        if (link.endsWith('/')) await visit(link)
        else if (!link.endsWith('large')) contents.push((await ask(link)).body.toString())
      }
    }
    await visit(url)
    assert.deepEqual(
      contents.sort(),
      [
        ...HOSTILE.map((name) => Buffer.from(`content of ${name}`).toString()),
        'in',
        '',
        '<script>alert(1)</script>',
      ].sort(),
    )
    assert.deepEqual((await ask(`${url}large`)).body, readFileSync(`${source}/large`))
    assert.equal(await stop(), 0)
  })

  it('is given nothing that it would run', async (t) => {
    const { url } = await newServer(t)
    const { body } = await ask(`${url}names/`)
    // Nothing but the tags of the page itself, and links by relative paths.
    const tags =
      body
        .toString()
        .replaceAll(/<a href="\.{1,2}\/[\w.~%-]*\/?">/g, '')
        .match(/<[^>]*>/g) ?? []
    const own = /^<(!doctype html|meta charset="utf-8"|td align="right"|\/?(html|head|title|body|h1|table|tr|td|a))>$/
    assert.deepEqual(
      tags.filter((tag) => !own.test(tag)),
      [],
    )
    assert.ok(!body.toString().includes('\u202e'))
    const page = await ask(`${url}page.html`)
    assert.equal(page.headers['content-type'], 'application/octet-stream')
    assert.equal(page.headers['content-disposition'], 'attachment')
    assert.equal(page.headers['x-content-type-options'], 'nosniff')
    assert.match(String(page.headers['content-security-policy']), /^sandbox;/)
    assert.equal(page.headers['access-control-allow-origin'], undefined)
  })
})

describe('a WebDAV client', () => {
  it('gets names, sizes and times', async (t) => {
    if (!hasPrograms(t, 'python3')) return
    const { url } = await newServer(t)
    const list = async (path: string, depth: string): Promise<unknown> => {
      const { status, body } = await ask(url + path, { method: 'PROPFIND', headers: { depth } })
      assert.equal(status, 207)
      const script = `
import sys, json, urllib.parse, xml.etree.ElementTree as E
d = '{DAV:}'
rows = []
for r in E.fromstring(sys.stdin.buffer.read()):
    p = r.find(d + 'propstat').find(d + 'prop')
    assert 'HTTP/1.1 200 OK' == r.find(d + 'propstat').find(d + 'status').text
    name = urllib.parse.unquote_to_bytes(r.find(d + 'href').text.split('/', 2)[2])
    length = p.find(d + 'getcontentlength')
    rows.append([name.decode('latin1'), None if length is None else int(length.text), p.find(d + 'resourcetype').find(d + 'collection') is not None])
print(json.dumps(rows))`
      return JSON.parse(execFileSync('python3', ['-c', script], { input: body, encoding: 'utf8' }))
    }
    assert.deepEqual(await list('', '0'), [['', null, true]])
    assert.deepEqual(await list('', '1'), [
      ['', null, true],
      ['empty', 0, false],
      ['large', 5 << 20, false],
      ['names/', null, true],
      ['page.html', 25, false],
    ])
    const names = (await list('names/', '1')) as [string, number | null, boolean][]
    const want = [...HOSTILE.map((name) => toSystemPath(`names/${name}`)), 'names/', 'names/<folder>/']
    assert.deepEqual(
      names.map(([name]) => name).sort(),
      want.map((name) => Buffer.from(name).toString('latin1')).sort(),
    )
  })

  it('reads ranges, and asks whether something has changed', async (t) => {
    const { url, source } = await newServer(t)
    const content = readFileSync(`${source}/large`)
    const part = await ask(`${url}large`, { headers: { range: 'bytes=1000000-3000000' } })
    assert.deepEqual([part.status, part.headers['content-range']], [206, `bytes 1000000-3000000/${content.length}`])
    assert.ok(part.body.equals(content.subarray(1_000_000, 3_000_001)))
    const tail = await ask(`${url}large`, { headers: { range: 'bytes=-5' } })
    assert.ok(tail.body.equals(content.subarray(-5)))
    const none = await ask(`${url}large`, { headers: { range: `bytes=${content.length}-` } })
    assert.deepEqual([none.status, none.headers['content-range']], [416, `bytes */${content.length}`])
    const head = await ask(`${url}large`, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, String(content.length), 0])
    const etag = head.headers.etag ?? assert.fail()
    assert.equal((await ask(`${url}large`, { headers: { 'if-none-match': `"x", ${etag}` } })).status, 304)
    assert.equal((await ask(`${url}large`, { headers: { 'if-range': '"x"', range: 'bytes=0-4' } })).status, 200)
    assert.equal((await ask(`${url}large`, { headers: { 'if-range': etag, range: 'bytes=0-4' } })).status, 206)
    assert.deepEqual((await ask(`${url}empty`)).body.length, 0)
  })

  it('of other makers works', async (t) => {
    if (!hasPrograms(t, 'curl', 'cadaver')) return
    const { url, source } = await newServer(t)
    const output = path.join(newFolder(), 'out')
    // In two parts: curl goes on where the first ended.
    writeFileSync(output, readFileSync(`${source}/large`).subarray(0, 1_234_567))
    execFileSync('curl', ['-fsS', '-C', '-', '-o', output, `${url}large`])
    assert.ok(readFileSync(output).equals(readFileSync(`${source}/large`)))
    const { stdout } = spawnSync('cadaver', [url], {
      input: `ls\ncd names\nget "caf\u00e9 \u{1f600}" ${output}\nput ${output} x\nquit\n`,
      encoding: 'utf8',
      env: { ...process.env, HOME: newFolder(), LC_ALL: 'C.UTF-8' },
    })
    assert.match(stdout, /Coll:\s+names/)
    assert.match(stdout, /large\s+5242880/)
    assert.equal(readFileSync(output, 'utf8'), 'content of caf\u00e9 \u{1f600}')
    assert.match(stdout, /405 Method Not Allowed/)
  })
})

describe('davfs2', { skip: SKIP_UNLESS_FUSE || needs(existsSync(MOUNT_DAVFS), 'needs davfs2') }, () => {
  it('mounts it, with all that WebDAV knows of', async (t) => {
    const { url, source } = await newServer(t)
    const directory = newFolder()
    const config = path.join(newFolder(), 'davfs2.conf')
    // Up to davfs2 1.7.1, its own buffer size is less than what Linux from 6.16 on asks for when it lists a folder.
    writeFileSync(config, 'ask_auth 0\nuse_locks 0\nbuf_size 64\n')
    execFileSync(MOUNT_DAVFS, [url, directory, '-o', `ro,conf=${config}`], { stdio: 'pipe' })
    // By blocking calls: davfs2 asks another process.
    t.after(() => execFileSync('umount', [directory], { stdio: 'pipe' }))
    assert.deepEqual(readdirSync(directory).sort(), ['empty', 'large', 'lost+found', 'names', 'page.html'])
    assert.equal(readdirSync(`${directory}/names`).length, HOSTILE.length + 1)
    for (const name of ['empty', 'large', 'page.html', 'names/<folder>/in', 'names/%00', 'names/caf\u00e9 \u{1f600}'])
      assert.ok(readFileSync(`${directory}/${name}`).equals(readFileSync(`${source}/${name}`)), name)
    const { size, mtimeMs } = statSync(`${source}/large`)
    const there = statSync(`${directory}/large`)
    assert.deepEqual([there.size, there.mtimeMs], [size, Math.floor(mtimeMs / 1000) * 1000])
  })
})

describe('the WebDAV server', () => {
  it('refuses whoever does not know the address, and other host names', async (t) => {
    const { url } = await newServer(t)
    const { origin, port } = new URL(url)
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/)
    for (const other of ['/', '/large', `/${'0'.repeat(32)}/large`, url.slice(origin.length, -2) + '/large'])
      assert.equal((await ask(origin + other)).status, 404, other)
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1',
      'localhost:1',
      `127.0.0.1:${port}.evil.example`,
    ])
      assert.equal((await ask(`${url}large`, { headers: { host } })).status, 403, host)
    assert.equal((await ask(`${url}large`, { headers: { host: `localhost:${port}` } })).status, 200)
    // Nobody on the network reaches it.
    const listening = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8')
    const hex = Number(port).toString(16).toUpperCase().padStart(4, '0')
    assert.deepEqual(
      [...listening.matchAll(new RegExp(` (\\w+):${hex} \\w+:0000 0A`, 'g'))].map(([, address]) => address),
      ['0100007F'],
    )
  })

  it('changes nothing, and leads nowhere', async (t) => {
    const { url } = await newServer(t)
    for (const method of [
      'PUT',
      'POST',
      'DELETE',
      'MKCOL',
      'COPY',
      'MOVE',
      'PROPPATCH',
      'LOCK',
      'UNLOCK',
      'PATCH',
      'TRACE',
    ]) {
      const { status, headers } = await ask(`${url}large`, { method, headers: { destination: `${url}x` } })
      assert.deepEqual([status, headers['allow']], [405, 'OPTIONS, GET, HEAD, PROPFIND'], method)
    }
    const options = await ask(url, { method: 'OPTIONS' })
    assert.deepEqual(
      [options.status, options.headers['dav'], options.headers['allow']],
      [200, '1', 'OPTIONS, GET, HEAD, PROPFIND'],
    )
    assert.equal((await ask(url, { method: 'PROPFIND', headers: { depth: 'infinity' } })).status, 403)
    assert.equal((await ask(url, { method: 'PROPFIND' })).status, 403)
    assert.equal((await ask(`${url}link`)).status, 403) // a symlink of a snapshot is followed by nobody
    assert.equal((await ask(`${url}folder-link/passwd`)).status, 404)
    assert.equal((await ask(`${url}large/x`)).status, 404)
    assert.equal((await ask(`${url}names`)).status, 301)
    const { hostname, port, pathname } = new URL(url)
    for (const target of [
      '/../../etc/passwd',
      '%2e%2e/%2e%2e/etc/passwd',
      '..%2fetc',
      '%ff%fe',
      '%',
      '*',
      'http://x/',
    ]) {
      const socket = connect(Number(port), hostname)
      const path = target.startsWith('/') || target === '*' || target.startsWith('http') ? target : pathname + target
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`)
      assert.match((await buffer(socket)).toString(), /^HTTP\/1\.1 40[04] /, target)
    }
  })

  it('tells of a damaged file before it sends any of it, or else breaks off', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/large`, testBytes('damage', 12 << 20))
    const repository = await TestRepository.create({ encryption: 'none' })
    await commitFolder(repository, source)
    const packs = repository.objects('packs/').map((key) => path.join(repository.location, key))
    const data = packs.find((pack) => readFileSync(pack)[6] === 1) ?? assert.fail()
    const bytes = readFileSync(data)
    bytes[6 << 20] = (bytes[6 << 20] ?? 0) ^ 1
    writeFileSync(data, bytes)
    const { url } = await serve(t, `${repository.location}::latest`)
    await assert.rejects(ask(`${url}large`), { code: 'ECONNRESET' })
    assert.equal((await ask(`${url}large`, { headers: { range: 'bytes=6000000-6000001' } })).status, 500)
    assert.equal((await ask(`${url}large`, { headers: { range: 'bytes=0-1' } })).status, 206)
  })

  it('shows all snapshots, by name and by time, and uses the port it is told', async (t) => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'f')
    const repository = await TestRepository.create({ encryption: 'none' })
    await repository.create([source], { name: 'one' })
    const { url } = await serve(t, repository.location)
    const page = (await ask(url)).body.toString()
    assert.deepEqual(
      linksOf(page, url).map((link) => link.slice(url.length)),
      ['one/', 'by-time/', 'latest/'],
    )
    const [, time = ''] = linksOf((await ask(`${url}by-time/`)).body.toString(), `${url}by-time/`)
    for (const place of [`${url}one`, `${url}latest`, time.slice(0, -1)])
      assert.equal((await ask(`${place}${source}/f`)).body.toString(), 'f')
    const taken = new URL(url).port
    const second = startCairn(['mount', '--webdav', '--port', taken, repository.location])
    let printed = ''
    second.stderr?.setEncoding('utf8').on('data', (text: string) => (printed += text))
    assert.deepEqual(await once(second, 'exit'), [1, null])
    assert.equal(
      printed,
      `cairn: error: Cannot listen on port ${taken}: address already in use; choose another one, or none\n`,
    )
  })
})
