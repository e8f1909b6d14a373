/** Fingerprints of assignments and a spread of task ids over threads: fast, and the same every run. */
import { Meta, Task } from '../../../shared/wire/gen/objects.ts';
import { TaskStatus } from '../../../shared/wire/gen/types.ts';

const NO_META = Meta.create();
const NO_STATUS = TaskStatus.create();

/**
 * 53 bits over everything of a task that an assignment can change; its status and its store version
 * are no part of it. Two different tasks with one digest would need some 2^26 tries to meet.
 */
export function taskDigest(task: Task): number {
  return hash53(Task.encode({ ...task, meta: NO_META, status: NO_STATUS }));
}

/** Two independent 32-bit FNV-style sums, joined. */
function hash53(bytes: Uint8Array): number {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (const byte of bytes) {
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x5bd1e995) ^ (high >>> 15);
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0);
}
