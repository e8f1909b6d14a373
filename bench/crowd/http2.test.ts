import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { frame } from '../../src/main/rpc/frames.ts';
import { callHeaders, Http2Client } from './http2.ts';

/** A client on a socket to Node's own HTTP/2 server, which answers as `serve` says. */
async function connected(serve: (stream: ServerHttp2Stream, path: string, body: Buffer) => void) {
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', () => undefined);
    stream.on('end', () => serve(stream, JSON.stringify(headers), Buffer.concat(parts)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  const socket = net.connect(address.port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const client = new Http2Client((bytes) => socket.write(bytes));
  socket.on('data', (chunk: Buffer) => client.receive(chunk));
  const close = (): void => {
    socket.destroy();
    server.close();
  };
  return { client, [Symbol.dispose]: close };
}

/** Calls, and resolves with the messages of the answer once it has ended. */
function ask(client: Http2Client, path: string, request: Buffer, timeoutMs?: number) {
  return new Promise<Buffer[]>((resolve) => {
    const messages: Buffer[] = [];
    client.call(callHeaders(path, 'swarm-manager', timeoutMs), frame(request), {
      onMessage: (message) => messages.push(Buffer.from(message)),
      onEnd: () => resolve(messages),
    });
  });
}

const answer = (stream: ServerHttp2Stream, message: Uint8Array): void => {
  stream.respond({ ':status': 200 }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(frame(message));
};

const headersOf = async (asked: Promise<Buffer[]>): Promise<unknown> =>
  JSON.parse(String((await asked)[0]));

const listOf = (path: string) => ({
  ':method': 'POST',
  ':scheme': 'https',
  ':path': path,
  ':authority': 'swarm-manager',
  'content-type': 'application/grpc',
  'user-agent': 'skein',
  te: 'trailers',
});

test('header lists come whole, said anew or remembered', async () => {
  using to = await connected((stream, headers) => answer(stream, Buffer.from(headers)));
  const none = Buffer.alloc(0);
  for (const path of ['/a', '/b', '/a']) {
    assert.deepEqual(await headersOf(ask(to.client, path, none)), listOf(path));
    const timed = { ...listOf(path), 'grpc-timeout': '5000m' };
    assert.deepEqual(await headersOf(ask(to.client, path, none, 5000)), timed);
  }
});

test('requests and answers larger than every window come whole', async () => {
  using to = await connected((stream, _, body) => answer(stream, body));
  const request = Buffer.alloc(3 << 20, 'x');
  for (let i = 0; i < 3; i += 1) {
    const [echo] = await ask(to.client, '/echo', request);
    assert.deepEqual(echo, frame(request));
  }
});

test('a call that fails ends without a message', async () => {
  using to = await connected((stream, headers) => {
    if (headers.includes('/reset')) stream.close(8);
    else stream.respond({ ':status': 200, 'grpc-status': '10' }, { endStream: true });
  });
  assert.deepEqual(await ask(to.client, '/status', Buffer.alloc(1)), []);
  assert.deepEqual(await ask(to.client, '/reset', Buffer.alloc(1)), []);
});

test('pings are answered, and a goodbye is heard', async () => {
  using to = await connected((stream) => {
    const { session } = stream;
    session?.ping((error) => {
      session.goaway();
      if (error === null) answer(stream, Buffer.from('pong'));
    });
  });
  assert.deepEqual(await ask(to.client, '/ping', Buffer.alloc(1)), [Buffer.from('pong')]);
  assert.equal(to.client.isLeaving, true);
});

const head = (length: number, type: number, flags: number): Buffer =>
  Buffer.of(0, 0, length, type, flags, 0, 0, 0, 1);

test('frames come whole, however they were cut', () => {
  const messages: string[] = [];
  const client = new Http2Client(() => undefined);
  client.call(callHeaders('/a', 'b'), Buffer.alloc(0), {
    onMessage: (message) => messages.push(String(message)),
    onEnd: () => messages.push('end'),
  });
  const one = frame(Buffer.from('one'));
  const bytes = Buffer.concat([head(one.length, 0, 0), one, head(1, 1, 5), Buffer.of(0x88)]);
  for (const byte of bytes) client.receive(Buffer.of(byte));
  assert.deepEqual(messages, ['one', 'end']);
});
