/** What archives are, for those who name them. */
export { type ArchiveFormat, type TarFilter, formatOfName } from '../archives/archive-format.ts'
