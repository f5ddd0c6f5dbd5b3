import { createRequire } from 'node:module'
import { Writable } from 'node:stream'

// syslog.h
const LOG_PID = 1
const LOG_USER = 1 << 3
const LOG_WARNING = 4

/** Where lines of text go that nobody sees otherwise: to the system's log, with a name before each. Where there is none, nowhere. */
export function systemLog(name: string): Writable {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default
  const library = koffi.load(null)
  const log = library.func('void syslog(int, const char *, ...)')
  // The library keeps the address of the name.
  const ident = Buffer.from(`${name}\0`)
  library.func('void openlog(void *, int, int)')(ident, LOG_PID, LOG_USER)
  return new Writable({
    decodeStrings: false,
    write(text: string | Buffer, _, done) {
      for (const line of text.toString().split('\n')) {
        if (line !== '' && ident.length > 0) log(LOG_WARNING, '%s', 'str', line.replace(`${name}: `, ''))
      }
      done()
    },
  })
}
