/** Listeners against everything that is not a well-behaved client, and through changes and stops. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, link, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { LISTENS_AT, Role } from './authorise.ts';
import { Channel } from './client.ts';
import { Code } from './errors.ts';
import { frame } from './frames.ts';
import { Health } from './health.ts';
import { type Credentials, type Listener, listenSocket, listenTcp } from './listener.ts';
import { Encoded, implement } from './service.ts';

const self = () => ({
  nodeId: 'm',
  organization: 'o',
  roles: ['swarm-manager'],
  remoteAddress: '',
});

/** How many sockets and servers this process has open. */
const openHandles = (): number =>
  process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|TLS/.test(name)).length;

async function untilHandles(count: number): Promise<void> {
  while (openHandles() > count) await new Promise((resolve) => setImmediate(resolve));
}

describe('a listener', () => {
  let directory: string;
  let cluster: TestCluster;
  let manager: Credentials;
  let worker: Credentials;
  let listener: Listener;
  let handles = 0;
  const heard: (string | undefined)[] = [];
  let entered = Promise.withResolvers<AbortSignal>();

  const services = [
    new Health(['Raft']).service,
    implement('Dispatcher', {
      Heartbeat: ({ sessionId }) => ({ period: { seconds: sessionId.length, nanos: 0 } }),
      UpdateTaskStatus: (_request, { listensAt }) => {
        heard.push(listensAt);
        return {};
      },
      // Never ends by itself.
      Session: (_request, _caller, sink) => {
        entered.resolve(sink.signal);
        return new Promise((_resolve, reject) =>
          sink.signal.addEventListener('abort', () => reject(new Error('ended'))),
        );
      },
    }),
  ];

  const listenAt = (port: number, credentials: Credentials): Promise<Listener> =>
    listenTcp({
      host: '127.0.0.1',
      port,
      credentials,
      services,
      policy: { organization: cluster.organization, isRemoved: () => false },
      log: silentLog,
      limits: { handshakeTimeoutMs: 200 },
    });

  const channel = (identity = worker, address = listener.address): Channel =>
    new Channel({ to: 'manager', address, rootPem: identity.rootPem, identity });

  const listenOn = (path: string): Promise<Listener> =>
    listenSocket({ path, credentials: manager, services, self, log: silentLog });

  /** The listener still serves a proper client. */
  async function assertServes(): Promise<void> {
    using client = channel();
    const { period } = await client.service('Dispatcher').Heartbeat({ sessionId: 'four' });
    assert.equal(period?.seconds, 4);
  }

  const connectTls = (options: tls.ConnectionOptions = {}): tls.TLSSocket =>
    tls.connect({
      port: listener.port,
      host: '127.0.0.1',
      servername: 'swarm-manager',
      ca: worker.rootPem,
      ALPNProtocols: ['h2'],
      ...options,
    });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-listener-'));
    cluster = await testCluster();
    manager = await cluster.member('manager1', Role.MANAGER);
    worker = await cluster.member('worker1', Role.WORKER);
  });

  beforeEach(async () => {
    handles = openHandles();
    entered = Promise.withResolvers();
    listener = await listenAt(0, manager);
  });

  afterEach(async () => {
    await listener.stop(0);
    await untilHandles(handles); // nothing may be left open
  });

  after(() => rm(directory, { recursive: true }));

  test('garbage bytes instead of a handshake end that connection only', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const socket = net.connect(listener.port, '127.0.0.1');
        socket.on('error', () => undefined);
        socket.end(bytes);
        socket.resume();
        await once(socket, 'close');
      }),
      { numRuns: 30 },
    );
    await assertServes();
  });

  test('plaintext HTTP/2 and HTTP/1 end that connection only', async () => {
    for (const text of ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n']) {
      const socket = net.connect(listener.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(text);
      socket.resume();
      await once(socket, 'close');
    }
    await assertServes();
  });

  test('garbage after the handshake ends that connection only', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 9, maxLength: 300 }), async (bytes) => {
        const socket = connectTls();
        socket.on('error', () => undefined);
        await once(socket, 'secureConnect');
        socket.end(bytes);
        socket.resume();
        await once(socket, 'close');
      }),
      { numRuns: 30 },
    );
    await assertServes();
  });

  test('a handshake that never finishes is dropped in time', async () => {
    const silent = net.connect(listener.port, '127.0.0.1');
    const slow = net.connect(listener.port, '127.0.0.1');
    slow.write(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01)); // the start of a ClientHello
    for (const socket of [silent, slow]) socket.on('error', () => undefined).resume();
    await Promise.all([once(silent, 'close'), once(slow, 'close')]);
    await assertServes();
  });

  test('a foreign ALPN is refused; none at all is served', async () => {
    const alien = connectTls({ ALPNProtocols: ['spdy/3'] });
    const [error] = await once(alien, 'error');
    assert.match(String(error), /no application protocol/i);

    const { cert, key } = { cert: worker.certificatePem, key: worker.keyPem };
    const options: tls.ConnectionOptions = { cert, key };
    const bare = tls.connect({
      ...options,
      port: listener.port,
      host: '127.0.0.1',
      servername: 'swarm-manager',
      ca: worker.rootPem,
    });
    await once(bare, 'secureConnect');
    assert.equal(bare.alpnProtocol, false);
    const session = http2.connect('https://swarm-manager', { createConnection: () => bare });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/docker.swarmkit.v1.Dispatcher/Heartbeat',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end(frame(new Uint8Array()));
    stream.resume();
    const [trailers] = await once(stream, 'trailers');
    assert.equal(trailers['grpc-status'], '0');
    session.close();
    await once(session, 'close');
  });

  test('a certificate of another cluster never becomes a caller', async () => {
    const foreign = await testCluster();
    const intruder = await foreign.member('worker1', Role.WORKER, cluster.organization);
    using client = channel({ ...intruder, rootPem: worker.rootPem });
    await assert.rejects(client.service('Dispatcher').Heartbeat({}), { code: Code.UNAVAILABLE });
    await assertServes();
  });

  test('a caller may say where it is reached', async () => {
    using client = channel();
    const { UpdateTaskStatus } = client.service('Dispatcher');
    await UpdateTaskStatus({}, { metadata: { [LISTENS_AT]: '10.0.0.7:2377' } });
    await UpdateTaskStatus({});
    assert.deepEqual(heard, ['10.0.0.7:2377', undefined]);
  });

  test('TLS 1.1 and ciphers without forward secrecy are refused', async () => {
    for (const options of [
      { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' },
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' },
    ] as const) {
      const socket = connectTls(options);
      await once(socket, 'error');
    }
    const fine = connectTls({ maxVersion: 'TLSv1.2' });
    await once(fine, 'secureConnect');
    fine.destroy();
    await assertServes();
  });

  test('odd requests get a status, and the connection goes on', async () => {
    const session = http2.connect('https://swarm-manager', {
      createConnection: () => connectTls({ cert: worker.certificatePem, key: worker.keyPem }),
    });
    const post = async (headers: http2.OutgoingHttpHeaders, body: Uint8Array) => {
      const stream = session.request({ ':method': 'POST', te: 'trailers', ...headers });
      stream.on('error', (error) => (answers = { 'grpc-message': error.message }));
      let answers: http2.IncomingHttpHeaders = {};
      stream.on('response', (answer) => (answers = { ...answers, ...answer }));
      stream.on('trailers', (answer) => (answers = { ...answers, ...answer }));
      stream.end(body);
      stream.resume();
      await new Promise((resolve) => stream.once('close', resolve));
      return answers;
    };
    const grpc = { 'content-type': 'application/grpc' };
    const heartbeat = { ...grpc, ':path': '/docker.swarmkit.v1.Dispatcher/Heartbeat' };
    const empty = frame(new Uint8Array());
    const unknown = await post(
      { ...grpc, ':path': '/docker.swarmkit.v1.Dispatcher/Nothing' },
      empty,
    );
    assert.equal(unknown['grpc-status'], '12');
    assert.equal(
      (await post({ ':path': '/', 'content-type': 'text/plain' }, empty))[':status'],
      415,
    );
    for (const path of ['/é', '/%zz', '/ü/\u00ff', `/${'x'.repeat(5000)}`, '*', '/a b\tc']) {
      const answer = await post({ ...grpc, ':path': path }, empty);
      const refused = /PROTOCOL_ERROR/.test(answer['grpc-message']?.toString() ?? '');
      assert.ok(refused || answer['grpc-status'] === '12', path);
    }
    // No message; two messages; a head without its message; a compressed one; a huge one.
    assert.equal((await post(heartbeat, new Uint8Array()))['grpc-status'], '12');
    assert.equal((await post(heartbeat, Buffer.concat([empty, empty])))['grpc-status'], '12');
    const huge = await post(heartbeat, Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff));
    assert.equal(huge['grpc-status'], '8');
    const packed = await post(heartbeat, Uint8Array.of(1, 0, 0, 0, 0));
    assert.equal(packed['grpc-status'], '0');
    const codec = await post({ ...heartbeat, 'grpc-encoding': 'x' }, Uint8Array.of(1, 0, 0, 0, 0));
    assert.equal(codec['grpc-status'], '12');
    assert.equal(
      (await post({ ...heartbeat, 'grpc-timeout': 'soon' }, empty))['grpc-status'],
      '13',
    );
    assert.equal((await post(heartbeat, empty))['grpc-status'], '0');
    session.close();
    await once(session, 'close');
  });

  test('any bytes as a request get Internal or an answer', async () => {
    using client = channel();
    const { Heartbeat } = client.service('Dispatcher');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (bytes) => {
        const code = await Heartbeat(new Encoded(bytes)).then(
          () => 0,
          (error: { code: number }) => error.code,
        );
        assert.ok(code === 0 || code === Code.INTERNAL, `code ${code}`);
      }),
      { numRuns: 200 },
    );
  });

  test('new connections see a renewed certificate and are held against the new root', async () => {
    using old = channel();
    await old.service('Dispatcher').Heartbeat({});
    const next = await testCluster(cluster.organization);
    listener.useCredentials(await next.member('manager1', Role.MANAGER));
    await old.service('Dispatcher').Heartbeat({}); // what is connected stays so
    using refused = channel(worker);
    await assert.rejects(refused.service('Dispatcher').Heartbeat({}), { code: Code.UNAVAILABLE });
    using renewed = channel(await next.member('worker1', Role.WORKER));
    await renewed.service('Dispatcher').Heartbeat({});
  });

  test('stop lets calls end, then cuts what is left, and frees the port', async () => {
    using client = channel();
    const stream = client.service('Dispatcher').Session({});
    const reading = (async () => {
      for await (const _ of stream);
    })();
    const signal = await entered.promise;
    // A timer counts from when its turn began, which on a busy machine is a while ago.
    const startedMs = performance.now();
    const stopping = listener.stop(400);
    await assert.rejects(reading, { code: Code.UNAVAILABLE });
    await stopping;
    assert.ok(signal.aborted);
    assert.ok(performance.now() - startedMs >= 200);
    const { port } = listener;
    listener = await listenAt(port, manager);
    await assertServes();
  });

  test('a stop without calls is quick, whoever is connected', async () => {
    using client = channel();
    await client.service('Dispatcher').Heartbeat({});
    const idle = connectTls();
    idle.on('error', () => undefined);
    await once(idle, 'secureConnect');
    const raw = net.connect(listener.port, '127.0.0.1');
    raw.on('error', () => undefined);
    await once(raw, 'connect');
    const startedMs = performance.now();
    await listener.stop(120_000);
    assert.ok(performance.now() - startedMs < 60_000);
    raw.destroy();
    idle.destroy();
  });

  test('a port that is taken, or a key of another certificate, is an error', async () => {
    await assert.rejects(listenAt(listener.port, manager), /EADDRINUSE/);
    await assert.rejects(listenAt(0, { ...manager, keyPem: worker.keyPem }), /key/);
  });

  describe('on a control socket', () => {
    test('makes its folder private, and its file too', async () => {
      const path = join(directory, 'new', 'control.sock');
      await using socket = await listenOn(path);
      assert.equal((await stat(join(directory, 'new'))).mode & 0o777, 0o700);
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      using client = new Channel({ to: 'socket', path: socket.address });
      await client.service('Dispatcher').Heartbeat({});
    });

    test('replaces a stale file, but neither a living socket nor another file', async () => {
      const path = join(directory, 'control.sock');
      const dead = net.createServer().listen(path);
      await once(dead, 'listening');
      // A killed process leaves its socket file behind; a link keeps this one over the close.
      await link(path, `${path}.kept`);
      dead.close();
      await once(dead, 'close');
      await using socket = await listenOn(`${path}.kept`);
      await assert.rejects(listenOn(socket.address), /is in use/);
      const file = join(directory, 'file');
      await writeFile(file, 'precious');
      await assert.rejects(listenOn(file), /is not a socket/);
      await symlink(file, join(directory, 'link'));
      await assert.rejects(listenOn(join(directory, 'link')), /is not a socket/);
    });

    test('refuses a path that does not fit, and a folder that cannot be written', async () => {
      await assert.rejects(listenOn(join(directory, 'x'.repeat(100))), /longer than 107 bytes/);
      const locked = join(directory, 'locked');
      await mkdir(locked);
      await chmod(locked, 0o500);
      if (process.getuid?.() !== 0) await assert.rejects(listenOn(join(locked, 's')), /EACCES/);
    });

    test('survives garbage', async () => {
      await using socket = await listenOn(join(directory, 'garbage.sock'));
      const raw = net.connect(socket.address);
      raw.on('error', () => undefined);
      raw.end('hello?');
      raw.resume();
      await once(raw, 'close');
      using client = new Channel({ to: 'socket', path: socket.address });
      await client.service('Dispatcher').Heartbeat({});
    });
  });
});
