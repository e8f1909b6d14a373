/**
 * The floor: a manager that is no manager. It takes the same connections and answers the same calls
 * with Node's own HTTP/2 server, and does nothing else: no store, no log, no decisions, not even
 * gRPC's library. When told to, it hands each node its share of tasks that it makes up.
 */
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import {
  AssignmentsMessage,
  AssignmentsMessageType,
  HeartbeatResponse,
  SessionMessage,
} from '../../src/shared/wire/gen/dispatcher.ts';
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Credentials } from '../../src/main/rpc/listener.ts';
import { frame } from '../../src/main/rpc/frames.ts';

export type FloorOrder =
  | { readonly t: 'listen'; readonly host: string; readonly credentials: Credentials }
  | { readonly t: 'assign'; readonly tasks: number };
export type FloorAnswer = { readonly port: number };

const HEADERS = { ':status': 200, 'content-type': 'application/grpc' };
const TRAILERS = { 'grpc-status': '0' };
const NOTHING = frame(new Uint8Array());
const PERIOD = frame(HeartbeatResponse.encode({ period: { seconds: 5, nanos: 0 } }));
const SESSION = frame(SessionMessage.encode(SessionMessage.create({ sessionId: 'floor' })));

const nodes: ServerHttp2Stream[] = [];
let made = 0;

/** A stock task is about this long. */
function share(type: AssignmentsMessageType, count: number): Buffer {
  const changes = Array.from({ length: count }, () => {
    const id = `floor${(made += 1).toString(36).padStart(20, '0')}`;
    const value = {
      id,
      serviceId: 'service',
      annotations: { name: `service.${made}.${id}` },
      desiredState: TaskState.RUNNING,
      spec: {
        runtime: {
          case: 'container' as const,
          value: { image: 'busybox:latest', command: ['sleep', '1000'] },
        },
      },
    };
    return { assignment: { item: { case: 'task' as const, value } } };
  });
  return frame(AssignmentsMessage.encode(AssignmentsMessage.create({ changes, type })));
}

function unary(stream: ServerHttp2Stream, answer: Buffer): void {
  stream.resume();
  stream.on('end', () => {
    stream.respond(HEADERS, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(TRAILERS));
    stream.end(answer);
  });
}

function open(stream: ServerHttp2Stream, first: Buffer): void {
  stream.resume();
  stream.respond(HEADERS);
  stream.write(first);
}

function listen({ host, credentials }: Extract<FloorOrder, { t: 'listen' }>): void {
  const { certificatePem: cert, keyPem: key, rootPem: ca } = credentials;
  const server = createSecureServer({ cert, key, ca, requestCert: true });
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => undefined); // the crowd cuts its connections when it leaves
    const method = headers[':path']?.slice(headers[':path'].lastIndexOf('/') + 1);
    if (method === 'UpdateTaskStatus') unary(stream, NOTHING);
    else if (method === 'Heartbeat') unary(stream, PERIOD);
    else if (method === 'Session') open(stream, SESSION);
    else if (method === 'Assignments') {
      open(stream, share(AssignmentsMessageType.COMPLETE, 0));
      nodes.push(stream);
      stream.on('close', () => nodes.splice(nodes.indexOf(stream), 1));
    }
  });
  server.listen(0, host, () => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    process.send?.({ port } satisfies FloorAnswer);
  });
}

process.on('message', (order: FloorOrder) => {
  if (order.t === 'listen') listen(order);
  else {
    const { tasks } = order;
    for (const [i, node] of nodes.entries()) {
      const first = Math.floor((i * tasks) / nodes.length);
      const count = Math.floor(((i + 1) * tasks) / nodes.length) - first;
      node.write(share(AssignmentsMessageType.INCREMENTAL, count));
    }
  }
});
process.on('disconnect', () => process.kill(process.pid));
