import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResolveAddressRequest, RaftMember } from '../../../shared/wire/gen/raft.ts';
import { Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { silentLog } from '../../log.ts';
import { Code, hasCode } from '../../rpc/errors.ts';
import { raftService, replicationService, type Receiver } from './service.ts';

const CALLER = {
  nodeId: 'n2',
  organization: 'o',
  roles: ['swarm-manager'],
  remoteAddress: '10.0.0.2:9',
  local: false,
  forwardedBy: undefined,
};

/** Member 1 with the members 1 and 2; 9 was removed. */
function bench() {
  const received: Message[] = [];
  const healthy = new Set<bigint>();
  const members = [1n, 2n].map((raftId) =>
    RaftMember.create({ raftId, nodeId: `n${raftId}`, addr: `10.0.0.${raftId}:2377` }),
  );
  const receiver: Receiver = {
    raftId: () => 1n,
    members: () => members,
    isRemoved: (raftId) => raftId === 9n,
    meet: (member) => members.push(member),
    isHealthy: async (raftId) => healthy.has(raftId),
    receive: (message) => received.push(message),
  };
  const services = [raftService(receiver, silentLog), replicationService(receiver, silentLog)];
  const methods = services.flatMap((service) => service.methods);
  const call = async (name: string, request: unknown, caller = CALLER): Promise<unknown> => {
    const found = methods.find(({ method }) => method.path.endsWith(`/${name}`));
    return found?.handler(request, caller, new AbortController().signal);
  };
  const send = (init: Parameters<typeof Message.create>[0]): Promise<unknown> =>
    call('ProcessRaftMessage', { message: Message.create({ to: 1n, from: 2n, ...init }) });
  return { received, healthy, members, call, send };
}

test('a message for this member is taken, over a stream too', async () => {
  const { received, send, call } = bench();
  await send({ type: MessageType.MsgHeartbeat });
  await call('ProcessRaftMessage', { message: undefined });
  const message = Message.create({ type: MessageType.MsgApp, to: 1n, from: 2n });
  async function* pieces(): AsyncIterable<unknown> {
    yield { message };
  }
  assert.deepEqual(await call('StreamRaftMessage', pieces()), {});
  assert.deepEqual(
    received.map(({ type }) => type),
    [MessageType.MsgHeartbeat, MessageType.MsgApp],
  );
});

test('of many messages in one call each counts when it comes', async () => {
  const { received, call } = bench();
  const message = Message.create({ type: MessageType.MsgApp, to: 1n, from: 2n });
  async function* messages(): AsyncIterable<unknown> {
    for (let commit = 1; commit <= 3; commit += 1) {
      yield { message: { ...message, commit } };
      assert.equal(received.length, commit);
    }
    yield { message: { ...message, to: 3n } };
    yield { message: { ...message, from: 9n } };
  }
  await assert.rejects(call('Carry', messages()), /removed from the cluster/);
  assert.deepEqual(
    received.map(({ commit }) => commit),
    [1, 2, 3],
  );
});

test('a member that came while this one was away is met, and can be answered and voted for', async () => {
  const { received, healthy, members, call } = bench();
  const caller = { ...CALLER, nodeId: 'n5', listensAt: '10.0.0.5:2377' };
  const vote = Message.create({ type: MessageType.MsgVote, to: 1n, from: 5n });
  healthy.add(5n);
  await call('ProcessRaftMessage', { message: { ...vote, to: 3n } }, caller);
  assert.equal(members.length, 2);
  await call('ProcessRaftMessage', { message: vote }, caller);
  await call('ProcessRaftMessage', { message: vote }, caller);
  assert.deepEqual(members.slice(2), [
    RaftMember.create({ raftId: 5n, nodeId: 'n5', addr: '10.0.0.5:2377' }),
  ]);
  assert.equal(received.length, 2);
});

test('a member that has moved is met where it is now, and nobody speaks for another', async () => {
  const { members, call } = bench();
  const message = Message.create({ type: MessageType.MsgHeartbeat, to: 1n, from: 2n });
  const from = (nodeId: string, listensAt: string) => {
    const caller = { ...CALLER, nodeId, listensAt };
    return call('ProcessRaftMessage', { message }, caller);
  };
  await from('n2', '10.0.0.2:2377');
  await from('n5', '10.0.0.5:2377');
  assert.equal(members.length, 2);
  await from('n2', '10.0.0.9:2377');
  assert.deepEqual(members.slice(2), [
    RaftMember.create({ raftId: 2n, nodeId: 'n2', addr: '10.0.0.9:2377' }),
  ]);
});

test('what is for another, or a proposal, is ignored', async () => {
  const { received, send } = bench();
  await send({ type: MessageType.MsgHeartbeat, to: 5n });
  await send({ type: MessageType.MsgProp });
  assert.deepEqual(received, []);
});

test('a vote is given only to a member that can be reached', async () => {
  const { received, send, healthy } = bench();
  for (const type of [MessageType.MsgVote, MessageType.MsgPreVote]) {
    healthy.clear();
    await send({ type });
    healthy.add(2n).add(3n);
    await send({ type, from: 3n });
    assert.deepEqual(received, []);
    await send({ type });
    assert.equal(received.splice(0).length, 1);
  }
});

test('a member that was removed is told so', async () => {
  const { received, send } = bench();
  await assert.rejects(send({ type: MessageType.MsgApp, from: 9n }), (error) => {
    assert.ok(hasCode(error, Code.NOT_FOUND));
    return error.message === 'raft: member was removed from the cluster';
  });
  assert.deepEqual(received, []);
});

test('addresses of members are told', async () => {
  const { call } = bench();
  const ask = (raftId: bigint): Promise<unknown> =>
    call('ResolveAddress', ResolveAddressRequest.create({ raftId }));
  assert.deepEqual(await ask(2n), { addr: '10.0.0.2:2377' });
  await assert.rejects(ask(0xabcn), /^RpcError: member abc not found$/);
});
