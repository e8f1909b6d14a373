/**
 * Acknowledged writes against what is there at the end, cell by cell: by plain rules, so that a fault in
 * the checker of linearizability does not hide one here.
 */
import type { Operation, State } from '../support/linearizability.ts';

/** What a write leaves in its cell. */
const left = ({ step }: Operation): State => ('value' in step ? step.value : null);

/**
 * What is wrong with the end: a cell must hold what some write left there that no acknowledged write
 * followed, or be empty when no write was acknowledged.
 */
export function finalStateErrors(
  history: readonly Operation[],
  end: ReadonlyMap<string, string>,
): string[] {
  const writes = history.filter(({ step }) => step.kind !== 'read');
  const byKey = Map.groupBy(writes, ({ key }) => key);
  const unknown = [...end.keys()].filter((key) => !byKey.has(key));
  const wrong = [...byKey].flatMap(([key, own]) => {
    const found = end.get(key) ?? null;
    return isExplained(own, found) ? [] : [`${key} holds ${found}, after ${describe(own)}`];
  });
  return [...unknown.map((key) => `nobody wrote ${key}`), ...wrong];
}

function isExplained(writes: readonly Operation[], found: State): boolean {
  const acknowledged = writes.filter(({ answeredAt }) => answeredAt !== Infinity);
  if (acknowledged.length === 0 && found === null) return true;
  const lastCalledAt = Math.max(-Infinity, ...acknowledged.map(({ calledAt }) => calledAt));
  return writes.some((write) => left(write) === found && write.answeredAt >= lastCalledAt);
}

const describe = (writes: readonly Operation[]): string =>
  writes
    .toSorted((a, b) => a.calledAt - b.calledAt)
    .slice(-4)
    .map((write) => {
      const { step, calledAt, answeredAt } = write;
      return `${step.kind} ${left(write)} (${Math.round(calledAt)} to ${Math.round(answeredAt)} ms)`;
    })
    .join(', ');
