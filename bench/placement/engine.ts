/** What the placement engine, the plain heap and an older checkout's engine have in common. */
import type { ToPlacement } from '../../src/shared/lanes/placement.ts';

export type Change = Exclude<ToPlacement, { readonly t: 'turn' }>;

export type PlacementEngine = {
  apply(message: Change): void;
  turn(nowMs: number): {
    readonly tasks: Int32Array;
    readonly nodes: Int32Array;
    readonly hasMore: boolean;
  };
};

/** The clock of all turns: failures, which need one, are not part of any scenario. */
const NOW_MS = 1_000_000;

/** Decides all that can be decided. @returns how many decisions that were */
export function settle(
  engine: PlacementEngine,
  hear?: (tasks: Int32Array, nodes: Int32Array) => void,
): number {
  let decisions = 0;
  for (let hasMore = true; hasMore;) {
    const outcome = engine.turn(NOW_MS);
    decisions += outcome.tasks.length;
    hear?.(outcome.tasks, outcome.nodes);
    hasMore = outcome.hasMore;
  }
  return decisions;
}
