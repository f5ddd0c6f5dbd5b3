import { displayWidth } from './text.ts'
import type { OutputStream } from './line-writer.ts'

/** Columns assumed when the terminal does not say. */
const DEFAULT_COLUMNS = 80

/** Redraws a second at most: faster cannot be read, and terminals over SSH pay for every one. */
const REDRAW_MS = 100

/**
 * One line at the bottom of a terminal that is redrawn in place. Whoever prints something else calls `clear` first; the line
 * comes back with the next redraw.
 */
export class StatusLine {
  readonly #stream: OutputStream
  readonly #render: (columns: number) => string
  readonly #timer: NodeJS.Timeout
  #shown = ''
  #shownColumns = 0

  /** @param render gives a line without control characters in at most the given number of columns; `''` shows nothing */
  constructor(stream: OutputStream, render: (columns: number) => string) {
    this.#stream = stream
    this.#render = render
    this.#timer = setInterval(() => this.draw(), REDRAW_MS)
    this.#timer.unref()
  }

  draw(): void {
    // One column stays free, as terminals disagree on where the cursor is after writing in the last one, and two for the `^C`
    // that the terminal itself adds.
    const columns = this.#columns()
    const text = this.#render(columns - 3)
    if (text === this.#shown && (text === '' || columns === this.#shownColumns)) return
    this.#stream.write(this.#clearCode() + text)
    this.#shown = text
    this.#shownColumns = columns
  }

  clear(): void {
    if (this.#shown !== '') this.#stream.write(this.#clearCode())
    this.#shown = ''
  }

  close(): void {
    clearInterval(this.#timer)
    this.clear()
  }

  #clearCode(): string {
    // A terminal that has become narrower has wrapped the line: erase its rows from the last to the first. Not all at once
    // (ESC [ J): tmux takes that for clearing the screen when the line is at its top, and keeps a copy in its history.
    const climb = Math.max(0, Math.ceil(displayWidth(this.#shown) / this.#columns()) - 1)
    return `${'\r\u001B[K\u001B[A'.repeat(climb)}\r\u001B[K`
  }

  #columns(): number {
    return this.#stream.columns || DEFAULT_COLUMNS
  }
}
