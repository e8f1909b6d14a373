import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManagerReport } from '../../shared/wire/gen/operations.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { adoptionOf } from './adoption.ts';

const US = { nodeId: 'us', clusterId: 'c', hasHeld: () => false };
const member = (raftId: bigint, nodeId: string): RaftMember =>
  RaftMember.create({ raftId, nodeId, addr: `h:${raftId}` });
const A = member(1n, 'a');
const B = member(2n, 'b');
const OURS = member(7n, 'us');

const report = (init: Init<ManagerReport>): ManagerReport =>
  ManagerReport.create({ clusterId: 'c', raftId: 1n, appliedIndex: 10, ...init });

test('[NODE15] a node is the member that the managers say it is', () => {
  assert.equal(adoptionOf([], US), undefined);
  assert.equal(adoptionOf([report({ members: [A, B] })], US), undefined);
  assert.deepEqual(adoptionOf([report({ members: [A, OURS] })], US), {
    member: OURS,
    members: [A, OURS],
  });
});

test('[NODE15] the manager that has applied most decides, whatever the order of the answers', () => {
  const before = report({ members: [A, B] });
  const added = report({ raftId: 2n, appliedIndex: 11, members: [A, B, OURS] });
  const again = member(8n, 'us');
  const removedMembers = [7n];
  const gone = report({ raftId: 3n, appliedIndex: 12, members: [A, B], removedMembers });
  const back = report({ raftId: 4n, appliedIndex: 13, members: [A, B, again], removedMembers });
  for (const [answers, raftId] of [
    [[before, added], 7n],
    [[before, added, gone], undefined],
    [[before, added, gone, back], 8n],
    [[added, back], 8n],
  ] as const) {
    assert.equal(adoptionOf(answers, US)?.member.raftId, raftId);
    assert.equal(adoptionOf(answers.toReversed(), US)?.member.raftId, raftId);
  }
});

test('[NODE15] no word counts of a manager that is no member, was removed, or is of another cluster', () => {
  const members = [A, OURS];
  assert.equal(adoptionOf([report({ raftId: 0n, members })], US), undefined);
  assert.equal(adoptionOf([report({ clusterId: 'other', members })], US), undefined);
  const removed = report({ raftId: 2n, appliedIndex: 99, members });
  const forced = report({ members: [A], removedMembers: [2n] });
  assert.equal(adoptionOf([removed, forced], US), undefined);
});

test('[NODE15] an id that the node held before is never taken up again, whoever still knows it', () => {
  const late = [report({ members: [A, OURS] })];
  const before = { ...US, hasHeld: (raftId: bigint) => raftId === OURS.raftId };
  assert.equal(adoptionOf(late, before), undefined);
});
