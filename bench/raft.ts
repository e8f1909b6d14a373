/**
 * Commits through raft, synced to the disks of three managers: from one client to very many. What one manager
 * does is bench/log.ts.
 *
 * The managers are real members: log on a disk, gRPC over loopback and mutual TLS. The leader runs here,
 * with its clients; each follower in a process of its own. All that was acknowledged must stand on every
 * member before a figure is told. The disk's own synced write is measured in every round beside.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench, Session } from './kit/bench.ts';
import { catchUp } from './raft/catch-up.ts';
import { Clients } from './raft/clients.ts';
import { onDisk, RawFile } from './raft/disk.ts';
import { startGroup } from './raft/group.ts';
import { playLoads, tellLoad, type Load, type LoadFigure } from './raft/load.ts';

const MANAGERS = 3;
const IN_FLIGHT = [1, 64, 1024] as const;

const FOLLOWER: LoadFigure = {
  metric: 'follower',
  unit: 'writes per leader’s',
  better: 'less',
  of: ({ savesOfFollower }) => savesOfFollower,
};

async function run(session: Session): Promise<void> {
  const directory = await mkdtemp(join(onDisk(), 'skein-bench-raft-'));
  await using parts = new AsyncDisposableStack();
  parts.defer(() => rm(directory, { recursive: true }));
  using file = new RawFile(directory);
  const group = parts.use(await startGroup(join(directory, 'group'), MANAGERS));
  const clients = new Clients(group.leader.store);
  const loads = IN_FLIGHT.map((inFlight): Load => ({ clients, inFlight, saves: group.saves }));
  const results = await playLoads(session, loads, file);
  for (const held of await group.contents()) assert.deepEqual(held, clients.acknowledged);
  for (const load of loads) {
    const name = `${MANAGERS} managers`;
    tellLoad(session, { name, load, results: results.get(load) ?? [], more: [FOLLOWER] });
  }
  await catchUp(session, directory);
}

export const bench: Bench = {
  about: 'durable commits through raft: 3 managers, 1 to 1,024 clients; one that catches up',
  run,
};
