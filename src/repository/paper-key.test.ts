import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import { type SlotFields, formatSlot, parseKeySlot } from './key-slot.ts'
import { PaperKeyReader, encodePaperKey } from './paper-key.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })

const SLOTS: fc.Arbitrary<SlotFields> = fc.record({
  repository: bytes(16).map((id) => Buffer.from(id).toString('hex')),
  argon2: fc.option(
    fc.record({
      memoryKiB: fc.integer({ min: 8, max: 2 ** 22 }),
      passes: fc.integer({ min: 1, max: 64 }),
      parallelism: fc.integer({ min: 1, max: 255 }),
    }),
    { nil: undefined },
  ),
  salt: bytes(32),
  sealed: fc.integer({ min: 1, max: 40 }).chain((generations) => bytes(generations * 32 + 16)),
})

const SLOT: SlotFields = {
  repository: '00112233445566778899aabbccddeeff',
  argon2: { memoryKiB: 65536, passes: 3, parallelism: 4 },
  salt: Uint8Array.from({ length: 32 }, (_, i) => i),
  sealed: Uint8Array.from({ length: 48 }, (_, i) => 255 - i),
}

function read(lines: readonly string[]): string {
  const reader = new PaperKeyReader()
  for (const line of lines) reader.add(line)
  return reader.slot()
}

/** Whether the reader refuses `typed` as the line after `before`, and then takes the right one. */
function assertNoticed(before: readonly string[], right: string, typed: string): void {
  const reader = new PaperKeyReader()
  for (const line of before) reader.add(line)
  const line = new RegExp(`line ${before.length + 1} of the paper key`)
  assert.throws(() => reader.add(typed), { code: 'INVALID_ARGUMENT', message: line }, typed)
  reader.add(right)
}

describe('a paper key', () => {
  it('gives back the slot that was printed', () => {
    fc.assert(fc.property(SLOTS, (slot) => assert.equal(read(encodePaperKey(slot)), formatSlot(slot))))
    assert.equal(parseKeySlot(read(encodePaperKey(SLOT)), 'it').repository, SLOT.repository)
  })

  it('may be typed in any case and spacing, with numbers or without', () => {
    const lines = encodePaperKey(SLOT)
    for (const line of lines) assert.match(line, /^[0-9A-HJKMNP-TV-Z]{4}(?: [0-9A-HJKMNP-TV-Z]{4}){7}$/)
    const typed = lines.map(
      (line, i) =>
        `  ${i + 1} : ${line
          .toLowerCase()
          .replaceAll('0', 'o')
          .replaceAll(' ', i % 2 ? '' : '  ')}\r`,
    )
    assert.equal(read(typed), formatSlot(SLOT))
  })

  it('notices every single wrong character, on its line', () => {
    const lines = encodePaperKey(SLOT)
    for (const [number, line] of lines.entries()) {
      for (let at = 0; at < line.length; at++) {
        if (line[at] === ' ') continue
        for (const character of `${ALPHABET}U!`.replace(line[at] as string, ''))
          assertNoticed(lines.slice(0, number), line, line.slice(0, at) + character + line.slice(at + 1))
      }
    }
  })

  it('notices what is left out, doubled or exchanged, and another line', () => {
    fc.assert(
      fc.property(SLOTS, fc.nat(), fc.nat(), (slot, lineSeed, placeSeed) => {
        const lines = encodePaperKey(slot).map((line) => line.replaceAll(' ', ''))
        const number = lineSeed % lines.length
        const line = lines[number] as string
        const at = placeSeed % line.length
        const before = lines.slice(0, number)
        assertNoticed(before, line, line.slice(0, at) + line.slice(at + 1))
        assertNoticed(before, line, line.slice(0, at) + line.slice(at, at + 1) + line.slice(at))
        const [a = '', b = ''] = [line[at], line[at + 1]]
        if (b !== '' && a !== b) assertNoticed(before, line, line.slice(0, at) + b + a + line.slice(at + 2))
        for (const other of lines) if (other !== line) assertNoticed(before, line, other)
      }),
      { numRuns: 30 },
    )
  })

  it('says which line was typed by its number', () => {
    const [first = '', second = ''] = encodePaperKey(SLOT)
    const reader = new PaperKeyReader()
    assert.throws(() => reader.add(`2: ${second}`), { message: /line 1 .* this is line 2/ })
    reader.add(first)
    assert.deepEqual([reader.next, reader.lineCount], [2, 7])
  })

  it('is not made of the lines of two papers', () => {
    const one = encodePaperKey(SLOT)
    const other = encodePaperKey({ ...SLOT, salt: new Uint8Array(32) })
    assert.throws(() => read([...one.slice(0, 3), ...other.slice(3)]), {
      code: 'INVALID_ARGUMENT',
      message: /of one key/,
    })
    assert.throws(() => read(one.slice(0, 3)), { code: 'INVALID_ARGUMENT' })
  })

  it('is never more than an error, whatever is typed', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (lines) => {
        assert.throws(
          () => read(lines),
          (error) => isCairnError(error, 'INVALID_ARGUMENT') || isCairnError(error, 'FORMAT_UNSUPPORTED'),
        )
      }),
    )
  })

  it('refuses more generations than it has numbers for', () => {
    assert.throws(() => encodePaperKey({ ...SLOT, sealed: new Uint8Array(130 * 32 + 16) }), {
      message: /key export FILE/,
    })
  })
})
