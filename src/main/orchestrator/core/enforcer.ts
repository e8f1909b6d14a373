/**
 * Which tasks a node may no longer run, after it or its labels changed (behaviour rule 8.8).
 */
import type { Node } from '../../../shared/wire/gen/objects.ts';
import type { GenericResource, Resources } from '../../../shared/wire/gen/types.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { TaskRow } from '../../store/view.ts';

export const ENFORCER_MESSAGE = 'task rejected by constraint enforcer';
export const ENFORCER_ERR = 'assigned node no longer meets constraints';

/** Amount of each kind that a list offers or takes: discrete counts, and names counted as one each. */
function amounts(resources: readonly GenericResource[]): Map<string, number> {
  const out = new Map<string, number>();
  for (const { resource } of resources) {
    if (resource === undefined) continue;
    const { kind } = resource.value;
    const amount = resource.case === 'discreteResourceSpec' ? resource.value.value : 1;
    out.set(kind, (out.get(kind) ?? 0) + amount);
  }
  return out;
}

/** What a node has left while its tasks are gone through. */
class Remaining {
  #nanoCpus: number;
  #memoryBytes: number;
  readonly #generic: Map<string, number>;

  constructor(total: Resources | undefined) {
    this.#nanoCpus = total?.nanoCpus ?? 0;
    this.#memoryBytes = total?.memoryBytes ?? 0;
    this.#generic = amounts(total?.generic ?? []);
  }

  /** Takes a task's share; false when it does not fit. */
  take(row: TaskRow): boolean {
    const reserved = row.shared().spec.resources?.reservations;
    if (reserved === undefined) return true;
    if (reserved.memoryBytes > this.#memoryBytes || reserved.nanoCpus > this.#nanoCpus)
      return false;
    for (const [kind, amount] of amounts(reserved.generic)) {
      if ((this.#generic.get(kind) ?? 0) < amount) return false;
    }
    this.#memoryBytes -= reserved.memoryBytes;
    this.#nanoCpus -= reserved.nanoCpus;
    for (const [kind, amount] of amounts(reserved.generic)) {
      this.#generic.set(kind, (this.#generic.get(kind) ?? 0) - amount);
    }
    return true;
  }
}

const isBound = (row: TaskRow): boolean =>
  row.desiredState >= TaskState.ASSIGNED &&
  row.desiredState <= TaskState.COMPLETE &&
  row.state >= TaskState.ASSIGNED &&
  row.state < TaskState.COMPLETE;

/**
 * The tasks on `node` that its facts no longer allow.
 *
 * @param matches whether the node meets the constraints that hold for the task now
 */
export function violators(
  node: Node,
  rows: readonly TaskRow[],
  matches: (row: TaskRow) => boolean,
): string[] {
  const remaining = new Remaining(node.description?.resources);
  const out: string[] = [];
  for (const row of rows) {
    if (!isBound(row)) continue;
    if (!matches(row) || !remaining.take(row)) out.push(row.id);
  }
  return out;
}
