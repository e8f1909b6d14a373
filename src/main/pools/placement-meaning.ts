/** What a stored task is to placement. */
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { TaskRow } from '../store/view.ts';

export const AS = {
  /** Nothing: not yet, or no longer. */
  none: 0,
  waiting: 1,
  confirming: 2,
  held: 3,
  /** Held, and no longer meant to run. */
  inactive: 4,
} as const;

/** One of the above. */
export type As = number;

export function meaning(row: TaskRow): As {
  if (row.state < TaskState.PENDING || row.state > TaskState.RUNNING) return AS.none;
  const isWanted = row.desiredState <= TaskState.COMPLETE;
  if (row.state === TaskState.PENDING) {
    if (!isWanted) return AS.none;
    return row.nodeId === '' ? AS.waiting : AS.confirming;
  }
  if (row.nodeId === '') return AS.none;
  return isWanted ? AS.held : AS.inactive;
}

/** Whether a stored task waits for a node and is to wait no more. */
export function isObsolete(row: TaskRow): boolean {
  return row.state === TaskState.PENDING && row.desiredState > TaskState.COMPLETE;
}
