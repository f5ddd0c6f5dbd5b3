/** A stretch of a sparse file that has no data: reads as zeros, takes no space. */
export interface Hole {
  readonly offset: number
  readonly length: number
}
