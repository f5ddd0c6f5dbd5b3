import { fromRawName, toRawName } from '../../base/raw-name.ts'

/** Names in URLs: bytes, each of which that is no letter, digit, `-`, `_`, `~` or `.` is written as `%XX`. */

const PLAIN = /^[\w~.-]*$/

/** A name as one part of a path. It has no `:`, so it can be a relative URL by itself. */
export function encodeName(name: string): string {
  if (PLAIN.test(name)) return name
  let encoded = ''
  for (const byte of toRawName(name)) {
    const character = String.fromCharCode(byte)
    encoded += byte < 0x80 && PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

/** The names of a path as a request has it, without query; `undefined` when it is none. */
export function decodePath(path: string): string[] | undefined {
  const names = path.split('/').filter((part) => part !== '')
  const decoded = names.map(decodeName)
  return decoded.includes(undefined) ? undefined : (decoded as string[])
}

function decodeName(text: string): string | undefined {
  const bytes: number[] = []
  for (let i = 0; i < text.length; i++) {
    const hex = text[i] === '%' ? text.slice(i + 1, i + 3) : undefined
    if (hex !== undefined && !/^[0-9a-f]{2}$/i.test(hex)) return undefined
    bytes.push(hex === undefined ? text.charCodeAt(i) & 0xff : Number.parseInt(hex, 16))
    if (hex !== undefined) i += 2
  }
  const name = fromRawName(Uint8Array.from(bytes))
  // None of these can be in a folder, and nobody here goes up by asking.
  return name === '.' || name === '..' || name.includes('/') || name.includes('\0') ? undefined : name
}
