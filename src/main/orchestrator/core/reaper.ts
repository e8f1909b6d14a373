/** Which tasks of the history are deleted (behaviour rule 8.7). */
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { TaskRow } from '../../store/view.ts';
import { lastHeardMs } from './task-template.ts';

/** The retention that holds for a service: its attempts and one more, or the cluster's limit. */
export function retention(clusterLimit: number, maxAttempts: number): number {
  return maxAttempts > 0 ? maxAttempts + 1 : clusterLimit;
}

/** Whether a task goes whatever the limit: it was to be removed and has ended, or nobody owns it. */
export function isRemovable(row: TaskRow, nodeGone: boolean): boolean {
  if (row.serviceId === '' && row.state === TaskState.ORPHANED) return true;
  if (row.desiredState !== TaskState.REMOVE) return false;
  return row.state < TaskState.ASSIGNED || row.state >= TaskState.COMPLETE || nodeGone;
}

/** Whether a task is history: it has ended, or it was given up before it was placed. */
export const isHistory = (row: TaskRow): boolean =>
  row.state > TaskState.RUNNING ||
  (row.state < TaskState.ASSIGNED && row.desiredState > TaskState.RUNNING);

/**
 * The oldest tasks of one slot (or of one node's share of a global service) beyond the limit.
 *
 * @param limit tasks kept; negative keeps all, 0 only those that are no history
 */
export function surplus(rows: readonly TaskRow[], limit: number): string[] {
  if (limit < 0 || rows.length <= limit) return [];
  return rows
    .filter(isHistory)
    .toSorted((a, b) => lastHeardMs(a) - lastHeardMs(b))
    .slice(0, rows.length - limit)
    .map((row) => row.id);
}
