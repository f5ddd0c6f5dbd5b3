/**
 * Crockford's base 32 (crockford.com/base32.html): for secrets that people write down and type. There is no I, L, O or U; who types
 * I or L means 1, and O means 0; case, spaces and dashes mean nothing.
 */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Bits of a character. */
const BITS = 5

/** Five bits a character; the last character is filled up with zero bits. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = ''
  let value = 0
  let bits = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= BITS) {
      bits -= BITS
      text += ALPHABET.charAt((value >> bits) & 31)
    }
    value &= (1 << bits) - 1
  }
  return bits > 0 ? text + ALPHABET.charAt((value << (BITS - bits)) & 31) : text
}

/** The bytes of clean text (`cleanBase32`), whose length must be that of whole bytes; `undefined` when it is anything else. */
export function decodeBase32(text: string): Buffer | undefined {
  const bytes: number[] = []
  let value = 0
  let bits = 0
  for (const character of text) {
    const digit = ALPHABET.indexOf(character)
    if (digit < 0) return undefined
    value = (value << BITS) | digit
    bits += BITS
    if (bits < 8) continue
    bits -= 8
    bytes.push(value >> bits)
    value &= (1 << bits) - 1
  }
  return bits < BITS && value === 0 ? Buffer.from(bytes) : undefined
}

/** What was typed, as it is printed: upper case, without spaces and dashes, and without letters that stand for digits. */
export function cleanBase32(typed: string): string {
  return typed
    .toUpperCase()
    .replaceAll(/[\s\u2010-\u2015\u2212-]/g, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
}

/**
 * The character that tells whether the others were typed right: the sum of their values times powers of 2 in the field of 32
 * elements. So one wrong character is always noticed, as are two that were exchanged; `start` (0 to 31) tells texts apart that stand in
 * different places.
 */
export function checkCharacter(text: string, start: number): string {
  let sum = start
  for (const character of text) sum = double(sum) ^ ALPHABET.indexOf(character)
  return ALPHABET.charAt(double(sum))
}

/** Times x modulo x⁵ + x² + 1. */
function double(value: number): number {
  return (value << 1) ^ (value & 16 ? 0b100101 : 0)
}
