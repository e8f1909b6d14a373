/**
 * Durable commits through the log of one manager, from one in flight to very many, beside the disk's own
 * synced writes in the same run. Store, raft and log are those of a manager that is alone.
 *
 * `npm run bench -- log [IN_FLIGHT ...]` for numbers of one's own.
 *
 * When all rounds are over the log is closed and opened again, and all that was acknowledged must stand in
 * it before a figure is told.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { testCluster } from '../src/main/ca/testing/identities.ts';
import { Role } from '../src/main/rpc/authorise.ts';
import type { Bench, Session } from './kit/bench.ts';
import { Clients } from './raft/clients.ts';
import { onDisk, RawFile } from './raft/disk.ts';
import { playLoads, tellLoad, type Load, type Saves } from './raft/load.ts';
import { startMember, type MemberOptions } from './raft/member.ts';

const IN_FLIGHT = [1, 64, 1024, 16_384] as const;
const RATIO_GOAL = { atMost: 2 } as const;

/** Plays all loads on a new member, which is stopped then. */
async function playOn(session: Session, options: MemberOptions, file: RawFile) {
  await using member = await startMember(options);
  const clients = new Clients(member.store);
  const saves = (): Saves => {
    const { saves: leader, bytes } = member.saved();
    return { leader, follower: 0, bytes };
  };
  const asked = session.args.map(Number);
  const loads = (asked.length === 0 ? IN_FLIGHT : asked).map((inFlight): Load => ({
    clients,
    inFlight,
    saves,
  }));
  return { clients, loads, results: await playLoads(session, loads, file) };
}

async function run(session: Session): Promise<void> {
  const directory = await mkdtemp(join(onDisk(), 'skein-bench-log-'));
  await using parts = new AsyncDisposableStack();
  parts.defer(() => rm(directory, { recursive: true }));
  using file = new RawFile(directory);
  const cluster = await testCluster();
  const options: MemberOptions = {
    directory: join(directory, 'leader'),
    nodeId: 'leader',
    organization: cluster.organization,
    credentials: await cluster.member('leader', Role.MANAGER),
  };
  const { clients, loads, results } = await playOn(session, options, file);
  const reopened = parts.use(await startMember(options));
  assert.deepEqual(reopened.contents(), clients.acknowledged);
  for (const load of loads) {
    tellLoad(session, {
      name: '1 manager',
      load,
      results: results.get(load) ?? [],
      ratioGoal: RATIO_GOAL,
    });
  }
}

export const bench: Bench = {
  about: 'durable commits through one log, 1 to 16,384 in flight, beside fdatasync [IN_FLIGHT ...]',
  run,
};
