import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ManagerReport,
  type PeerReport,
  StatusResponse,
} from '../../../shared/wire/gen/operations.ts';
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { clusterStatus, statusJson, statusText } from './cluster-status.ts';

const member = (n: number): RaftMember =>
  RaftMember.create({ raftId: BigInt(n), nodeId: `node${n}`, addr: `10.0.0.${n}:2377` });

const report = (n: number, rest: Init<ManagerReport> = {}): Init<ManagerReport> => ({
  ...member(n),
  clusterId: 'cluster1',
  hostname: `m${n}`,
  term: 4,
  leader: 1n,
  commitIndex: 90,
  appliedIndex: 90,
  firstIndex: 31,
  lastIndex: 91,
  snapshotIndex: 50,
  snapshotBytes: 2048,
  logBytes: 65_536,
  ...rest,
});

const peer = (n: number, rest?: Init<ManagerReport>): Init<PeerReport> => ({
  member: member(n),
  hostname: `m${n}`,
  manager: report(n, rest),
});

const missing = (n: number): Init<PeerReport> => ({
  member: member(n),
  hostname: `m${n}`,
  error: `10.0.0.${n}:2377 refused the connection`,
});

const statusOf = (own: Init<ManagerReport>, ...peers: Init<PeerReport>[]) =>
  clusterStatus(StatusResponse.create({ manager: own, peers }));

test('who leads, and how far each is behind', () => {
  const status = statusOf(report(2), peer(1), peer(3, { lastIndex: 80, appliedIndex: 79 }));
  assert.deepEqual(
    status.members.map(({ name, leads, lag }) => [name, leads, lag]),
    [
      ['m1', true, 0],
      ['m2', false, 0],
      ['m3', false, 11],
    ],
  );
  assert.deepEqual([status.works, status.problem], [true, undefined]);
  assert.equal(
    statusText(status, undefined),
    `Cluster cluster1, term 4, led by m1 at 10.0.0.1:2377

MANAGER   ADDRESS         STATE      TERM   COMMIT   APPLIED   LAST   LAG   LOG      SNAPSHOT     PROBLEM
m1        10.0.0.1:2377   leader     4      90       90        91     0     64 KiB   50 (2 KiB)
m2        10.0.0.2:2377   follower   4      90       90        91     0     64 KiB   50 (2 KiB)
m3        10.0.0.3:2377   follower   4      90       79        80     11    64 KiB   50 (2 KiB)
`,
  );
});

test('one that does not answer is a warning while a majority does', () => {
  const { works, problem } = statusOf(report(1), peer(2), missing(3));
  assert.deepEqual([works, problem], [true, '1 of 3 managers do not answer; no more may fail.']);
  const five = statusOf(report(1), peer(2), peer(3), peer(4), missing(5));
  assert.equal(five.problem, '1 of 5 managers do not answer; 1 more may fail.');
});

test('without a quorum it says who is missing, and what to do', () => {
  const alone = statusOf(report(1, { leader: 0n }), missing(2), missing(3));
  assert.equal(alone.works, false);
  assert.equal(
    alone.problem,
    `No quorum: 1 of 3 managers answers, 2 are needed. Tasks go on as they are, and nothing can be changed.
Missing: m2 (10.0.0.2:2377 refused the connection), m3 (10.0.0.3:2377 refused the connection).
Start 1 of them again. If they are lost for good, stop this manager and start it with --force-new-cluster: it then is a cluster of one, with everything that it knows.`,
  );
  const pair = statusOf(report(1, { leader: 0n }), missing(2));
  assert.match(pair.problem ?? '', /\nStart them again\./);
  const json = statusJson(alone);
  assert.ok(typeof json === 'object' && json !== null && 'quorum' in json);
  assert.deepEqual([json['quorum'], json['leader'], json['needed']], [false, null, 2]);
});

test('a leader is one that says so in the newest term', () => {
  const old = statusOf(report(1, { term: 3 }), peer(2, { leader: 3n }), peer(3, { leader: 3n }));
  assert.deepEqual([old.leader?.name, old.term], ['m3', 4]);
  const nobody = statusOf(report(2), peer(3), missing(1));
  assert.equal(nobody.works, false, 'what others say of one that does not answer is old');
  assert.match(nobody.problem ?? '', /^Nobody leads: an election is under way/);
});

test('a manager that is no member says so', () => {
  const joining = statusOf(report(4, { raftId: 0n, leader: 0n }));
  assert.match(joining.problem ?? '', /^This manager is not a member yet/);
  const removed = statusOf(report(1), peer(2, { removedMembers: [1n] }), peer(3));
  assert.match(removed.problem ?? '', /^This manager was removed/);
  const replaced = statusOf(report(1), peer(2), { member: member(3), manager: report(9) });
  assert.equal(replaced.members[2]?.error, '10.0.0.3:2377 is another manager now');
});
