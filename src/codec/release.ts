/** Smaller buffers may share pooled memory with others, and are not worth the call. */
const MIN_BYTES = 64 << 10

/**
 * Frees the memory of a buffer now, and leaves it and every view of it empty. For large buffers that are made per segment: the
 * garbage collector counts them late, and lets 64 MiB of them gather in every thread.
 *
 * The caller must be the only user of the whole memory behind `view`.
 */
export function release(view: Uint8Array): void {
  const memory = view.buffer
  if (view.length < MIN_BYTES || !(memory instanceof ArrayBuffer) || memory.detached) return
  memory.transfer(0)
}
