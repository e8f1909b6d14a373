/** What the history of the clients, and what the managers hold in the end, say of each other. */
import { endOfViolation, isLinearizable, type Operation } from '../support/linearizability.ts';
import type { Managers } from '../support/managers.ts';
import { allCells } from './cells.ts';
import { finalStateErrors } from './final-state.ts';
import type { History } from './history.ts';

export type Verdict = {
  readonly operations: number;
  /** That are there in the end. */
  readonly cells: number;
  /** In words; nothing when all is well. */
  readonly wrong: readonly string[];
};

/** Reads every cell at every manager, as the last operations, and judges all. Nobody may write any more. */
export async function judge(history: History, managers: Managers): Promise<Verdict> {
  const { operations } = history;
  const wrong = [...history.wrong];
  const keys = new Set(operations.map(({ key }) => key));
  const ends: Operation[] = [];
  let cells = 0;
  for (const { name, control } of managers.all) {
    const calledAt = performance.now();
    const all = await managers.until(`${name} tells everything`, () => allCells(control));
    const answeredAt = performance.now();
    const texts = new Map([...all].map(([key, { text }]) => [key, text]));
    cells = texts.size;
    const errors = finalStateErrors(operations, texts);
    wrong.push(...errors.map((error) => `at the end, at ${name}: ${error}`));
    for (const key of keys) {
      const step = { kind: 'read', found: texts.get(key) ?? null } as const;
      ends.push({ key, client: 'end', step, calledAt, answeredAt });
    }
  }
  wrong.push(...violations([...operations, ...ends]));
  return { operations: operations.length, cells, wrong };
}

/** The cells whose answers no order explains. */
function violations(history: readonly Operation[]): string[] {
  const byKey = Map.groupBy(history, ({ key }) => key);
  return [...byKey.values()]
    .filter((operations) => !isLinearizable(operations))
    .map((operations) => {
      const lines = endOfViolation(operations).map((operation) => JSON.stringify(operation));
      return `no order explains these answers:\n${lines.join('\n')}`;
    });
}
