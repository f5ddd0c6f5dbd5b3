import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { StatusLine } from './status-line.ts'

const CLEAR = '\r\u001B[K'

function terminal(columns: number | undefined): Writable & { columns: number | undefined; taken: () => string } {
  let text = ''
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      text += String(chunk)
      done()
    },
  })
  const taken = (): string => {
    const result = text
    text = ''
    return result
  }
  return Object.assign(stream, { columns, taken })
}

describe('StatusLine', () => {
  it('redraws in place, and only what has changed', () => {
    const stream = terminal(40)
    let text = 'one'
    const line = new StatusLine(stream, () => text)
    line.draw()
    assert.equal(stream.taken(), `${CLEAR}one`)
    line.draw()
    assert.equal(stream.taken(), '')
    text = 'two'
    line.draw()
    assert.equal(stream.taken(), `${CLEAR}two`)
    line.close()
    assert.equal(stream.taken(), CLEAR)
  })

  it('makes room for other output and comes back', () => {
    const stream = terminal(40)
    const line = new StatusLine(stream, () => 'text')
    line.clear()
    assert.equal(stream.taken(), '') // nothing to clear yet
    line.draw()
    stream.taken()
    line.clear()
    assert.equal(stream.taken(), CLEAR)
    line.draw()
    assert.equal(stream.taken(), `${CLEAR}text`)
    line.close()
  })

  it('offers three columns less than the terminal has', () => {
    const offered: number[] = []
    for (const columns of [120, undefined]) {
      const line = new StatusLine(terminal(columns), (room) => (offered.push(room), ''))
      line.draw()
      line.close()
    }
    assert.deepEqual(offered, [117, 77])
  })

  it('does not touch the terminal while it has nothing to show, as somebody else may be asking for a passphrase', () => {
    const stream = terminal(40)
    const line = new StatusLine(stream, () => '')
    line.draw()
    line.close()
    assert.equal(stream.taken(), '')
  })

  it('erases every row of a line that a narrower terminal has wrapped', () => {
    const stream = terminal(40)
    const line = new StatusLine(stream, (room) => 'x'.repeat(room))
    line.draw()
    stream.taken()
    stream.columns = 15 // 37 columns are three rows now
    line.draw()
    assert.equal(stream.taken(), `${CLEAR}\u001B[A${CLEAR}\u001B[A${CLEAR}${'x'.repeat(12)}`)
    line.close()
  })
})
