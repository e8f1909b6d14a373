/**
 * How much room a node has, in one of 64 steps: 8 of processor time by 8 of memory, each step twice
 * the one below. A node with less than the step of a request cannot take it; so whole groups of full
 * nodes are passed over without a look at any of them. The step is also the last but one rule of the
 * node order: among equals, the roomier node first.
 */

const CPU_UNIT_NANOS = 250_000_000;
const MEMORY_UNIT_BYTES = 268_435_456;
const STEP_MAX = 7;
/** From so many units on it is the last step. */
const UNITS_MAX = 2 ** (STEP_MAX - 1);

export const ROOMS = 64;

/** 0 below one unit, then a step each time the amount doubles, at most 7. */
function step(amount: number, unit: number): number {
  if (amount >= unit * UNITS_MAX) return STEP_MAX;
  return amount < unit ? 0 : 32 - Math.clz32(amount / unit);
}

/** The room of a node with this much free: 0 to 63, processor time before memory. */
export function roomOf(freeNanoCpus: number, freeMemoryBytes: number): number {
  return step(freeNanoCpus, CPU_UNIT_NANOS) * 8 + step(freeMemoryBytes, MEMORY_UNIT_BYTES);
}

/** Rooms in which a request may fit, as bits: rooms 0 to 31 in `low`, 32 to 63 in `high`. */
export type RoomMask = { readonly low: number; readonly high: number };

/** A resource that is not asked for (0) rules out no room. */
export function roomsFor(nanoCpus: number, memoryBytes: number): RoomMask {
  const cpuStep = nanoCpus > 0 ? step(nanoCpus, CPU_UNIT_NANOS) : 0;
  const memoryStep = memoryBytes > 0 ? step(memoryBytes, MEMORY_UNIT_BYTES) : 0;
  let low = 0;
  let high = 0;
  for (let room = 0; room < ROOMS; room++) {
    if (room >> 3 < cpuStep || (room & 7) < memoryStep) continue;
    if (room < 32) low |= 1 << room;
    else high |= 1 << (room - 32);
  }
  return { low, high };
}

/** The highest room of a mask that is not above `from`, or -1. */
export function highestRoom(low: number, high: number, from: number): number {
  if (from >= 32) {
    const bits = high & (-1 >>> (63 - from));
    if (bits !== 0) return 63 - Math.clz32(bits);
    return low === 0 ? -1 : 31 - Math.clz32(low);
  }
  if (from < 0) return -1;
  const bits = low & (-1 >>> (31 - from));
  return bits === 0 ? -1 : 31 - Math.clz32(bits);
}
