/** A manager that joins a group whose log begins after a large snapshot. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Config } from '../../src/shared/wire/gen/objects.ts';
import { realEnv } from '../../src/main/env.ts';
import type { Label, Session } from '../kit/bench.ts';
import { startGroup } from './group.ts';
import { watchStrain, type Strain } from './strain.ts';

const OBJECT_BYTES = 500_000;
/** Writes at a time while the store is filled. */
const AT_ONCE = 8;
/** How often it is looked whether the log was compacted. */
const LOOK_MS = 5;

async function waitFor(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(LOOK_MS);
}

type CatchUp = { readonly seconds: number; readonly leader: Strain; readonly follower: Strain };

async function once(directory: string, bytes: number): Promise<CatchUp> {
  await using group = await startGroup(directory, 1, { keep: 0 });
  const { store, group: raft } = group.leader;
  const data = new Uint8Array(OBJECT_BYTES).fill(7);
  const write = (): Promise<void> => {
    const id = realEnv.newId();
    const spec = { annotations: { name: id }, data };
    return store.update((tx) => tx.configs.create(Config.create({ id, spec })));
  };
  for (let done = 0; done < bytes; done += AT_ONCE * OBJECT_BYTES) {
    await Promise.all(Array.from({ length: AT_ONCE }, write));
  }
  await raft.driver.takeSnapshot();
  await waitFor(() => raft.report().firstIndex > 1);
  globalThis.gc?.();
  const watch = watchStrain();
  const startMs = performance.now();
  const { contents, strain } = await group.add();
  const seconds = (performance.now() - startMs) / 1000;
  assert.deepEqual(contents, group.leader.contents());
  return { seconds, leader: watch.stop(), follower: strain };
}

export async function catchUp(session: Session, directory: string): Promise<void> {
  const megabytes = session.pick({ tiny: 8, short: 200, full: 200 });
  const rounds = session.pick({ tiny: 1, short: 1, full: 3 });
  const results: CatchUp[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const place = await mkdtemp(join(directory, 'catch-up-'));
    results.push(await once(place, megabytes * 1_000_000));
    await rm(place, { recursive: true });
  }
  const scenario = `a manager joins a store of ${megabytes} MB`;
  const record = (label: Omit<Label, 'scenario' | 'better'>, of: (one: CatchUp) => number): void =>
    session.record({ scenario, better: 'less', ...label }, results.map(of));
  record({ side: 'joining', metric: 'time', unit: 's' }, ({ seconds }) => seconds);
  for (const side of ['leader', 'follower'] as const) {
    record({ side, metric: 'turn', unit: 'ms' }, (one) => one[side].longestTurnMs);
    record({ side, metric: 'buffers', unit: 'MB' }, (one) => one[side].bufferBytes / 1e6);
  }
}
