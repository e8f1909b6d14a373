/** Followers that pass calls on: real listeners and certificates, and leaders that come and go. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { type Caller, Role } from './authorise.ts';
import { Channel } from './client.ts';
import { Code, hasCode, RpcError } from './errors.ts';
import type { Credentials } from './listener.ts';
import type { Leader } from './relay.ts';
import { BIG, TestManager, Wire } from './testing/managers.ts';

const fails = (code: Code, text: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof RpcError, String(error));
  assert.equal(error.code, code, error.message);
  if (typeof text === 'string') assert.equal(error.message, text);
  else assert.match(error.message, text);
  return true;
};

const NO_LEADER =
  /^The swarm does not have a leader\. .* more than half of the managers are online\.$/;

/** The address of a port at which nobody listens any more. */
async function deadLeader(): Promise<Leader> {
  await using wire = await Wire.to(undefined);
  return wire.asLeader;
}

/** What the leader knows of a caller, but for its port. */
function known(caller: Caller | undefined): unknown {
  const { remoteAddress, ...rest } = caller ?? assert.fail();
  assert.match(remoteAddress, /^127\.0\.0\.1:\d+$/);
  return rest;
}

const ofService = async (channel: Channel): Promise<string | undefined> =>
  (await channel.service('Control').GetService({ serviceId: 's' })).service?.id;

const ofNode = async (channel: Channel): Promise<string | undefined> =>
  (await channel.service('Control').GetNode({ nodeId: 'n' })).node?.id;

function noMember(): Leader {
  throw new RpcError(Code.UNKNOWN, 'raft: member unknown');
}

describe('a follower', () => {
  let directory: string;
  let cluster: TestCluster;
  let worker: Credentials;
  let leader: TestManager;
  let follower: TestManager;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-relay-'));
    cluster = await testCluster();
    worker = await cluster.member('worker1', Role.WORKER);
  });
  after(() => rm(directory, { recursive: true }));
  beforeEach(async () => {
    leader = await TestManager.start('leader', cluster);
    follower = await TestManager.start('follower', cluster, { directory });
    leader.lead();
    follower.follow(leader.asLeader);
  });
  afterEach(async () => {
    await follower.stop();
    await leader.stop();
  });

  const to = (manager: TestManager, identity?: Credentials): Channel =>
    new Channel({
      to: 'manager',
      address: manager.address,
      rootPem: cluster.root.certificatePem,
      ...(identity === undefined ? {} : { identity }),
    });

  describe('carries', () => {
    test('a unary call, and its error word for word', async () => {
      using channel = to(follower, worker);
      const { Heartbeat } = channel.service('Dispatcher');
      assert.deepEqual(await Heartbeat({ sessionId: 'four' }), {
        period: { seconds: 4, nanos: 0 },
      });
      await assert.rejects(
        Heartbeat({ sessionId: 'bad' }),
        fails(Code.INVALID_ARGUMENT, 'session invalid: ü'),
      );
      await assert.rejects(
        channel.service('NodeCA').NodeCertificateStatus({}),
        fails(Code.UNIMPLEMENTED, /./),
      );
    });

    test('a server stream in order, and its error after the messages', async () => {
      using channel = to(follower, worker);
      const { Assignments } = channel.service('Dispatcher');
      const got = await Array.fromAsync(Assignments({ sessionId: '100' }), (m) => m.resultsIn);
      assert.deepEqual(got, [...Array(100).keys()].map(String));
      let count = 0;
      await assert.rejects(
        async () => {
          for await (const _ of Assignments({ sessionId: '3' })) count += 1;
        },
        fails(Code.ABORTED, 'dispatcher is stopped'),
      );
      assert.equal(count, 3);
    });

    test('a client stream that ends with an answer, with none, or with an error', async () => {
      using channel = to(follower, worker);
      const { PublishLogs } = channel.service('LogBroker');
      const many = PublishLogs();
      for (let n = 0; n < 200; n += 1) await many.write({ subscriptionId: 's' });
      assert.deepEqual(await many.finish(), {});
      assert.equal(leader.uploaded, 200);
      const closing = PublishLogs();
      await closing.write({ close: true });
      assert.equal(await closing.finish(), undefined);
      const wrong = PublishLogs();
      await wrong.write({ subscriptionId: 'unknown' });
      await assert.rejects(wrong.finish(), fails(Code.NOT_FOUND, 'no such thing'));
    });

    test('big messages whole', async () => {
      using channel = to(follower, worker);
      const sessionId = 'x'.repeat((4 << 20) - 16);
      const { period } = await channel.service('Dispatcher').Heartbeat({ sessionId });
      assert.equal(period?.seconds, sessionId.length);
    });
  });

  describe('reads', () => {
    test('from its own state, but of nodes from the leader', async () => {
      using channel = new Channel({ to: 'socket', path: follower.socketPath });
      assert.equal(await ofService(channel), 'as follower knows it');
      assert.equal(await ofNode(channel), 'as leader knows it');
    });

    test('[MGR4] not before its state is known to be the newest, and so does the leader', async () => {
      const manager = await cluster.member('manager1', Role.MANAGER);
      for (const [asked, read] of [
        [follower, ofService],
        [leader, ofService],
        [leader, ofNode],
      ] as const) {
        using channel = to(asked, manager);
        const confirmed = Promise.withResolvers<void>();
        const waits = Promise.withResolvers<void>();
        asked.readIndex = () => {
          waits.resolve();
          return confirmed.promise;
        };
        asked.callers.length = 0;
        const answer = read(channel);
        await waits.promise;
        assert.deepEqual(asked.callers, []);
        confirmed.resolve();
        assert.equal(await answer, `as ${asked.nodeId} knows it`);
      }
      // Of nodes the leader is asked, and it is the leader that must be sure.
      leader.readIndex = () => Promise.reject(new RpcError(Code.ABORTED, 'not sure'));
      using channel = to(follower, manager);
      await assert.rejects(ofNode(channel), fails(Code.ABORTED, 'not sure'));
      assert.equal(await ofService(channel), 'as follower knows it');
    });

    test('[MGR4] no longer than its patience, its caller and this manager last', async () => {
      const manager = await cluster.member('manager1', Role.MANAGER);
      let asked = 0;
      const ended: unknown[] = [];
      const never = (signal: AbortSignal): Promise<void> =>
        new Promise((_resolve, reject) => {
          asked += 1;
          signal.addEventListener('abort', () => {
            ended.push(signal.reason);
            reject(signal.reason);
          });
        });
      await using lonely = await TestManager.start('lonely', cluster, { patienceMs: 20 });
      lonely.readIndex = never;
      using to1 = to(lonely, manager);
      await assert.rejects(ofService(to1), fails(Code.UNKNOWN, NO_LEADER));
      follower.readIndex = never;
      using to2 = to(follower, manager);
      const { GetService } = to2.service('Control');
      // A call that ends before it has reached the follower is asked anew, with more time.
      const hasArrived = (): boolean => asked > 1;
      for (let timeoutMs = 30; !hasArrived(); timeoutMs *= 2) {
        await assert.rejects(
          GetService({ serviceId: 's' }, { timeoutMs }),
          fails(Code.DEADLINE_EXCEEDED, /./),
        );
      }
      const waits = Promise.withResolvers<void>();
      follower.readIndex = (signal) => {
        waits.resolve();
        return never(signal);
      };
      const left = assert.rejects(
        GetService({ serviceId: 's' }),
        fails(Code.UNAVAILABLE, 'this manager is stopping'),
      );
      await waits.promise;
      follower.relay.drain();
      await left;
      assert.equal(ended.length, asked);
      await assert.rejects(
        GetService({ serviceId: 's' }),
        fails(Code.UNAVAILABLE, 'this manager is stopping'),
      );
      assert.deepEqual(follower.callers, []);
    });

    test('[MGR4] a write is refused only by a leader that is sure to lead still', async () => {
      const manager = await cluster.member('manager1', Role.MANAGER);
      using channel = to(leader, manager);
      const refused = (): Promise<unknown> =>
        channel.service('Control').RemoveService({ serviceId: 'none' });
      const order: string[] = [];
      leader.leadership = () => {
        order.push('noted');
        return async () => void order.push('confirmed');
      };
      await assert.rejects(refused(), fails(Code.NOT_FOUND, 'service none not found'));
      assert.deepEqual(order, ['noted', 'confirmed']);
      leader.leadership = () => () => Promise.reject(new RpcError(Code.UNKNOWN, 'lost'));
      await assert.rejects(refused(), fails(Code.UNKNOWN, 'lost'));
      using stranger = to(leader, worker);
      await assert.rejects(
        stranger.service('Control').RemoveService({ serviceId: 'none' }),
        (error) => hasCode(error, Code.PERMISSION_DENIED),
      );
    });

    test('a call that has waited for a leader, and finds it here, is confirmed too', async () => {
      const manager = await cluster.member('manager1', Role.MANAGER);
      follower.follow(undefined);
      let confirmations = 0;
      follower.readIndex = () => {
        confirmations += 1;
        return Promise.resolve();
      };
      using channel = to(follower, manager);
      const answer = ofNode(channel);
      await new Promise((resolve) => setTimeout(resolve, 20));
      follower.lead();
      assert.equal(await answer, 'as follower knows it');
      assert.equal(confirmations, 1);
    });
  });

  describe('ends a call', () => {
    test('at the leader when the reader stops, and holds the leader back before', async () => {
      using channel = to(follower, worker);
      const stream = channel.service('Dispatcher').Session({})[Symbol.asyncIterator]();
      await stream.next();
      // The windows and queues on the way fill, then nothing moves any more.
      let seen = -1;
      while (leader.written !== seen) {
        seen = leader.written;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.ok(seen < 2000, `${seen} messages of 64 KiB are under way`);
      for (let n = 0; n < seen + 20; n += 1) await stream.next();
      assert.ok(leader.written > seen);
      await stream.return?.();
      await leader.ended.promise;
    });

    test('at the leader when a writer gives up, who was held back by it before', async () => {
      using channel = to(follower, worker);
      const upload = channel.service('LogBroker').PublishLogs();
      let sent = 0;
      const writing = (async () => {
        for (;;) {
          await upload.write({ subscriptionId: BIG });
          sent += 1;
        }
      })();
      let seen = 0;
      while (seen === 0 || sent !== seen) {
        seen = sent;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.ok(seen > 0 && seen < 2000, `${seen} messages of 64 KiB are under way`);
      assert.equal(leader.uploaded, 1);
      upload.cancel();
      await assert.rejects(writing, fails(Code.CANCELLED, /./));
      await leader.ended.promise;
    });

    test('at the leader when the caller gives up, for every shape', async () => {
      for (const shape of ['unary', 'upload', 'download'] as const) {
        leader.ended = Promise.withResolvers();
        leader.entered = Promise.withResolvers();
        const controller = new AbortController();
        const { signal } = controller;
        using channel = to(follower, worker);
        const { Heartbeat, Session } = channel.service('Dispatcher');
        const upload = channel.service('LogBroker').PublishLogs;
        const calls = {
          unary: () => Heartbeat({ sessionId: 'wait' }, { signal }),
          upload: () => upload({ signal }).finish(),
          download: () => Session({}, { signal })[Symbol.asyncIterator]().next(),
        };
        if (shape === 'upload') {
          const stream = upload({ signal });
          await stream.write({ subscriptionId: 's' });
          await leader.entered.promise;
          controller.abort();
          await assert.rejects(stream.finish(), fails(Code.CANCELLED, /./));
        } else {
          const call = calls[shape]().catch((error: unknown) => error);
          await leader.entered.promise;
          controller.abort();
          await call;
        }
        await leader.ended.promise;
      }
    });

    test('for the caller when its deadline passes, and at the leader too', async () => {
      using channel = to(follower, worker);
      let isThere = false;
      const hasEntered = (): boolean => isThere;
      void leader.entered.promise.then(() => (isThere = true));
      // A call that ends before it has reached the leader is asked anew, with more time.
      for (let timeoutMs = 100; !hasEntered(); timeoutMs *= 2) {
        await assert.rejects(
          channel.service('Dispatcher').Heartbeat({ sessionId: 'wait' }, { timeoutMs }),
          fails(Code.DEADLINE_EXCEEDED, /./),
        );
      }
      await leader.ended.promise;
    });

    test('for a writer when the leader refuses it in the middle', async () => {
      using channel = to(follower, worker);
      const upload = channel.service('LogBroker').PublishLogs();
      await upload.write({ subscriptionId: 'unknown' });
      await assert.rejects(
        async () => {
          for (;;) await upload.write({ subscriptionId: 's' });
        },
        fails(Code.NOT_FOUND, 'no such thing'),
      );
    });
  });

  describe('tells the leader', () => {
    test('which worker or manager called, and from where', async () => {
      const manager = await cluster.member('client', Role.MANAGER);
      for (const [identity, nodeId, role] of [
        [worker, 'worker1', Role.WORKER],
        [manager, 'client', Role.MANAGER],
      ] as const) {
        using channel = to(follower, identity);
        await channel.service('Dispatcher').Heartbeat({});
        const { organization } = cluster;
        assert.deepEqual(known(leader.callers.at(-1)), {
          nodeId,
          organization,
          roles: [role],
          local: false,
          forwardedBy: 'follower',
        });
      }
    });

    test('that a caller has no certificate, who may then do what anybody may', async () => {
      using channel = to(follower);
      const { nodeId } = await channel.service('NodeCA').IssueNodeCertificate({});
      assert.equal(nodeId, 'by leader');
      assert.deepEqual(known(leader.callers.at(-1)), {
        nodeId: '',
        organization: '',
        roles: [],
        local: false,
        forwardedBy: 'follower',
      });
      await assert.rejects(
        channel.service('Dispatcher').Heartbeat({}),
        fails(
          Code.PERMISSION_DENIED,
          'Permission denied: missing information in forwarded request',
        ),
      );
    });

    test('nothing of who is at its control socket: the call is its own', async () => {
      using channel = new Channel({ to: 'socket', path: follower.socketPath });
      await channel.service('Dispatcher').Heartbeat({});
      const { organization } = cluster;
      assert.deepEqual(known(leader.callers.at(-1)), {
        nodeId: 'follower',
        organization,
        roles: [Role.MANAGER],
        local: false,
        forwardedBy: undefined,
      });
    });

    test('the new certificate after a renewal, while older calls go on', async () => {
      using channel = to(follower, worker);
      const stream = channel.service('Dispatcher').Session({})[Symbol.asyncIterator]();
      await stream.next();
      follower.credentials = await cluster.member('renewed', Role.MANAGER);
      await channel.service('Dispatcher').Heartbeat({});
      assert.equal(leader.callers.at(-1)?.forwardedBy, 'renewed');
      // More than what was on its way already.
      for (let n = 0; n < 300; n += 1) assert.equal((await stream.next()).done, false);
      await stream.return?.();
      await leader.ended.promise;
    });
  });

  describe('refuses', () => {
    const marks = {
      forwarded_cert: 'true',
      forwarded_cert_cn: 'boss',
      forwarded_cert_org: 'testorganization',
      forwarded_cert_ou: Role.MANAGER,
      remote_addr: '10.0.0.9:1',
    };

    test('a caller that only claims to speak for another', async () => {
      const metadata = marks;
      for (const identity of [worker, undefined]) {
        using channel = to(follower, identity);
        await assert.rejects(
          channel.service('Dispatcher').Heartbeat({}, { metadata }),
          fails(Code.PERMISSION_DENIED, /^Permission denied: unauthorized forwarder role: /),
        );
      }
      using direct = to(leader, worker);
      await assert.rejects(
        direct.service('Dispatcher').Heartbeat({}, { metadata }),
        fails(Code.PERMISSION_DENIED, /^Permission denied: unauthorized forwarder role: /),
      );
      assert.deepEqual(leader.callers, []);
    });

    test('a second hop, by either mark', async () => {
      const manager = await cluster.member('other', Role.MANAGER);
      using channel = to(follower, manager);
      const { Heartbeat } = channel.service('Dispatcher');
      await assert.rejects(
        Heartbeat({}, { metadata: { redirect: '10.0.0.8:1' } }),
        fails(Code.RESOURCE_EXHAUSTED, 'more than one redirect to leader from: [10.0.0.8:1]'),
      );
      await assert.rejects(
        Heartbeat({}, { metadata: marks }),
        fails(Code.RESOURCE_EXHAUSTED, 'more than one redirect to leader from: [10.0.0.9:1]'),
      );
    });

    test('to send a call in circles', async () => {
      await using third = await TestManager.start('third', cluster);
      third.follow(follower.asLeader);
      using channel = to(third, worker);
      await assert.rejects(
        channel.service('Dispatcher').Heartbeat({}),
        fails(
          Code.RESOURCE_EXHAUSTED,
          /^more than one redirect to leader from: \[127\.0\.0\.1:\d+\]$/,
        ),
      );
      assert.deepEqual(leader.callers, []);
    });

    test('nothing that it answers itself', async () => {
      using channel = to(follower, follower.credentials);
      follower.follow(await deadLeader());
      assert.deepEqual(await channel.service('Health').Check({ service: 'Raft' }), { status: 1 });
    });
  });

  describe('when the leader changes', () => {
    test('ends the streams to the old one, and the next go to the new one', async () => {
      await using second = await TestManager.start('second', cluster);
      second.lead();
      using channel = to(follower, worker);
      const stream = channel.service('Dispatcher').Session({})[Symbol.asyncIterator]();
      await stream.next();
      follower.follow(second.asLeader);
      await assert.rejects(
        async () => {
          for (;;) await stream.next();
        },
        fails(Code.UNAVAILABLE, 'the leader has changed'),
      );
      await leader.ended.promise;
      const { nodeId } = await channel.service('NodeCA').IssueNodeCertificate({});
      assert.equal(nodeId, 'by second');
    });

    for (const how of ['is cut off', 'is replaced'] as const) {
      test(`a call to one that ${how} is repeated if it may be, else unavailable`, async () => {
        await using stuck = await TestManager.start('stuck', cluster);
        stuck.lead();
        await using wire = await Wire.to(stuck.address);
        follower.follow(wire.asLeader);
        using channel = to(follower, worker);
        const write = assert.rejects(
          channel.service('NodeCA').IssueNodeCertificate({}),
          fails(Code.UNAVAILABLE, how === 'is replaced' ? 'the leader has changed' : /./),
        );
        await stuck.entered.promise;
        stuck.entered = Promise.withResolvers();
        const report = channel.service('Dispatcher').Heartbeat({ sessionId: 'four' });
        await stuck.entered.promise;
        if (how === 'is cut off') {
          wire.cut();
          await write;
        }
        follower.follow(leader.asLeader);
        await write;
        assert.equal((await report).period?.seconds, 4);
        assert.equal(leader.callers.length, 1);
      });
    }

    test('a call that was not sent waits for one that serves', async () => {
      await using wire = await Wire.to(undefined);
      follower.follow(wire.asLeader);
      leader.health.set('Raft', false);
      using channel = to(follower, worker);
      const answer = channel.service('NodeCA').IssueNodeCertificate({});
      await wire.dialled.promise;
      const asked = leader.healthAsked();
      follower.follow(leader.asLeader);
      await asked;
      assert.deepEqual(leader.callers, []);
      leader.health.set('Raft', true);
      assert.equal((await answer).nodeId, 'by leader');
    });

    test('a call that went to a manager that leads no more is sent again', async () => {
      await using former = await TestManager.start('former', cluster);
      former.follow(leader.asLeader);
      follower.follow(former.asLeader);
      using channel = to(follower, worker);
      const asked = former.healthAsked();
      const answer = channel.service('NodeCA').IssueNodeCertificate({});
      former.health.set('Raft', false);
      await asked;
      follower.follow(leader.asLeader);
      assert.equal((await answer).nodeId, 'by leader');
    });

    test('a call that was not sent is answered here once this manager leads', async () => {
      await using wire = await Wire.to(undefined);
      follower.follow(wire.asLeader);
      using channel = to(follower, worker);
      const answer = channel.service('NodeCA').IssueNodeCertificate({});
      await wire.dialled.promise;
      follower.lead();
      assert.equal((await answer).nodeId, 'by follower');
      assert.equal(follower.callers.at(-1)?.nodeId, 'worker1');
    });
  });

  describe('without a leader', () => {
    test('holds calls of every shape until there is one', async () => {
      follower.follow(undefined);
      using channel = to(follower, worker);
      const { Heartbeat, Assignments } = channel.service('Dispatcher');
      const upload = channel.service('LogBroker').PublishLogs();
      await upload.write({ subscriptionId: 's' });
      const answers = Promise.all([
        Heartbeat({}),
        Array.fromAsync(Assignments({ sessionId: '2' })),
        upload.finish(),
      ]);
      follower.follow(leader.asLeader);
      const [, messages, finished] = await answers;
      assert.equal(messages.length, 2);
      assert.deepEqual(finished, {});
    });

    test('answers every shape itself when it is elected meanwhile', async () => {
      follower.follow(undefined);
      using channel = to(follower, worker);
      const { Heartbeat, Assignments } = channel.service('Dispatcher');
      const upload = channel.service('LogBroker').PublishLogs();
      await upload.write({ subscriptionId: 's' });
      const answers = Promise.all([
        Heartbeat({}),
        Array.fromAsync(Assignments({ sessionId: '2' })),
        upload.finish(),
      ]);
      follower.lead();
      const [, messages, finished] = await answers;
      assert.equal(messages.length, 2);
      assert.deepEqual(finished, {});
      assert.equal(follower.callers.length, 3);
      assert.deepEqual(leader.callers, []);
    });

    test('finds out by itself when nobody tells it', async () => {
      follower.follow(undefined);
      using channel = to(follower, worker);
      const answer = channel.service('Dispatcher').Heartbeat({ sessionId: 'four' });
      follower.leader = leader.asLeader;
      assert.equal((await answer).period?.seconds, 4);
    });

    test('says so when none comes in time, or it is known that none will', async () => {
      for (const options of [{ patienceMs: 20 }, { hasLostQuorum: () => true }]) {
        await using lonely = await TestManager.start('lonely', cluster, options);
        using channel = to(lonely, worker);
        await assert.rejects(
          channel.service('Dispatcher').Heartbeat({}),
          fails(Code.UNKNOWN, NO_LEADER),
        );
      }
    });

    test('but answers who asks to join, and may be whose vote is missing', async () => {
      await using lonely = await TestManager.start('lonely', cluster, { patienceMs: 20 });
      using channel = to(lonely, await cluster.member('manager1', Role.MANAGER));
      // Nobody serves it in this test, and that is said by the one that was asked.
      const joining = channel.service('RaftMembership').Join({ addr: '127.0.0.1:1' });
      await assert.rejects(joining, { code: Code.UNIMPLEMENTED });
    });

    test('passes on why it knows none', async () => {
      await using stranger = await TestManager.start('stranger', cluster, { leader: noMember });
      using channel = to(stranger, worker);
      await assert.rejects(
        channel.service('Dispatcher').Heartbeat({}),
        fails(Code.UNKNOWN, 'raft: member unknown'),
      );
    });

    test('lets a caller that waits go', async () => {
      follower.follow(undefined);
      using channel = to(follower, worker);
      await assert.rejects(
        channel.service('Dispatcher').Heartbeat({}, { timeoutMs: 30 }),
        fails(Code.DEADLINE_EXCEEDED, /./),
      );
    });

    test('drains: streams end, and what is under way is still answered', async () => {
      await using stuck = await TestManager.start('stuck', cluster);
      stuck.lead();
      follower.follow(stuck.asLeader);
      using channel = to(follower, worker);
      const stream = channel.service('Dispatcher').Session({})[Symbol.asyncIterator]();
      await stream.next();
      stuck.entered = Promise.withResolvers();
      const report = channel.service('Dispatcher').Heartbeat({ sessionId: 'four' });
      await stuck.entered.promise;
      follower.relay.drain();
      await assert.rejects(
        async () => {
          for (;;) await stream.next();
        },
        fails(Code.UNAVAILABLE, 'this manager is stopping'),
      );
      stuck.unstick.resolve();
      assert.equal((await report).period?.seconds, 4);
      await assert.rejects(
        channel.service('Dispatcher').Heartbeat({}),
        fails(Code.UNAVAILABLE, 'this manager is stopping'),
      );
    });

    test('ends those that wait when it stops', async () => {
      follower.follow(undefined);
      using channel = to(follower, worker);
      const answer = assert.rejects(
        channel.service('Dispatcher').Heartbeat({}),
        fails(Code.UNAVAILABLE, 'this manager is stopping'),
      );
      await channel
        .service('Health')
        .Check({})
        .catch(() => undefined); // the call has come in
      follower.relay.close();
      await answer;
    });
  });

  test('a leader that nobody reaches: calls give up in time, streams at once', async () => {
    await using lonely = await TestManager.start('lonely', cluster, { patienceMs: 50 });
    lonely.follow(await deadLeader());
    using channel = to(lonely, worker);
    const { Heartbeat, Session } = channel.service('Dispatcher');
    const unreachable = fails(
      Code.UNAVAILABLE,
      /^cannot connect to 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
    );
    await assert.rejects(Heartbeat({}), unreachable);
    await assert.rejects(Array.fromAsync(Session({})), unreachable);
    const upload = channel.service('LogBroker').PublishLogs();
    await assert.rejects(upload.finish(), unreachable);
  });
});
