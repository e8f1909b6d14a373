/** The benchmarks of the suite, by name. */
import type { Bench } from './bench.ts';

export const BENCHES: Readonly<Record<string, () => Promise<{ readonly bench: Bench }>>> = {
  codecs: () => import('../codecs.ts'),
  lanes: () => import('../lanes.ts'),
  store: () => import('../store.ts'),
  log: () => import('../log.ts'),
  raft: () => import('../raft.ts'),
  placement: () => import('../placement.ts'),
  assign: () => import('../assign.ts'),
  cluster: () => import('../cluster.ts'),
  sessions: () => import('../sessions.ts'),
  compare: () => import('../compare.ts'),
};
