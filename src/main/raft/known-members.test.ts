import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { knownMembers, type Met, stillMet } from './known-members.ts';

const member = (raftId: bigint, addr = `h:${raftId}`): RaftMember =>
  RaftMember.create({ raftId, nodeId: `n${raftId}`, addr });

test('until the log tells more, the members of the time of joining are known', () => {
  const atJoin = [member(1n), member(2n), member(3n)];
  const told: RaftMember[] = [];
  const removed = new Set<bigint>();
  const log = { members: () => told, isRemoved: (raftId: bigint) => removed.has(raftId) };
  assert.deepEqual(knownMembers(log, 2n, atJoin), atJoin);
  told.push(member(2n, 'other:2'), member(4n));
  removed.add(3n);
  assert.deepEqual(knownMembers(log, 2n, atJoin), [member(2n, 'other:2'), member(4n), member(1n)]);
});

test('a log that does not tell of this member yet has older addresses than it joined with', () => {
  const log = { members: () => [member(1n, 'before:1'), member(2n)], isRemoved: () => false };
  const atJoin = [member(1n, 'now:1'), member(2n), member(3n)];
  const addresses = (self: bigint): string[] =>
    knownMembers(log, self, atJoin).map(({ addr }) => addr);
  assert.deepEqual(addresses(3n), ['now:1', 'h:2', 'h:3']);
  assert.deepEqual(addresses(2n), ['before:1', 'h:2', 'h:3']);
});

test('a member that says that it is elsewhere is sent to there, until the log says anything of it', () => {
  const told = [member(1n), member(2n)];
  const removed = new Set<bigint>();
  const log = { members: () => told, isRemoved: (raftId: bigint) => removed.has(raftId) };
  const met = new Map<bigint, Met>([
    [2n, { member: member(2n, 'moved:2'), insteadOf: 'h:2' }],
    [3n, { member: member(3n, 'new:3'), insteadOf: undefined }],
    [4n, { member: member(4n, 'new:4'), insteadOf: undefined }],
  ]);
  const addresses = (): string[] => knownMembers(log, 1n, [], met).map(({ addr }) => addr);
  assert.deepEqual(addresses(), ['h:1', 'moved:2', 'new:3', 'new:4']);
  assert.equal(stillMet(log, met).size, 3);
  told.splice(1, 1, member(2n, 'moved:2'), member(3n, 'elsewhere:3'));
  removed.add(4n);
  assert.equal(stillMet(log, met).size, 0);
});
