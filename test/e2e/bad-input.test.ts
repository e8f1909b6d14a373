/**
 * Bad input to a running manager, on its TCP port and on its control socket, and to the commands that
 * start nodes: each gets a clear error, and the manager goes on.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import tls from 'node:tls';
import { fetchRoot, joinApproach, requestCertificate } from '../../src/main/ca/join.ts';
import { testCluster } from '../../src/main/ca/testing/identities.ts';
import { newJoinToken } from '../../src/main/ca/tokens.ts';
import { silentLog } from '../../src/main/log.ts';
import { Role } from '../../src/main/rpc/authorise.ts';
import { Channel } from '../../src/main/rpc/client.ts';
import { Code } from '../../src/main/rpc/errors.ts';
import { frame } from '../../src/main/rpc/frames.ts';
import { Random } from '../../src/shared/kit/random.ts';
import { SERVICES } from '../../src/shared/wire/gen/services.ts';
import { NodeSpecAvailability } from '../../src/shared/wire/gen/specs.ts';
import { Cluster } from '../support/cluster.ts';
import { type Finished, tryRun } from '../support/run.ts';
import { Undo } from '../support/undo.ts';

const SKEIN = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url));
const GARBAGE_ROUNDS = 40;
const GARBAGE_BYTES_MAX = 20_000;
/** Starts of real conversations, so that garbage gets further than the first byte. */
const OPENINGS = [
  Buffer.alloc(0),
  Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
];

type Answer = { readonly code: number; readonly text: string };
type Identity = { readonly certificatePem: string; readonly keyPem: string };

const skein = (...args: readonly string[]): Promise<Finished> =>
  tryRun(process.execPath, SKEIN, ...args);

/** A gRPC call with these bytes as its body, whatever they are. */
function rawCall(session: http2.ClientHttp2Session, path: string, body: Uint8Array) {
  return new Promise<Answer>((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '5S',
    });
    const take = (headers: http2.IncomingHttpHeaders): void => {
      const code = headers['grpc-status'];
      if (code === undefined) return;
      const text = decodeURIComponent(headers['grpc-message']?.toString() ?? '');
      resolve({ code: Number(code), text });
    };
    stream.on('response', take).on('trailers', take).on('error', reject);
    stream.on('close', () => reject(new Error(`${path} ended without a status`)));
    stream.resume();
    stream.end(body);
  });
}

/** Resolves when the other side has ended the connection. */
async function isCutOff(socket: net.Socket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(15_000) });
}

const ROWS = Object.values(SERVICES).flatMap((rows) => Object.values(rows));

describe('bad input', () => {
  const undo = new Undo();
  const random = new Random(BigInt(process.env['SKEIN_SEED'] ?? 1));
  let cluster: Cluster;
  let rootPem: string;
  let token: string;

  before(async () => {
    cluster = await Cluster.start({ undo });
    const { rootCa } = await cluster.object();
    rootPem = Buffer.from(rootCa.caCert).toString();
    token = rootCa.joinTokens.worker;
  });

  // Whatever came: the same process serves on both listeners.
  afterEach(async () => {
    assert.ok(cluster.manager.isRunning, cluster.manager.tail());
    await cluster.object();
    await fetchRoot({ address: cluster.address, token, log: silentLog, signal });
  });

  after(() => undo[Symbol.dispose]());

  const { signal } = new AbortController();

  /** Where to connect, by the name of the listener. */
  const doors = {
    'the TCP port': (): net.NetConnectOpts => {
      const { hostname, port } = new URL(`tcp://${cluster.address}`);
      return { host: hostname, port: Number(port) };
    },
    'the control socket': (): net.NetConnectOpts => ({ path: cluster.socketPath }),
  };

  const secure = (door: net.NetConnectOpts, more: tls.ConnectionOptions = {}): tls.TLSSocket =>
    tls.connect({
      ...door,
      servername: 'swarm-manager',
      ca: rootPem,
      rejectUnauthorized: !('path' in door),
      ALPNProtocols: ['h2'],
      ...more,
    });

  async function withSession<T>(
    door: net.NetConnectOpts,
    identity: Identity | undefined,
    use: (session: http2.ClientHttp2Session) => Promise<T>,
  ): Promise<T> {
    const shown = identity && { cert: identity.certificatePem, key: identity.keyPem };
    const session = http2.connect('https://swarm-manager', {
      createConnection: () => secure(door, shown),
    });
    try {
      return await use(session);
    } finally {
      session.destroy();
    }
  }

  for (const [name, door] of Object.entries(doors)) {
    test(`garbage on ${name} ends that connection`, async () => {
      for (let round = 0; round < GARBAGE_ROUNDS; round += 1) {
        const bytes = Buffer.alloc(1 + random.below(GARBAGE_BYTES_MAX));
        for (let at = 0; at < bytes.length; at += 1) bytes[at] = random.below(256);
        const opening = OPENINGS[random.below(OPENINGS.length)] ?? Buffer.alloc(0);
        const socket = net.connect(door());
        socket.end(Buffer.concat([opening, bytes]));
        await isCutOff(socket);
      }
    });

    test(`garbage behind the handshake on ${name} ends that connection`, async () => {
      for (let round = 0; round < GARBAGE_ROUNDS; round += 1) {
        const bytes = Buffer.alloc(9 + random.below(GARBAGE_BYTES_MAX));
        for (let at = 0; at < bytes.length; at += 1) bytes[at] = random.below(256);
        const socket = secure(door());
        await once(socket, 'secureConnect');
        socket.write(bytes);
        await isCutOff(socket);
      }
    });

    test(`plaintext HTTP on ${name} is refused`, async () => {
      for (const opening of OPENINGS.slice(2)) {
        const socket = net.connect(door());
        socket.write(opening);
        await isCutOff(socket);
      }
    });

    test(`another protocol than HTTP/2 on ${name} is refused`, async () => {
      const socket = secure(door(), { ALPNProtocols: ['http/1.1', 'spdy/3'] });
      const [error] = await once(socket, 'error');
      assert.match(String(error), /no application protocol/i);
    });

    test(`a message that is too large for ${name} is refused`, async () => {
      await withSession(door(), undefined, async (session) => {
        const head = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]);
        const path = '/docker.swarmkit.v1.CA/GetRootCACertificate';
        const { code, text } = await rawCall(session, path, head);
        assert.equal(code, Code.RESOURCE_EXHAUSTED);
        assert.match(text, /larger than max|exceed/i);
      });
    });
  }

  test('damaged requests over the control socket are answered, for every RPC', async () => {
    const damaged = Array.from({ length: 3 }, () =>
      Buffer.from(Array.from({ length: 1 + random.below(60) }, () => random.below(256))),
    );
    await withSession(doors['the control socket'](), undefined, async (session) => {
      for (const { path, requestStream, responseStream } of ROWS) {
        if (requestStream || responseStream) continue;
        for (const bytes of damaged) {
          const { code, text } = await rawCall(session, path, frame(bytes));
          assert.ok(code === 0 || text !== '', `${path}: code ${code} without a text`);
        }
      }
    });
  });

  test('data that is too large for an object is refused in words', async () => {
    const data = Buffer.alloc(600 * 1024);
    await assert.rejects(
      cluster.control.CreateSecret({ spec: { annotations: { name: 'big' }, data } }),
      {
        code: Code.INVALID_ARGUMENT,
        message: /secret data must be larger than 0 and less than 512000 bytes/i,
      },
    );
    const huge = Buffer.alloc(5 << 20);
    await assert.rejects(
      cluster.control.CreateConfig({ spec: { annotations: { name: 'huge' }, data: huge } }),
      { code: Code.RESOURCE_EXHAUSTED },
    );
  });

  test('without a certificate, every RPC that asks for a role is denied', async () => {
    await withSession(doors['the TCP port'](), undefined, async (session) => {
      let denied = 0;
      for (const { path, roles } of ROWS) {
        if (roles.length === 0) continue;
        const { code, text } = await rawCall(session, path, frame(new Uint8Array()));
        if (code === Code.UNIMPLEMENTED) continue;
        denied += 1;
        assert.equal(code, Code.PERMISSION_DENIED, `${path}: ${code} ${text}`);
        assert.match(text, /no client certificates in request/);
      }
      assert.ok(denied >= 50, `only ${denied} RPCs asked for a role`);
    });
  });

  test("a worker's certificate opens no RPC of managers", async () => {
    const identity = await requestCertificate({
      approach: joinApproach(cluster.address, rootPem),
      token,
      availability: NodeSpecAvailability.ACTIVE,
      log: silentLog,
      signal,
    });
    await withSession(doors['the TCP port'](), identity, async (session) => {
      for (const { path, roles } of ROWS) {
        if (roles.length === 0 || roles.includes(Role.WORKER)) continue;
        const { code, text } = await rawCall(session, path, frame(new Uint8Array()));
        if (code === Code.UNIMPLEMENTED) continue;
        assert.equal(code, Code.PERMISSION_DENIED, `${path}: ${code} ${text}`);
        assert.match(text, /remote certificate not part of OUs: \[swarm-manager\]/);
      }
    });
  });

  test('a certificate of another cluster is refused', async () => {
    const { id } = await cluster.object();
    const foreign = await testCluster(id);
    const identity = await foreign.member('intruder', Role.MANAGER, id);
    using channel = new Channel({ to: 'manager', address: cluster.address, rootPem, identity });
    await assert.rejects(channel.service('Control').ListNodes({}), { code: Code.UNAVAILABLE });
  });

  test('a wrong token and a wrong digest end a worker with a clear error', async () => {
    const joining = (joinToken: string): Promise<Finished> =>
      skein(
        'worker',
        `--state-dir=${join(cluster.directory, 'refused')}`,
        `--join-addr=${cluster.address}`,
        `--join-token=${joinToken}`,
        '--executor=simulated',
        '--log-level=error',
      );
    const foreign = await testCluster();
    for (const [wrong, expected] of [
      [newJoinToken(rootPem), /A valid join token is necessary to join this cluster/],
      [newJoinToken(foreign.root.certificatePem), /remote CA does not match fingerprint/],
      ['SWMTKN-1-nonsense', /invalid join token/],
    ] as const) {
      const { code, stderr } = await joining(wrong);
      assert.equal(code, 1, stderr);
      assert.match(stderr, expected);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    const { nodes } = await cluster.control.ListNodes({});
    assert.ok(nodes.every((node) => node.description?.hostname !== 'refused'));
  });

  test('flags that cannot be are named', async () => {
    const folder = `--state-dir=${join(cluster.directory, 'flags')}`;
    for (const [args, code, expected] of [
      [['manager', folder, '--listen-remote-api=here:there'], 1, /--listen-remote-api here:there/],
      [['manager', folder, '--executor=magic'], 1, /--executor magic: expected auto, docker/],
      [['manager', folder, '--availability=maybe'], 2, /availability/],
      [['worker', folder], 1, /holds no node yet: give --join-addr and --join-token/],
      [['manager', folder, '--nonsense'], 2, /nonsense/],
      [
        ['manager', folder, `--listen-remote-api=${cluster.address}`, '--executor=none'],
        1,
        /EADDRINUSE/,
      ],
    ] as const) {
      const finished = await skein(...args);
      assert.match(finished.stderr, expected);
      assert.equal(finished.code, code, `${args.join(' ')}: ${finished.stderr}`);
    }
  });
});
