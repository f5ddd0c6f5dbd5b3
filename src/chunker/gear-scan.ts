/**
 * The inner loop of the chunker as WebAssembly with SIMD, assembled here when the first chunker is created.
 *
 * Why not JavaScript: the best of 40 variants (two interleaved stretches, read as 32-bit words) hashed 2.3 GB/s where
 * this loop hashes 4.4 GB/s, because V8 checks the bounds of every table look-up and offers no vectors (Node 26.10 on a
 * fourth-generation Xeon, November 2026). Why not a compiler: the module is one loop, and assembled from this file there is
 * no generated file that could differ from its source. Run `node bench/chunker.ts` before and after any change.
 */

/** Bytes that the rolling hash looks at: 32 bits, shifted by one with every byte, forget what was before. */
export const WINDOW_BYTES = 32

/** Stretches hashed at the same time, each in its 32-bit lane of one vector. */
export const LANES = 4

/** Stretches are multiples of this, by which the loop is unrolled. */
export const STRETCH_UNIT_BYTES = 16

export interface GearScan {
  /** The bytes to scan; the caller writes them. Never moves. */
  readonly data: Buffer
  /**
   * Hashes `LANES` adjacent stretches of `stretchBytes` bytes each, the first of which begins at `from` in `data`. Returns
   * the number of the first stretch with a hash below `threshold` (less than 2^31), or `LANES` or more when none has one.
   *
   * Reads the `WINDOW_BYTES` bytes before `from`, too. `stretchBytes` is a positive multiple of `STRETCH_UNIT_BYTES`.
   */
  readonly scan: (from: number, stretchBytes: number, threshold: number) => number
}

// TypeScript declares WebAssembly only together with the browser.
interface Memory {
  readonly buffer: ArrayBuffer
}
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number }) => Memory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> }
}

const PAGE_BYTES = 65536
const DATA_ADDRESS = PAGE_BYTES // the gear table has the page before

let compiled: object | undefined // assembling takes 2 ms: once per thread

/** Creates a scan over `dataBytes` bytes with the gear table, 256 little-endian 32-bit integers, which is copied. */
export function createGearScan(gearTable: Uint8Array, dataBytes: number): GearScan {
  const pages = Math.ceil((DATA_ADDRESS + dataBytes) / PAGE_BYTES)
  // Memory that grows would leave `data` without bytes, so it cannot.
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  new Uint8Array(memory.buffer).set(gearTable)
  const { exports } = new WebAssembly.Instance((compiled ??= new WebAssembly.Module(assemble())), { env: { memory } })
  return {
    data: Buffer.from(memory.buffer, DATA_ADDRESS, dataBytes),
    scan: exports['scan'] as GearScan['scan'],
  }
}

// The rest writes the bytes that the WebAssembly specification gives to each instruction. Local numbers and constants are
// below 64, one byte in LEB128; lengths and addresses may be longer.
type Code = readonly (number | Code)[]

const I32 = 0x7f
const V128 = 0x7b

// Locals: the parameters, a pointer per lane, where lane 0 stops, and three vectors with the lanes' values.
const FROM = 0
const STRETCH_BYTES = 1
const THRESHOLD = 2
const POINTERS = [3, 4, 5, 6] as const
const STOP = 7
const HASH = 8
const GEAR = 9 // gear value of the next byte
const LOWEST = 10 // lowest hash so far

const get = (local: number): Code => [0x20, local]
const set = (local: number): Code => [0x21, local]
const i32Const = (value: number): Code => [0x41, value & 0x7f]
const I32_ADD = 0x6a
const I32_SUB = 0x6b
const I32_MUL = 0x6c
const I32_SHL = 0x74
const I32_NE = 0x47
const I32_CTZ = 0x68
const LOOP: Code = [0x03, 0x40]
const BRANCH_IF: Code = [0x0d, 0]
const END = 0x0b
const I32_LOAD8_U: Code = [0x2d, 0]
const V128_LOAD32_ZERO: Code = [0xfd, 0x5c, 2]
const V128_LOAD32_LANE: Code = [0xfd, 0x56, 2]
const I32X4_SPLAT: Code = [0xfd, 0x11]
const I32X4_LT_U: Code = [0xfd, 0x3a]
const I32X4_BITMASK: Code = [0xfd, 0xa4, 0x01]
const I32X4_ADD: Code = [0xfd, 0xae, 0x01]
const I32X4_MIN_U: Code = [0xfd, 0xb7, 0x01]

function assemble(): Uint8Array {
  const loop = hashUntilStop()
  const body: Code = [
    POINTERS.map((pointer, lane) => [
      [get(FROM), i32Const(WINDOW_BYTES), I32_SUB],
      [get(STRETCH_BYTES), i32Const(lane), I32_MUL, I32_ADD, set(pointer)],
    ]),
    // Fill the windows; the hashes on the way do not count.
    [get(FROM), set(STOP), loop],
    [i32Const(-1), I32X4_SPLAT, set(LOWEST)],
    [get(FROM), get(STRETCH_BYTES), I32_ADD, set(STOP), loop],
    // One bit per lane tells whether it went below the threshold. The zeros under the first are its number; 32 if none.
    [get(LOWEST), get(THRESHOLD), I32X4_SPLAT, I32X4_LT_U, I32X4_BITMASK, I32_CTZ],
  ]
  const locals = [2, [POINTERS.length + 1, I32], [3, V128]]
  return Uint8Array.from(
    flatten([
      [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic and version
      section(1, [1, 0x60, [3, I32, I32, I32], [1, I32]]), // types: (i32, i32, i32) -> i32
      section(2, [1, name('env'), name('memory'), 2, 0, 0]), // imports: a memory of any size
      section(3, [1, 0]), // functions: one, of type 0
      section(7, [1, name('scan'), 0, 0]), // exports: function 0
      section(10, [1, sized([locals, body, END])]), // code
    ]),
  )
}

/** A loop over all lanes until the pointer of lane 0 is `STOP`: hash = (hash << 1) + gear[byte], lowest = min(lowest, hash). */
function hashUntilStop(): Code {
  const steps = Array.from({ length: STRETCH_UNIT_BYTES }, (_, offset) => [
    POINTERS.map((pointer, lane) => {
      const gearAddress = [get(pointer), I32_LOAD8_U, leb128(DATA_ADDRESS + offset), i32Const(2), I32_SHL]
      const load = lane === 0 ? [V128_LOAD32_ZERO, 0] : [get(GEAR), V128_LOAD32_LANE, 0, lane]
      return [gearAddress, load, set(GEAR)]
    }),
    [get(HASH), get(HASH), I32X4_ADD, get(GEAR), I32X4_ADD, set(HASH)],
    [get(LOWEST), get(HASH), I32X4_MIN_U, set(LOWEST)],
  ])
  const advance = POINTERS.map((pointer) => [get(pointer), i32Const(STRETCH_UNIT_BYTES), I32_ADD, set(pointer)])
  return [LOOP, steps, advance, get(POINTERS[0]), get(STOP), I32_NE, BRANCH_IF, END]
}

function section(id: number, content: Code): Code {
  return [id, sized(content)]
}

function name(text: string): Code {
  return sized([...Buffer.from(text)])
}

function sized(content: Code): Code {
  const bytes = flatten(content)
  return [leb128(bytes.length), bytes]
}

function leb128(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, leb128(value >>> 7)]
}

function flatten(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') into.push(part)
    else flatten(part, into)
  }
  return into
}
