/** A member that is reached, breaks off, comes back or is gone: real connections over a wire. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { testCluster } from '../../ca/testing/identities.ts';
import { silentLog } from '../../log.ts';
import { Role } from '../../rpc/authorise.ts';
import { Channel } from '../../rpc/client.ts';
import { Code, RpcError } from '../../rpc/errors.ts';
import { Health } from '../../rpc/health.ts';
import { type Credentials, type Listener, listenTcp } from '../../rpc/listener.ts';
import type { Implementation } from '../../rpc/service.ts';
import { Wire } from '../../rpc/testing/managers.ts';
import { CARRIER_LIMITS } from './carrier.ts';
import { Peer, PEER_LIMITS, REMOVED_TEXT } from './peer.ts';
import { raftService, replicationService } from './service.ts';

const ALL_REDIALS_MS = PEER_LIMITS.redialsMax * (PEER_LIMITS.redialPauseMs + 200);

let credentials: Credentials;
let listener: Listener;
/** A member that knows SwarmKit's calls only. */
let plain: Listener;
let wire: Wire;
let peer: Peer;
let arrived = new EventTarget();
let received: MessageType[] = [];
let isRemoved = false;
/** What the peer told. */
let told: string[] = [];
let onGone = Promise.withResolvers<void>();

before(async () => {
  const cluster = await testCluster();
  credentials = await cluster.member('n1', Role.MANAGER);
  const health = new Health(['Raft']);
  health.set('Raft', true);
  const receiver = {
    raftId: () => 2n,
    members: () => [RaftMember.create({ raftId: 1n, nodeId: 'n1', addr: 'h:1' })],
    isRemoved: () => false,
    isHealthy: () => Promise.resolve(true),
    meet: () => undefined,
    receive: ({ type }: Message) => {
      if (isRemoved) throw new RpcError(Code.NOT_FOUND, REMOVED_TEXT);
      received.push(type);
      arrived.dispatchEvent(new Event('message'));
    },
  };
  const listen = (services: readonly Implementation[]): Promise<Listener> =>
    listenTcp({
      host: '127.0.0.1',
      port: 0,
      credentials,
      services,
      policy: { organization: cluster.organization, isRemoved: () => false },
      log: silentLog,
    });
  const swarmKits = [raftService(receiver, silentLog), health.service];
  plain = await listen(swarmKits);
  listener = await listen([...swarmKits, replicationService(receiver, silentLog)]);
});
after(() => Promise.all([listener.stop(0), plain.stop(0)]));

beforeEach(async () => {
  arrived = new EventTarget();
  received = [];
  isRemoved = false;
  told = [];
  onGone = Promise.withResolvers();
  wire = await Wire.to(listener.address);
  peer = peerAt(wire.address);
  await deliver();
});
afterEach(async () => {
  peer.close();
  await wire[Symbol.asyncDispose]();
});

function peerAt(at: string): Peer {
  const { rootPem, ...identity } = credentials;
  return new Peer({
    raftId: 2n,
    address: at,
    ownAddress: () => 'h:1',
    openSnapshot: () => assert.fail('no snapshot is sent'),
    connect: (address, onLost) =>
      new Channel({ to: 'manager', address, rootPem, identity }, onLost),
    events: {
      unreachable: () => told.push('unreachable'),
      snapshot: () => told.push('snapshot'),
      removed: () => told.push('removed'),
      gone: (raftId) => {
        told.push(`${raftId} is gone`);
        onGone.resolve();
      },
    },
    log: silentLog,
  });
}

/** Sends a message; resolves when it is there, and the peer known to be reached. */
async function deliver(): Promise<void> {
  const there = once(arrived, 'message');
  peer.send(Message.create({ type: MessageType.MsgHeartbeatResp, from: 1n, to: 2n }));
  await there;
  while (!peer.active) await sleep(1);
}

test('a member whose process ends is gone at once, without a message to it', async () => {
  wire.cut();
  await onGone.promise;
  await sleep(ALL_REDIALS_MS);
  assert.deepEqual(told, ['2 is gone']);
});

test('so is one whose port breaks off every new connection', async () => {
  wire.mode = 'breaks';
  wire.breakAll();
  await onGone.promise;
  assert.deepEqual(told, ['2 is gone']);
});

test('a connection that breaks, but can be made again, says nothing of the member', async () => {
  wire.breakAll();
  await sleep(ALL_REDIALS_MS);
  await deliver();
  assert.deepEqual(told, []);
});

test('a member that listens and says nothing is slow, not gone', async () => {
  wire.mode = 'silent';
  wire.breakAll();
  await sleep(PEER_LIMITS.sendTimeoutMs + ALL_REDIALS_MS);
  assert.deepEqual(told, []);
});

test('a connection that this member itself gives up says nothing either', async () => {
  await deliver();
  peer.reconnect();
  await deliver();
  await sleep(CARRIER_LIMITS.callMs + 100);
  assert.equal(peer.active, true);
  assert.deepEqual(told, []);
  peer.close();
  wire.cut();
  await sleep(ALL_REDIALS_MS);
  assert.deepEqual(told, []);
});

test('a member that is reached gets what follows in order', async () => {
  const types = [MessageType.MsgHeartbeatResp, MessageType.MsgAppResp, MessageType.MsgReadIndex];
  for (const type of types) peer.send(Message.create({ type, from: 1n, to: 2n }));
  while (received.length <= types.length) await sleep(1);
  assert.deepEqual(received.slice(1), types);
  await deliver();
});

test('one that knows only SwarmKit’s calls gets every message all the same', async () => {
  peer.close();
  peer = peerAt(plain.address);
  for (let i = 0; i < 3; i += 1) await deliver();
  assert.equal(received.length, 4);
  assert.deepEqual(told, []);
});

test('a member that is removed hears of it by what it sends in one call with others', async () => {
  isRemoved = true;
  peer.send(Message.create({ type: MessageType.MsgHeartbeatResp, from: 1n, to: 2n }));
  await sleep(CARRIER_LIMITS.callMs + 200);
  assert.deepEqual(told, ['removed', 'unreachable']);
  assert.equal(peer.active, false);
});
