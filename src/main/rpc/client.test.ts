/** Channels when the other side is wrong, away or back again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { Role } from './authorise.ts';
import { Channel, type ChannelTarget, SERVER_NAMES } from './client.ts';
import { Code, RpcError } from './errors.ts';
import { type Credentials, type Listener, listenTcp } from './listener.ts';
import { implement } from './service.ts';

const unavailable = (text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RpcError, String(error));
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, text);
  return true;
};

async function heartbeat(to: ChannelTarget): Promise<unknown> {
  using channel = new Channel(to);
  return await channel.service('Dispatcher').Heartbeat({});
}

describe('a channel', () => {
  let cluster: TestCluster;
  let manager: Credentials;
  let worker: Credentials;
  let listener: Listener;
  let entered = Promise.withResolvers<void>();

  const services = [
    implement('Dispatcher', {
      Heartbeat: async ({ sessionId }, _caller, { signal }) => {
        entered.resolve();
        if (sessionId === 'wait') await once(signal, 'abort');
        return { period: { seconds: 1, nanos: 0 } };
      },
    }),
  ];
  const listenAt = (port: number): Promise<Listener> =>
    listenTcp({
      host: '127.0.0.1',
      port,
      credentials: manager,
      services,
      policy: { organization: cluster.organization, isRemoved: () => false },
      log: silentLog,
    });
  const target = (part: Partial<ChannelTarget & { to: 'manager' }> = {}): ChannelTarget => ({
    to: 'manager',
    address: listener.address,
    rootPem: worker.rootPem,
    identity: worker,
    ...part,
  });
  before(async () => {
    cluster = await testCluster();
    manager = await cluster.member('manager1', Role.MANAGER);
    worker = await cluster.member('worker1', Role.WORKER);
  });
  beforeEach(async () => {
    entered = Promise.withResolvers();
    listener = await listenAt(0);
  });
  afterEach(() => listener.stop(0));
  after(() => listener.stop(0));

  test('says why there is no connection', async () => {
    const other = await testCluster();
    const rows: readonly [ChannelTarget, RegExp][] = [
      [target({ address: '127.0.0.1:1' }), /^cannot connect to 127\.0\.0\.1:1: .*ECONNREFUSED/],
      [target({ address: 'nonsense' }), /^invalid address "nonsense": expected HOST:PORT$/],
      [target({ address: 'host:0' }), /^invalid address/],
      [target({ address: 'host:99999' }), /^invalid address/],
      [
        target({ rootPem: other.root.certificatePem }),
        /self-signed certificate in certificate chain/,
      ],
      [target({ identity: { certificatePem: 'x', keyPem: 'y' } }), /^cannot connect to /],
      [target({ serverName: 'swarm-worker' }), /does not match certificate's altnames/],
      [{ to: 'socket', path: '/nowhere/control.sock' }, /^cannot connect to \/nowhere.*ENOENT/],
    ];
    for (const [to, text] of rows) await assert.rejects(heartbeat(to), unavailable(text));
  });

  test('reaches a manager under each of its names', async () => {
    for (const serverName of [...Object.values(SERVER_NAMES), 'manager1']) {
      await heartbeat(target({ serverName }));
    }
    await heartbeat({ to: 'anyone', address: listener.address }).catch((error: unknown) => {
      assert.ok(error instanceof RpcError && error.code === Code.PERMISSION_DENIED);
    });
  });

  test('is refused by a server that does not speak TLS, or hangs up', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end('HTTP/1.1 200 OK\r\n\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    await assert.rejects(
      heartbeat(target({ address: `127.0.0.1:${address.port}` })),
      unavailable(/^cannot connect/),
    );
    server.close();
    await once(server, 'close');
  });

  test('a limit of time or patience counts while it still connects', async () => {
    // Takes connections and never says a word.
    const silent = net.createServer((socket) => void socket.resume()).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    assert.ok(typeof address === 'object' && address !== null);
    using channel = new Channel(target({ address: `127.0.0.1:${address.port}` }));
    const { Heartbeat } = channel.service('Dispatcher');
    await assert.rejects(Heartbeat({}, { timeoutMs: 20 }), { code: Code.DEADLINE_EXCEEDED });
    const signal = AbortSignal.timeout(20);
    await assert.rejects(Heartbeat({}, { signal }), { code: Code.CANCELLED });
    const waiting = Heartbeat({});
    channel.close();
    await assert.rejects(waiting, unavailable(/the connection was closed/));
    silent.close();
    await once(silent, 'close');
  });

  test('close ends what is under way and what comes later', async () => {
    const channel = new Channel(target());
    const { Heartbeat } = channel.service('Dispatcher');
    const waiting = Heartbeat({ sessionId: 'wait' });
    await entered.promise;
    channel.close();
    const cancelled = { code: Code.CANCELLED, message: 'the client was closed' };
    await assert.rejects(waiting, cancelled);
    await assert.rejects(Heartbeat({}), cancelled);
    channel.close();
  });

  test('comes back by itself when the manager does', async () => {
    using channel = new Channel(target());
    const { Heartbeat } = channel.service('Dispatcher');
    await Heartbeat({});
    const waiting = Heartbeat({ sessionId: 'wait' });
    const { port } = listener;
    await Promise.all([assert.rejects(waiting, { code: Code.UNAVAILABLE }), listener.stop(0)]);
    await assert.rejects(Heartbeat({}), { code: Code.UNAVAILABLE });
    listener = await listenAt(port);
    await Heartbeat({});
  });

  test('an upload that cannot begin, or is cut, fails its writer and its finisher', async () => {
    using channel = new Channel(target({ address: '127.0.0.1:1' }));
    const upload = channel.service('LogBroker').PublishLogs();
    await assert.rejects(upload.write({}), { code: Code.UNAVAILABLE });
    await assert.rejects(upload.finish(), { code: Code.UNAVAILABLE });
    upload.cancel();
    using open = new Channel(target());
    const refused = open.service('LogBroker').PublishLogs();
    // Nobody serves logs here: the server ends the call while this side still writes.
    await assert.rejects(
      async () => {
        for (;;) await refused.write({ subscriptionId: 'x'.repeat(1000) });
      },
      { code: Code.UNIMPLEMENTED },
    );
    await assert.rejects(refused.finish(), { code: Code.UNIMPLEMENTED });
  });
});
