/** The types of entries by the numbers the system has for them: S_IFMT >> 12, the same on every Unix. */
export const FILE_TYPE_CODES = { fifo: 1, chardev: 2, dir: 4, blockdev: 6, file: 8, symlink: 10, socket: 12 } as const

export type FileType = keyof typeof FILE_TYPE_CODES

const BY_CODE: readonly (FileType | undefined)[] = Array.from({ length: 16 }, (_, code) =>
  (Object.keys(FILE_TYPE_CODES) as FileType[]).find((type) => FILE_TYPE_CODES[type] === code),
)

/** The type a number stands for; `undefined` for what only other systems have. */
export function fileTypeOf(code: number): FileType | undefined {
  return BY_CODE[code]
}
