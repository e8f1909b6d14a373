/** Services and clients over real listeners: every shape of call, both listeners, all the ways to end. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import { AssignmentsMessage } from '../../shared/wire/gen/dispatcher.ts';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { type Caller, Role } from './authorise.ts';
import { Channel } from './client.ts';
import { Code, hasCode, RpcError } from './errors.ts';
import { Health } from './health.ts';
import { type Credentials, type Listener, listenSocket, listenTcp } from './listener.ts';
import { CallEnded } from './live-calls.ts';
import { Encoded, implement, type Relay } from './service.ts';

const fails = (code: Code, text: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof RpcError, String(error));
  assert.equal(error.code, code, error.message);
  if (typeof text === 'string') assert.equal(error.message, text);
  else assert.match(error.message, text);
  return true;
};

/** What the services under test saw. */
const seen: { callers: Caller[]; ended: unknown[] } = { callers: [], ended: [] };
const endings: (() => void)[] = [];
const nextEnding = (): Promise<void> => new Promise((resolve) => endings.push(resolve));

const dispatcher = implement('Dispatcher', {
  Heartbeat: ({ sessionId }, caller) => {
    seen.callers.push(caller);
    if (sessionId === 'bad') throw new RpcError(Code.INVALID_ARGUMENT, 'session invalid');
    if (sessionId === 'long') throw new Error('€'.repeat(1_000_000));
    if (sessionId === 'odd') throw new Error('100% strange: \ud800 ü');
    return { period: { seconds: 5, nanos: 0 } };
  },
  UpdateTaskStatus: ({ updates }) => {
    assert.equal(updates.length, 0);
    return {};
  },
  // Endless: ends only when the caller goes.
  Session: async (_request, _caller, sink) => {
    try {
      for (let n = 0; ; n += 1) await sink.write({ ...session, sessionId: String(n) });
    } catch (error) {
      seen.ended.push(error);
      endings.shift()?.();
      throw error;
    }
  },
  Assignments: async ({ sessionId }, _caller, sink) => {
    for (let n = 0; n < Number(sessionId); n += 1) {
      const message = AssignmentsMessage.create({ resultsIn: String(n) });
      await sink.write(n % 2 === 0 ? message : new Encoded(AssignmentsMessage.encode(message)));
    }
    if (sessionId === '3') throw new RpcError(Code.ABORTED, 'dispatcher is stopped');
  },
});
const session = {
  sessionId: '',
  node: undefined,
  managers: [],
  networkBootstrapKeys: [],
  rootCa: new Uint8Array(),
};

const logBroker = implement('LogBroker', {
  PublishLogs: async (requests, caller) => {
    seen.callers.push(caller);
    let count = 0;
    for await (const { subscriptionId, close } of requests) {
      count += 1;
      if (close) return undefined;
      if (subscriptionId === 'unknown') throw new RpcError(Code.NOT_FOUND, 'no such subscription');
    }
    assert.ok(count > 0);
    return {};
  },
});

const nodeCa = implement('NodeCA', {
  IssueNodeCertificate: (_request, caller) => {
    seen.callers.push(caller);
    return { nodeId: caller.nodeId, nodeMembership: 0 };
  },
});

describe('calls', () => {
  let cluster: TestCluster;
  let manager: Credentials;
  let worker: Credentials;
  let directory: string;
  let tcp: Listener;
  let socket: Listener;
  const removed = new Set<string>();
  const health = new Health(['Raft']);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-rpc-'));
    cluster = await testCluster();
    manager = await cluster.member('manager1', Role.MANAGER);
    worker = await cluster.member('worker1', Role.WORKER);
    const services = [dispatcher, logBroker, nodeCa, health.service];
    const common = { credentials: manager, services, log: silentLog };
    tcp = await listenTcp({
      ...common,
      host: '127.0.0.1',
      port: 0,
      policy: { organization: cluster.organization, isRemoved: (id) => removed.has(id) },
    });
    socket = await listenSocket({
      ...common,
      path: join(directory, 'run', 'control.sock'),
      self: () => ({
        nodeId: 'manager1',
        organization: cluster.organization,
        roles: [Role.MANAGER],
        remoteAddress: '127.0.0.1:0',
      }),
    });
  });

  after(async () => {
    await tcp.stop(0);
    await socket.stop(0);
    await rm(directory, { recursive: true });
  });

  const as = (identity: Credentials | undefined): Channel =>
    new Channel({
      to: 'manager',
      address: tcp.address,
      rootPem: cluster.root.certificatePem,
      ...(identity === undefined ? {} : { identity }),
    });

  test('a unary call reaches its handler with the caller of the certificate', async () => {
    using channel = as(worker);
    const { period } = await channel.service('Dispatcher').Heartbeat({ sessionId: 's' });
    assert.deepEqual(period, { seconds: 5, nanos: 0 });
    const { remoteAddress, ...caller } = seen.callers.at(-1) ?? assert.fail();
    assert.match(remoteAddress, /^127\.0\.0\.1:\d+$/);
    assert.deepEqual(caller, {
      nodeId: 'worker1',
      organization: cluster.organization,
      roles: ['swarm-worker'],
      local: false,
      forwardedBy: undefined,
    });
  });

  test('a typed error arrives with its code and text, any other as Unknown with its text', async () => {
    using channel = as(worker);
    const { Heartbeat } = channel.service('Dispatcher');
    await assert.rejects(
      Heartbeat({ sessionId: 'bad' }),
      fails(Code.INVALID_ARGUMENT, 'session invalid'),
    );
    await assert.rejects(
      Heartbeat({ sessionId: 'odd' }),
      fails(Code.UNKNOWN, '100% strange: \ufffd ü'),
    );
  });

  test('a very long text arrives cut, not lost', async () => {
    using channel = as(worker);
    await assert.rejects(
      channel.service('Dispatcher').Heartbeat({ sessionId: 'long' }),
      fails(Code.UNKNOWN, /^€{4095}…$/),
    );
  });

  test('a method without a handler is Unimplemented', async () => {
    using channel = as(worker);
    await assert.rejects(
      channel.service('ResourceAllocator').DetachNetwork({ attachmentId: 'x' }),
      fails(Code.UNIMPLEMENTED, /./),
    );
  });

  test('a request that cannot be decoded is Internal, and the server goes on', async () => {
    using channel = as(worker);
    const { Heartbeat } = channel.service('Dispatcher');
    const garbage = new Encoded(Uint8Array.of(0x0a, 0xff));
    await assert.rejects(
      // The type says what a program may send; the wire does not.
      Reflect.apply(Heartbeat, undefined, [garbage]),
      fails(Code.INTERNAL, /^grpc: error unmarshalling request: docker\.swarmkit\.v1\.Heartbeat/),
    );
    await Heartbeat({ sessionId: 's' });
  });

  test('a request above 4 MiB is refused, and one just below is served', async () => {
    using channel = as(worker);
    const { Heartbeat } = channel.service('Dispatcher');
    const most = 4 << 20;
    await Heartbeat({ sessionId: 'x'.repeat(most - 16) });
    await assert.rejects(
      Heartbeat({ sessionId: 'x'.repeat(most + 1) }),
      fails(Code.RESOURCE_EXHAUSTED, /max/),
    );
  });

  test('a server stream carries messages and encoded bytes in order, then its status', async () => {
    using channel = as(worker);
    const got: string[] = [];
    for await (const { resultsIn } of channel.service('Dispatcher').Assignments({
      sessionId: '100',
    })) {
      got.push(resultsIn);
    }
    assert.deepEqual(got, [...Array(100).keys()].map(String));
    const failing = channel.service('Dispatcher').Assignments({ sessionId: '3' });
    await assert.rejects(
      async () => {
        for await (const _ of failing);
      },
      fails(Code.ABORTED, 'dispatcher is stopped'),
    );
  });

  test('a reader that stops, stops an endless handler; a slow one holds it back', async () => {
    using channel = as(worker);
    const ended = nextEnding();
    let count = 0;
    for await (const _ of channel.service('Dispatcher').Session({})) {
      count += 1;
      if (count === 10) break;
    }
    await ended;
    assert.ok(seen.ended.at(-1) instanceof CallEnded);
  });

  test('a signal cancels a stream and a waiting unary call', async () => {
    using channel = as(worker);
    const ended = nextEnding();
    const controller = new AbortController();
    const stream = channel.service('Dispatcher').Session({}, { signal: controller.signal });
    await assert.rejects(
      async () => {
        for await (const _ of stream) controller.abort();
      },
      fails(Code.CANCELLED, /./),
    );
    await ended;
    await assert.rejects(
      channel.service('Dispatcher').Heartbeat({}, { signal: controller.signal }),
      fails(Code.CANCELLED, /./),
    );
  });

  test('a deadline ends a call on both sides', async () => {
    using channel = as(worker);
    const { Session } = channel.service('Dispatcher');
    const ended = nextEnding();
    // A call that ends before it has reached the server is asked anew, with more time.
    let received = 0;
    const hasBegun = (): boolean => received > 0;
    for (let timeoutMs = 50; !hasBegun(); timeoutMs *= 2) {
      await assert.rejects(
        async () => {
          for await (const _ of Session({}, { timeoutMs })) received += 1;
        },
        fails(Code.DEADLINE_EXCEEDED, /./),
      );
    }
    await ended;
  });

  test('a client stream ends with an answer, with none, or with an error', async () => {
    using channel = as(worker);
    const { PublishLogs } = channel.service('LogBroker');
    const many = PublishLogs();
    for (let n = 0; n < 200; n += 1) await many.write({ subscriptionId: 's' });
    assert.deepEqual(await many.finish(), {});
    const closing = PublishLogs();
    await closing.write({ close: true });
    assert.equal(await closing.finish(), undefined);
    const wrong = PublishLogs();
    await wrong.write({ subscriptionId: 'unknown' });
    await assert.rejects(wrong.finish(), fails(Code.NOT_FOUND, 'no such subscription'));
  });

  test('without a certificate only the methods for everybody answer', async () => {
    using channel = as(undefined);
    await channel.service('NodeCA').IssueNodeCertificate({ role: NodeRole.WORKER });
    const { nodeId, roles, local } = seen.callers.at(-1) ?? assert.fail();
    assert.deepEqual({ nodeId, roles, local }, { nodeId: '', roles: [], local: false });
    await assert.rejects(
      channel.service('Dispatcher').Heartbeat({}),
      fails(
        Code.PERMISSION_DENIED,
        'Permission denied: unauthorized peer role: rpc error: code = PermissionDenied desc = no client certificates in request',
      ),
    );
  });

  test('a node that was removed is refused from then on', async () => {
    const gone = await cluster.member('gone1', Role.WORKER);
    using channel = as(gone);
    await channel.service('Dispatcher').Heartbeat({});
    removed.add('gone1');
    await assert.rejects(
      channel.service('Dispatcher').Heartbeat({}),
      fails(Code.PERMISSION_DENIED, /node gone1 was removed from swarm$/),
    );
  });

  test('the control socket answers without a certificate, as this node itself', async () => {
    using channel = new Channel({ to: 'socket', path: socket.address });
    await channel.service('Dispatcher').Heartbeat({});
    assert.deepEqual(seen.callers.at(-1), {
      nodeId: 'manager1',
      organization: cluster.organization,
      roles: ['swarm-manager'],
      remoteAddress: '127.0.0.1:0',
      local: true,
      forwardedBy: undefined,
    });
  });

  test('health says what serves', async () => {
    using channel = as(manager);
    const { Check } = channel.service('Health');
    assert.deepEqual(await Check({}), { status: 1 });
    assert.deepEqual(await Check({ service: 'Raft' }), { status: 2 });
    health.set('Raft', true);
    assert.deepEqual(await Check({ service: 'Raft' }), { status: 1 });
    await assert.rejects(
      Check({ service: 'ControlAPI' }),
      (error) => hasCode(error, Code.NOT_FOUND) && error.message === 'unknown service',
    );
  });

  describe('a listener that relays', () => {
    /** Answers in place of the leader, with what it was given. */
    const relayed: { path: string; bytes: string; address: string; mark: readonly string[] }[] = [];
    const relay: Relay = {
      relay: async (method, requests, { header, peer: { address }, signal, write }) => {
        assert.ok(!signal.aborted);
        for await (const bytes of requests) {
          const mark = header('x-mark');
          relayed.push({ path: method.path, bytes: Buffer.from(bytes).toString(), address, mark });
          if (bytes.length === 0) throw new RpcError(Code.RESOURCE_EXHAUSTED, 'no leader');
          if (method.responseStream) {
            for (const resultsIn of ['1', '2']) {
              await write(AssignmentsMessage.encode(AssignmentsMessage.create({ resultsIn })));
            }
          }
        }
        if (method.responseStream) return undefined;
        return method.requestStream ? undefined : method.response.encode({ period: undefined });
      },
    };
    let follower: Listener;

    before(async () => {
      follower = await listenTcp({
        host: '127.0.0.1',
        port: 0,
        credentials: manager,
        services: [dispatcher, logBroker, health.service],
        policy: { organization: cluster.organization, isRemoved: () => false },
        route: ({ path }) => (path.includes('Health') ? undefined : relay),
        log: silentLog,
      });
    });
    after(() => follower.stop(0));

    test('passes on what is not its own, unread and unauthorised', async () => {
      using channel = new Channel({
        to: 'manager',
        address: follower.address,
        rootPem: cluster.root.certificatePem,
      });
      const { Assignments, Heartbeat } = channel.service('Dispatcher');
      const metadata = { 'x-mark': ['one', 'two'] };
      const got: string[] = [];
      for await (const { resultsIn } of Assignments({ sessionId: 's' }, { metadata })) {
        got.push(resultsIn);
      }
      assert.deepEqual(got, ['1', '2']);
      const { address, ...rest } = relayed[0] ?? assert.fail();
      assert.match(address, /^127\.0\.0\.1:\d+$/);
      assert.deepEqual(rest, {
        path: '/docker.swarmkit.v1.Dispatcher/Assignments',
        bytes: '\n\u0001s',
        mark: ['one, two'],
      });
      await assert.rejects(Heartbeat({}), fails(Code.RESOURCE_EXHAUSTED, 'no leader'));
      const upload = channel.service('LogBroker').PublishLogs();
      await upload.write({ subscriptionId: 'a' });
      await upload.write({ subscriptionId: 'b' });
      assert.equal(await upload.finish(), undefined);
      assert.deepEqual(
        relayed.slice(-2).map(({ bytes }) => bytes),
        ['\n\u0001a', '\n\u0001b'],
      );
      // Health is answered here, and here this caller may not ask.
      await assert.rejects(
        channel.service('Health').Check({}),
        fails(Code.PERMISSION_DENIED, /no client certificates/),
      );
    });
  });
});
