import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { ConfChangeType } from '../../shared/wire/gen/raftpb.ts';
import { Channel } from '../rpc/client.ts';
import { testCluster } from '../ca/testing/identities.ts';
import { Role } from '../rpc/authorise.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import { TestManager } from '../rpc/testing/managers.ts';
import { dialBack } from './dial-back.ts';
import { type Group, Membership, reachableAddress } from './membership.ts';
import { newRaftId } from './raft-id.ts';

const member = (raftId: bigint): RaftMember =>
  RaftMember.create({ raftId, nodeId: `n${raftId}`, addr: `127.0.0.1:${raftId}` });

type Change = Parameters<Group['change']>[0];

/** Member 1 of a group of `size`. */
function bench(
  size: number,
  connect = (address: string) => new Channel({ to: 'anyone', address }),
) {
  const members = new Map<bigint, RaftMember>();
  for (let raftId = 1n; raftId <= size; raftId += 1n) members.set(raftId, member(raftId));
  const active = new Set<bigint>();
  const changes: Change[] = [];
  const state = { leading: true, wanted: true };
  const membership = new Membership({
    leading: () => state.leading,
    members: () => [...members.values()],
    isRemoved: () => false,
    self: () => 1n,
    address: () => '127.0.0.1:1',
    isActive: (raftId) => active.has(raftId),
    change: async (change) => {
      changes.push(change);
      if (change.type === ConfChangeType.ConfChangeRemoveNode) members.delete(change.nodeId);
    },
    newId: newRaftId,
    dialBack: (address) => dialBack(connect, address),
    mayJoin: () => state.wanted,
    nameOf: (nodeId) => `host-${nodeId}`,
  });
  const call = async (name: string, request: unknown): Promise<unknown> => {
    const caller = {
      nodeId: 'n7',
      organization: 'o',
      roles: ['swarm-manager'],
      remoteAddress: '127.0.0.1:1000',
      local: false,
      forwardedBy: undefined,
    };
    const { methods } = membership.service;
    const found = methods.find(({ method }) => method.path.endsWith(`/${name}`));
    return found?.handler(request, caller, new AbortController().signal);
  };
  return { membership, members, active, changes, state, call };
}

const withCode = (code: Code, text: RegExp) => (error: unknown) =>
  hasCode(error, code) && text.test(error.message);

test('a new member is reached where it says, or where its call came from', () => {
  const from = '10.1.2.3:55555';
  assert.equal(reachableAddress('10.0.0.9:2377', from), '10.0.0.9:2377');
  assert.equal(reachableAddress('manager.example:1', from), 'manager.example:1');
  assert.equal(reachableAddress('0.0.0.0:2377', from), '10.1.2.3:2377');
  assert.equal(reachableAddress('[::]:2377', '[fd00::1]:9'), '[fd00::1]:2377');
  for (const bad of ['', 'host', ':', 'a:b:1', 'host:0', 'host:70000', '::1:2377']) {
    assert.throws(
      () => reachableAddress(bad, from),
      withCode(Code.INVALID_ARGUMENT, /^invalid address .* in raft join request$/),
    );
  }
});

test('nobody is let in whom the leader cannot reach, nor by one that does not lead', async () => {
  const { call, changes, state } = bench(1);
  await assert.rejects(
    call('Join', { addr: '127.0.0.1:1' }),
    withCode(Code.UNKNOWN, /^could not connect to prospective new cluster member using its adv/),
  );
  state.leading = false;
  await assert.rejects(
    call('Join', { addr: '127.0.0.1:1' }),
    withCode(Code.FAILED_PRECONDITION, /node lost leader status$/),
  );
  assert.deepEqual(changes, []);
});

test('who is a member already is told so again, by one that does not lead too', async () => {
  const { call, changes, state, members } = bench(2);
  state.leading = false;
  members.set(7n, { ...member(7n), addr: '10.0.0.7:2377' });
  const joined = await call('Join', { addr: '10.0.0.7:2377' });
  assert.deepEqual(joined, { raftId: 7n, members: [...members.values()], removedMembers: [] });
  // But another address has to become known to all.
  await assert.rejects(
    call('Join', { addr: '10.0.0.8:2377' }),
    withCode(Code.FAILED_PRECONDITION, /node lost leader status$/),
  );
  assert.deepEqual(changes, []);
});

test('a manager of a Docker Engine is not let in: it would only stop the cluster', async () => {
  const cluster = await testCluster();
  // It serves Raft and knows nothing of Skein, as an engine's manager does.
  await using engine = await TestManager.start('n7', cluster);
  const { rootPem, ...identity } = await cluster.member('n1', Role.MANAGER);
  const { call, changes } = bench(
    1,
    (address) => new Channel({ to: 'manager', address, rootPem, identity }),
  );
  await assert.rejects(
    call('Join', { addr: engine.address }),
    withCode(Code.FAILED_PRECONDITION, /^a Docker Engine cannot be a manager of this cluster yet/),
  );
  assert.deepEqual(changes, []);
});

test('a member may leave only while a majority of the others is reached', async () => {
  const { call, active, changes, membership } = bench(3);
  await assert.rejects(
    call('Leave', { node: undefined }),
    withCode(Code.INVALID_ARGUMENT, /^no node information provided$/),
  );
  assert.deepEqual(membership.judgeRemoval(3n), { allowed: false, unreached: [member(2n)] });
  await assert.rejects(
    call('Leave', { node: member(3n) }),
    /may result in loss of quorum: managers not reached: host-n2 \(127\.0\.0\.1:2\)$/,
  );
  active.add(2n);
  await assert.rejects(call('Leave', { node: member(8n) }), /member unknown$/);
  await call('Leave', { node: member(3n) });
  assert.deepEqual(changes, [
    { type: ConfChangeType.ConfChangeRemoveNode, nodeId: 3n, context: undefined },
  ]);
});

test('the last member cannot leave', () => {
  assert.deepEqual(bench(1).membership.judgeRemoval(1n), { allowed: false, unreached: [] });
});
