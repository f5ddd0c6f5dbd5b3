import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isCairnError } from '../base/errors.ts'
import { fromRawName } from '../base/raw-name.ts'
import { runScript } from '../platform/testing.ts'
import {
  parseExclude,
  parseExcludeFile,
  parsePattern,
  parsePatternFile,
  parseWantedPath,
  PathPatterns,
  type PatternRule,
} from './patterns.ts'

const raw = (text: string): string => fromRawName(Buffer.from(text, 'latin1'))

/** Which of `paths` the rules include. */
function included(
  rules: readonly PatternRule[],
  paths: readonly string[],
  wanted: readonly PatternRule[] = [],
): string[] {
  const patterns = new PathPatterns(rules, wanted)
  return paths.filter((path) => patterns.decide(path).included)
}

function assertExclude(pattern: string, excluded: readonly string[], kept: readonly string[]): void {
  const rule = parseExclude(pattern)
  assert.deepEqual(included([rule], [...excluded, ...kept]), kept, pattern)
}

const refusal = (text: RegExp) => (error: unknown) =>
  isCairnError(error, 'INVALID_ARGUMENT') && text.test(error.message)

describe('parseExclude()', () => {
  it("excludes what Borg's manual says its examples exclude", () => {
    assertExclude('*.o', ['home/user/file.o'], ['home/user/file.odt'])
    assertExclude(
      'home/*/junk',
      ['home/user/junk', 'home/user/subdir/junk', 'home/user/junk/x'],
      ['home/user/importantjunk', 'etc/junk'],
    )
    assertExclude('home/user/cache/', ['home/user/cache/important', 'home/user/cache/a/b'], ['home/user/cache'])
    assertExclude('re:^home/[^/]+\\.tmp/', ['home/a.tmp/x', 'home/a.tmp/x/y'], ['home/a.tmp', 'x/home/a.tmp/y'])
    assertExclude('fm:aa:something/*', ['aa:something/x'], ['aa:something', 'something/x'])
    assertExclude('sh:home/*/.thumbnails', ['home/u/.thumbnails', 'home/u/.thumbnails/x'], ['home/u/v/.thumbnails'])
    assertExclude('some file with spaces.txt', ['some file with spaces.txt'], ['some file'])
    assertExclude('**/data1.txt', ['a/data1.txt', 'a/b/data1.txt'], ['data1.txt', 'a/data1.txt.gz'])
    assertExclude('sh:**/data1.txt', ['data1.txt', 'a/b/data1.txt'], ['a/xdata1.txt'])
  })

  it('knows whole paths and prefixes', () => {
    assertExclude('pp:root/somedir', ['root/somedir', 'root/somedir/x/y'], ['root/somedirs', 'root', 'x/root/somedir'])
    assertExclude('pf:root/file.ext', ['root/file.ext'], ['root/file.ext/x', 'root'])
    assertExclude('pp:a/*', ['a/*', 'a/*/b'], ['a/b'])
  })

  it('drops a leading slash and normalizes, as Borg does for simple patterns', () => {
    for (const pattern of ['/a/b', 'a//b', './a/b', 'a/x/../b', 'pp:/a/b/', 'pf:/a/b/', 'sh:/a/b', '/a/?'])
      assertExclude(pattern, ['a/b'], ['a', 'b'])
    assertExclude('re:^/a', [], ['a'])
    assertExclude('/', ['a', 'a/b', ''], [])
  })

  it('lets * and ? match newlines, and one ? one character or one byte that is not UTF-8', () => {
    assertExclude('a*b', ['a\nb', raw('a\xffb'), 'a😀b', 'a\r\u2028b'], ['b'])
    for (const style of ['fm:', 'sh:'])
      assertExclude(`${style}a?b`, ['a\nb', raw('a\xffb'), 'a😀b', 'aéb'], ['ab', raw('a\xff\xfeb')])
    assertExclude('re:^a.b$', [raw('a\xffb'), 'a😀b'], ['a\nb', raw('a\xff\xfeb')])
    assertExclude('[!a]', ['\n', raw('\xff'), '😀'], ['a'])
  })

  it('sees the characters of a name of which only some bytes are not UTF-8', () => {
    const mixed = fromRawName(Buffer.concat([Buffer.from('é'), Buffer.of(0xff), Buffer.from('😀')]))
    assertExclude('é?😀', [mixed], ['é😀'])
    assertExclude('é*', [mixed, `${mixed}/x`], [raw('\xff')])
    assertExclude(`pf:x/${mixed}`, [`x/${mixed}`], [mixed])
    assertExclude('é/*.o', ['é/x.o', `é/${mixed}.o`, `é/${raw('\xff')}.o`], [`${raw('\xe9')}/x.o`])
  })

  it('comes to an end for patterns with many stars', () => {
    const long = 'a'.repeat(4000)
    const deep = 'a/'.repeat(2000)
    for (const [pattern, path] of [
      ['*a*a*a*a*b', long],
      ['*a'.repeat(50) + 'b', long],
      ['*?'.repeat(50) + 'b', long],
      ['*'.repeat(4000) + 'b', long],
      ['sh:' + '*a'.repeat(50) + 'b', long],
      ['sh:' + '*[!b]'.repeat(50) + 'b', long],
      ['sh:' + '*[!b]'.repeat(8) + 'b', 'aaaa/'.repeat(50)],
      ['sh:' + '**/a/'.repeat(50) + 'b', deep],
      ['sh:' + '**/*a*a*a/'.repeat(30) + 'b', 'aaaa/'.repeat(800)],
      ['sh:' + '**/[!b]/'.repeat(30) + 'b', deep],
      ['sh:' + '**/'.repeat(1000) + 'b', deep],
      ['sh:' + '?'.repeat(2000) + 'b', long],
    ] as const)
      assertExclude(pattern, [], [path])
  })

  it('refuses what makes no sense, and says why', () => {
    assert.throws(() => parseExclude('aa:x'), refusal(/--exclude 'aa:x': unknown pattern style 'aa'/))
    assert.throws(() => parseExclude('re:('), refusal(/unterminated subpattern/))
    assert.throws(() => parseExclude('re:a(?i:b)'), refusal(/\(\?i\) at the start/))
    assert.throws(() => parseExclude('sh:[z-a]'), refusal(/bad character range/))
    assert.throws(() => parseExclude('[x]'.repeat(10_000)), refusal(/too long/))
    assert.throws(() => parseExclude(`re:${'x'.repeat(100_000)}`), refusal(/too long/))
    assertExclude('a:x', ['a:x'], [])
    assertExclude('[z-a]', [], ['z', '-', 'a'])
  })
})

describe('parsePattern()', () => {
  it('has shell style, commands with and without a space, and further roots', () => {
    const lists = ['+pics/2018/good', '-  pics/2018', '! proc', 'R /home/u v', 'r x', 'P fm', '- *.o'].map(parsePattern)
    assert.deepEqual(
      lists.flatMap(({ roots }) => roots),
      ['/home/u v', 'x'],
    )
    const rules = lists.flatMap(({ rules }) => rules)
    const patterns = new PathPatterns(rules)
    assert.deepEqual(patterns.decide('pics/2018'), { included: false, recurse: true })
    assert.deepEqual(patterns.decide('pics/2018/good/x'), { included: true, recurse: true })
    assert.deepEqual(patterns.decide('proc'), { included: false, recurse: false })
    assert.deepEqual(patterns.decide('x.o'), { included: false, recurse: true })
    assert.deepEqual(patterns.decide('a/x.o'), { included: true, recurse: true }, 'an option P changes nothing')
  })

  it('refuses a line without a command or without a value', () => {
    assert.throws(() => parsePattern('home'), refusal(/--pattern 'home': it has to start with/))
    assert.throws(() => parsePattern(''), refusal(/it has to start with/))
    assert.throws(() => parsePattern('+ '), refusal(/nothing follows '\+'/))
    assert.throws(() => parsePattern('P xx'), refusal(/unknown pattern style 'xx'/))
    assert.throws(() => parsePattern('- re:['), refusal(/--pattern '- re:\['/))
  })
})

describe('parseExcludeFile()', () => {
  it('skips comments and blank lines, and strips white space', () => {
    const text = '\ufeff# Comment\n\nhome/*/junk\r\n   *.tmp \t\n  # more\n\u3000\nre: x\r*.bak'
    const rules = parseExcludeFile(text, 'exclude.txt')
    assert.deepEqual(
      rules.map((rule) => rule.text),
      ['home/*/junk', '*.tmp', 're: x', '*.bak'],
    )
    assert.deepEqual(included(rules, ['home/u/junk', 'a.tmp', 'a x', 'b.bak', 'a.c']), ['a.c'])
    assert.deepEqual(parseExcludeFile('', 'f'), [])
  })

  it('takes names that are not UTF-8, also in a file that has some that are', () => {
    const text = fromRawName(Buffer.concat([Buffer.from('é/x\n'), Buffer.of(0xff), Buffer.from('*\n')]))
    assert.deepEqual(included(parseExcludeFile(text, 'f'), ['é/x', raw('\xffa'), 'x']), ['x'])
  })

  it('names file, line number and line when one makes no sense', () => {
    assert.throws(() => parseExcludeFile('# a\n\nx\r\nre:(\n', '/etc/ex'), refusal(/line 4 of \/etc\/ex, 're:\('/))
  })
})

describe('parsePatternFile()', () => {
  // From `borg help patterns`.
  const MANUAL = `
# "sh:" pattern style is the default, so the following line is not needed:
P sh
R /
# can be rebuild
- home/*/.cache
# they're downloads for a reason
- home/*/Downloads
# susan is a nice person
# include susans home
+ home/susan
# also back up this exact file
+ pf:home/bobby/specialfile.txt
# don't backup the other home directories
- home/*
# don't even look in /proc
! proc
`

  it("does what Borg's manual says of its example", () => {
    const { rules, roots } = parsePatternFile(MANUAL, 'patterns.lst')
    assert.deepEqual(roots, ['/'])
    const patterns = new PathPatterns(rules)
    const kept = ['home', 'home/susan', 'home/susan/x', 'home/bobby/specialfile.txt', 'etc', '']
    for (const path of kept) assert.deepEqual(patterns.decide(path), { included: true, recurse: true }, path)
    for (const path of ['home/susan/.cache', 'home/susan/Downloads/x', 'home/bobby', 'home/bobby/x'])
      assert.deepEqual(patterns.decide(path), { included: false, recurse: true }, path)
    assert.deepEqual(patterns.decide('proc'), { included: false, recurse: false })
  })

  it('changes the style for the lines after a P', () => {
    const { rules } = parsePatternFile('- *.a\nP fm\n- *.b\np re\n- \\.c\n- sh:*.d\n', 'f')
    assert.deepEqual(included(rules, ['x.a', 'y/x.a', 'x.b', 'y/x.b', 'y/x.cc', 'x.d', 'y/x.d']), ['y/x.a', 'y/x.d'])
  })

  it('names file, line number and line when one makes no sense', () => {
    assert.throws(() => parsePatternFile('+ a\nP zz', 'f'), refusal(/line 2 of f, 'P zz': unknown pattern style 'zz'/))
    assert.throws(() => parsePatternFile('\n/home\n', 'f'), refusal(/line 2 of f, '\/home': it has to start with/))
  })
})

describe('PathPatterns', () => {
  it('includes everything when there are no rules', () => {
    assert.deepEqual(new PathPatterns([]).decide('a'), { included: true, recurse: true })
  })

  it('lets the first rule that matches decide, but pf: before all, the last of them first', () => {
    const { rules } = parsePatternFile('+ a/b\n- a\n+ pf:a/c\n! pf:a/d\n- pf:x\n+ pf:x\n', 'f')
    const patterns = new PathPatterns(rules)
    const answers = ['a/b/x', 'a/x', 'a/c', 'a/c/x', 'x', 'b'].map((path) => patterns.decide(path).included)
    assert.deepEqual(answers, [true, false, true, false, true, true])
    assert.deepEqual(patterns.decide('a/d'), { included: false, recurse: false })
  })

  it('works the same with rules that went through JSON', () => {
    const { rules } = parsePatternFile(`- **/x?\n- re:(?i)\\.TMP$\n- pp:a/b\n+ pf:a/b/${raw('\xff')}\n`, 'f')
    const copy = JSON.parse(JSON.stringify(rules)) as PatternRule[]
    const paths = ['q/xy', 'q/x', 'a.tmp', 'a/b/c', `a/b/${raw('\xff')}`]
    assert.deepEqual(included(copy, paths), ['q/x', `a/b/${raw('\xff')}`])
  })

  it('handles thousands of rules', () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `${i % 3 === 0 ? 'fm:' : 'sh:'}*a*b${i}*c`)
    const rules = parseExcludeFile(lines.join('\n'), 'f')
    assert.deepEqual(included(rules, ['xaxb4999xc', 'xaxb0xc', 'xaxb5000x', 'b']), ['xaxb5000x', 'b'])
  })

  it('ignores case where a re: pattern asks for it, also when V8 has stopped optimizing regular expressions', () => {
    const script = `
      import { parseExclude, PathPatterns } from ${JSON.stringify(new URL('./patterns.ts', import.meta.url).href)}
      const patterns = new PathPatterns([parseExclude('re:(?i)(a+)b*é')])
      console.log(['xAAÉ', 'aé', 'É'].map((path) => patterns.decide(path).included).join())`
    assert.equal(runScript(script, ['--no-regexp-optimization', '--input-type=module']).trim(), 'false,false,true')
  })

  it('takes wanted paths and nothing else, unless a rule before them excludes it', () => {
    const wanted = ['home/u', 'sh:**/*.txt', 'pf:etc/passwd', 're:^q$'].map(parseWantedPath)
    const paths = ['home', 'home/u', 'home/u/a.o', 'home/u2', 'x/y.txt', 'etc/passwd', 'etc/passwd/x', 'q', 'qq']
    assert.deepEqual(included([parseExclude('*.o')], paths, wanted), ['home/u', 'x/y.txt', 'etc/passwd', 'q'])
    assert.deepEqual(new PathPatterns([], wanted).decide('home'), { included: false, recurse: true })
    assert.deepEqual(included([], ['a', 'b/c'], [parseWantedPath('/')]), ['a', 'b/c'])
  })

  it('tells which wanted paths no included path has matched', () => {
    const texts = [
      'dir',
      'dir/file',
      'gone',
      'pf:etc/passwd',
      'pf:etc/gone',
      'sh:**/*.txt',
      '*.gone',
      'x.o',
      'dir/file',
    ]
    const patterns = new PathPatterns([parseExclude('*.o')], texts.map(parseWantedPath))
    assert.deepEqual(new Set(patterns.unmatched()), new Set(texts))
    for (const path of ['dir/file', 'etc/passwd', 'a/b.txt', 'x.o', 'gone2']) patterns.decide(path)
    assert.deepEqual(new Set(patterns.unmatched()), new Set(['gone', 'pf:etc/gone', '*.gone', 'x.o']))
    assert.deepEqual(new PathPatterns([parseExclude('x')]).unmatched(), [])
  })
})
