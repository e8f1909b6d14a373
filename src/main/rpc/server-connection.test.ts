/** Connections that nobody calls on, that fall silent, and whose calls end in odd ways. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { Role } from './authorise.ts';
import { frame } from './frames.ts';
import { type Credentials, type Listener, listenTcp } from './listener.ts';
import { implement } from './service.ts';

/** What an HTTP/2 client begins with: the preface, and settings of its own. */
const BEGINNING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0),
]);

const PERIOD_MS = 50;

const call = (session: http2.ClientHttp2Session, path: string): http2.ClientHttp2Stream => {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': path === '/' ? 'text/plain' : 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  return stream;
};

describe('a connection', () => {
  let cluster: TestCluster;
  let worker: Credentials;
  let listener: Listener;
  /** How the requests of a client stream came to their end. */
  let read = Promise.withResolvers<unknown>();

  const services = [
    implement('Dispatcher', {
      Heartbeat: () => ({ period: { seconds: 5, nanos: 0 } }),
      // Never ends by itself.
      Session: (_request, _caller, { signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    }),
    implement('LogBroker', {
      PublishLogs: async (requests) => {
        try {
          for await (const _ of requests);
          read.resolve('complete');
        } catch (error) {
          read.resolve(error);
        }
        return {};
      },
    }),
  ];

  before(async () => {
    cluster = await testCluster();
    worker = await cluster.member('worker1', Role.WORKER);
    listener = await listenTcp({
      host: '127.0.0.1',
      port: 0,
      credentials: await cluster.member('manager1', Role.MANAGER),
      services,
      policy: { organization: cluster.organization, isRemoved: () => false },
      log: silentLog,
      limits: {
        keepalivePeriodMs: PERIOD_MS,
        keepaliveTimeoutMs: 10 * PERIOD_MS,
        idleConnectionMs: 2 * PERIOD_MS,
      },
    });
  });
  after(() => listener.stop(0));

  const dial = (): tls.TLSSocket =>
    tls.connect({
      port: listener.port,
      host: '127.0.0.1',
      servername: 'swarm-manager',
      ca: worker.rootPem,
      cert: worker.certificatePem,
      key: worker.keyPem,
      ALPNProtocols: ['h2'],
    });

  const connect = (): http2.ClientHttp2Session =>
    http2.connect('https://swarm-manager', { createConnection: dial });

  const session = '/docker.swarmkit.v1.Dispatcher/Session';
  const heartbeat = '/docker.swarmkit.v1.Dispatcher/Heartbeat';
  const logs = '/docker.swarmkit.v1.LogBroker/PublishLogs';

  test('is told to go when nobody has called for long, and not while a call is open', async () => {
    const idle = connect();
    const goodbye = once(idle, 'goaway');
    const busy = connect();
    let left = false;
    busy.on('goaway', () => (left = true));
    const stream = call(busy, session);
    stream.end(frame(new Uint8Array()));
    stream.resume();
    const [code] = await goodbye;
    assert.equal(code, http2.constants.NGHTTP2_NO_ERROR);
    await once(idle, 'close');
    // As long again as the idle one was given, and more.
    await new Promise((resolve) => setTimeout(resolve, 6 * PERIOD_MS));
    assert.equal(left, false);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await once(busy, 'goaway');
    await once(busy, 'close');
  });

  test('is cut off when its client gives no sign of life, whatever it has open', async () => {
    const socket = dial();
    await once(socket, 'secureConnect');
    socket.write(BEGINNING);
    socket.resume();
    const startMs = performance.now();
    await once(socket, 'close');
    assert.ok(performance.now() - startMs >= 2 * PERIOD_MS);
  });

  test('survives whatever its client breaks off', async () => {
    const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_CANCEL } =
      http2.constants;
    const client = connect();
    for (const path of ['/', '/unknown', heartbeat, session, logs]) {
      const codes = [
        NGHTTP2_INTERNAL_ERROR,
        NGHTTP2_PROTOCOL_ERROR,
        NGHTTP2_NO_ERROR,
        NGHTTP2_CANCEL,
      ];
      for (const code of codes) {
        const soon = call(client, path);
        soon.close(code);
        const later = call(client, path);
        later.write(frame(new Uint8Array()));
        await new Promise((resolve) => setImmediate(resolve));
        later.close(code);
        await new Promise((resolve) => later.once('close', resolve));
      }
    }
    const fine = call(client, heartbeat);
    fine.end(frame(new Uint8Array()));
    fine.resume();
    const [trailers] = await once(fine, 'trailers');
    assert.equal(trailers['grpc-status'], '0');
    client.destroy();
  });

  test('a stream of requests that breaks off is no complete one, and one that ends is', async () => {
    read = Promise.withResolvers();
    const gone = connect();
    call(gone, logs).write(frame(new Uint8Array()));
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
    // Node's client would end a stream properly before it resets it.
    gone.destroy();
    assert.match(String(await read.promise), /the call has ended/);
    read = Promise.withResolvers();
    const client = connect();
    const whole = call(client, logs);
    whole.resume();
    // More than may wait, in one piece.
    whole.end(
      Buffer.concat(Array.from({ length: 100 }, () => frame(Uint8Array.of(0x0a, 1, 0x73)))),
    );
    assert.equal(await read.promise, 'complete');
    client.destroy();
  });
});
