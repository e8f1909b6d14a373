/**
 * A simulated worker's connection to its manager: the mutual TLS of every node, and calls over it by a
 * light HTTP/2 (`http2.ts`). What a turn of the event loop brings is sent together.
 */
import type { TLSSocket } from 'node:tls';
import {
  connectToManager,
  type ManagerTarget,
  SERVER_NAMES,
} from '../../src/main/rpc/connection.ts';
import { frame } from '../../src/main/rpc/frames.ts';
import { type CallEvents, callHeaders, type CallHeaders, Http2Client } from './http2.ts';

export type Headers = CallHeaders;

export const headersOf = ({ path }: { readonly path: string }, timeoutMs?: number): Headers =>
  callHeaders(path, SERVER_NAMES.MANAGER, timeoutMs);

export class CrowdConnection {
  readonly #socket: TLSSocket;
  readonly #onEnd: (error: Error) => void;
  #client: Http2Client | undefined;
  #unsent: Buffer[] = [];

  /** Connects; `onReady` may call. `onEnd` hears once why it is over, unless by `close`. */
  constructor(target: ManagerTarget, onReady: () => void, onEnd: (error: Error) => void) {
    this.#onEnd = onEnd;
    const socket = connectToManager(target);
    this.#socket = socket;
    socket.on('error', onEnd);
    socket.once('close', () => onEnd(new Error('the manager closed the connection')));
    socket.once('secureConnect', () => {
      socket.setNoDelay(true);
      const client = new Http2Client((bytes) => this.#send(bytes));
      this.#client = client;
      socket.on('data', (chunk: Buffer) => this.#receive(client, chunk));
      onReady();
    });
  }

  /** Begins a call with one request. It ends at once, and all with it, when the manager takes no more. */
  call(headers: Headers, request: Uint8Array, events: CallEvents): void {
    const client = this.#client;
    if (client !== undefined && !client.isLeaving) {
      client.call(headers, frame(request), events);
      return;
    }
    this.#onEnd(new Error('the manager takes no more calls'));
    events.onEnd();
  }

  /** Cuts the connection; its calls end. */
  close(): void {
    this.#socket.destroy();
    this.#client?.endAll();
  }

  #receive(client: Http2Client, chunk: Buffer): void {
    try {
      client.receive(chunk);
    } catch (error) {
      this.#onEnd(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #send(bytes: Buffer): void {
    this.#unsent.push(bytes);
    // After all that goes on in this turn, promises too.
    if (this.#unsent.length === 1) process.nextTick(() => this.#flush());
  }

  #flush(): void {
    const unsent = this.#unsent;
    if (unsent.length === 0 || this.#socket.destroyed) return;
    this.#unsent = [];
    this.#socket.write(Buffer.concat(unsent));
  }
}
