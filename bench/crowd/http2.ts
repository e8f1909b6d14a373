/**
 * The client's side of HTTP/2 as a simulated worker needs it: bytes in, bytes out, no socket. It sends
 * what a stock engine's library sends (a preface, settings, header lists that the other side's table
 * remembers, answers to pings and settings, windows kept in both directions) and reads no header list: a
 * call that had a message went well, and one that ended without has failed.
 *
 * Node's own costs a worker four times its TLS handshake, on the processors that the manager is measured
 * on: an engine has a processor of its own.
 */
import { FrameReader } from '../../src/main/rpc/frames.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD_BYTES = 9;
/** The size that every peer takes. */
const FRAME_BYTES_MAX = 16_384;
/** What a connection and its streams may receive before anything is said of windows. */
const WINDOW_BYTES = 65_535;
/** What the other side may send ahead of our reading. */
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 4 << 20;

const TYPE = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;
const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 } as const;
const SETTING = { enablePush: 2, initialWindowSize: 4 } as const;

function frameOf(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(bytes);
  return frameOf(TYPE.windowUpdate, 0, stream, payload);
}

function setting(id: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** The beginning of every connection. */
const HELLO = Buffer.concat([
  PREFACE,
  frameOf(
    TYPE.settings,
    0,
    0,
    Buffer.concat([
      setting(SETTING.enablePush, 0),
      setting(SETTING.initialWindowSize, STREAM_WINDOW_BYTES),
    ]),
  ),
  windowUpdate(0, CONNECTION_WINDOW_BYTES - WINDOW_BYTES),
]);

const SETTINGS_ACK = frameOf(TYPE.settings, FLAG.ack, 0, Buffer.alloc(0));

/** HPACK's forms of a field: all of it in the other side's table, or new to it and to be remembered. */
const INDEXED = 0x80;
const REMEMBERED = 0x40;
/** Entries of its fixed table; ours come after them, the newest first. */
const FIXED_ENTRIES = 61;
const METHOD_POST = INDEXED | 3;
const SCHEME_HTTPS = INDEXED | 7;

/** Names of the fixed table by their places. */
const NAMES: Readonly<Record<string, number>> = {
  ':authority': 1,
  ':path': 4,
  'content-type': 31,
  'user-agent': 58,
};

/** Shorter than 127 bytes, which is all that a length of one byte can say. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > 126) throw new RangeError(`too long for a header: ${value}`);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** One field of a header list, as it is said the first time. */
type Field = { readonly bytes: Buffer };

const fields = new Map<string, Field>();

/** The same object for the same field. */
function field(name: string, value: string): Field {
  const key = `${name}: ${value}`;
  const known = fields.get(key);
  if (known !== undefined) return known;
  const place = NAMES[name];
  const named =
    place === undefined ? [Buffer.of(REMEMBERED), text(name)] : [Buffer.of(REMEMBERED | place)];
  const made = { bytes: Buffer.concat([...named, text(value)]) };
  fields.set(key, made);
  return made;
}

/** The header list of a method's calls. */
export type CallHeaders = readonly Field[];

export const callHeaders = (path: string, authority: string, timeoutMs?: number): CallHeaders => [
  field(':path', path),
  field(':authority', authority),
  field('content-type', 'application/grpc'),
  field('user-agent', 'skein'),
  field('te', 'trailers'),
  ...(timeoutMs === undefined ? [] : [field('grpc-timeout', `${timeoutMs}m`)]),
];

export type CallEvents = {
  /** A message has come; the bytes are valid while the callee works on them. */
  readonly onMessage: (message: Buffer) => void;
  /** The other side has ended the call. */
  readonly onEnd: () => void;
};

type Call = CallEvents & {
  readonly id: number;
  readonly reader: FrameReader;
  windowBytes: number;
  /** Bytes that came since the other side was told that they were read. */
  receivedBytes: number;
  unsent: Buffer | undefined;
};

export class Http2Client {
  readonly #send: (bytes: Buffer) => void;
  readonly #calls = new Map<number, Call>();
  /** The fields in the other side's table, by when they came into it. */
  readonly #remembered = new Map<Field, number>();
  #nextId = 1;
  #rest: Buffer | undefined;
  #windowBytes = WINDOW_BYTES;
  #streamWindowBytes = WINDOW_BYTES;
  #receivedBytes = 0;
  #isLeaving = false;

  /** `send` gets the bytes for the other side. */
  constructor(send: (bytes: Buffer) => void) {
    this.#send = send;
    send(HELLO);
  }

  /** Whether the other side has said goodbye: it takes no more calls. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Begins a call with its one request, in a gRPC frame. */
  call(headers: CallHeaders, request: Buffer, events: CallEvents): void {
    const id = this.#nextId;
    this.#nextId += 2;
    const call: Call = {
      id,
      ...events,
      reader: new FrameReader(),
      windowBytes: this.#streamWindowBytes,
      receivedBytes: 0,
      unsent: request,
    };
    this.#calls.set(id, call);
    this.#send(frameOf(TYPE.headers, FLAG.endHeaders, id, this.#encode(headers)));
    this.#sendRequest(call);
  }

  /** The connection is over, and so are its calls. */
  endAll(): void {
    for (const id of this.#calls.keys()) this.#end(id);
  }

  /** @throws RangeError for what is no HTTP/2, or more of it than a simulated worker understands. */
  receive(chunk: Buffer): void {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    while (bytes.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
    // A copy: the rest of a page would be kept with it.
    if (bytes.length > 0) this.#rest = Buffer.from(bytes);
  }

  #encode(headers: CallHeaders): Buffer {
    const parts: Uint8Array[] = [Buffer.of(METHOD_POST, SCHEME_HTTPS)];
    for (const one of headers) {
      const at = this.#remembered.get(one);
      if (at === undefined) {
        this.#remembered.set(one, this.#remembered.size);
        parts.push(one.bytes);
      } else parts.push(Buffer.of(INDEXED | (FIXED_ENTRIES + this.#remembered.size - at)));
    }
    return Buffer.concat(parts);
  }

  /** Sends of a request what the windows let through. */
  #sendRequest(call: Call): void {
    while (call.unsent !== undefined) {
      const { length } = call.unsent;
      const room = Math.min(FRAME_BYTES_MAX, this.#windowBytes, call.windowBytes);
      const part = call.unsent.subarray(0, Math.max(0, room));
      if (part.length === 0 && length > 0) return;
      this.#windowBytes -= part.length;
      call.windowBytes -= part.length;
      call.unsent = part.length === length ? undefined : call.unsent.subarray(part.length);
      const flags = call.unsent === undefined ? FLAG.endStream : 0;
      this.#send(frameOf(TYPE.data, flags, call.id, part));
    }
  }

  #frame(bytes: Buffer): void {
    const flags = bytes[4] ?? 0;
    const stream = bytes.readUInt32BE(5) & 0x7f_ff_ff_ff;
    const payload = bytes.subarray(HEAD_BYTES);
    switch (bytes[3] ?? 0) {
      case TYPE.data:
        return this.#data(stream, flags, payload);
      case TYPE.headers:
        return (flags & FLAG.endStream) === 0 ? undefined : this.#end(stream);
      case TYPE.reset:
        return this.#end(stream);
      case TYPE.settings:
        return (flags & FLAG.ack) === 0 ? this.#settings(payload) : undefined;
      case TYPE.ping:
        if ((flags & FLAG.ack) === 0) this.#send(frameOf(TYPE.ping, FLAG.ack, 0, payload));
        return;
      case TYPE.goAway:
        this.#isLeaving = true;
        return;
      case TYPE.windowUpdate:
        return this.#windowUpdate(stream, payload.readUInt32BE(0));
      default: // what else there is says nothing to this side
    }
  }

  #data(stream: number, flags: number, payload: Buffer): void {
    if ((flags & FLAG.padded) !== 0) throw new RangeError('a padded frame');
    this.#receivedBytes += payload.length;
    if (this.#receivedBytes > CONNECTION_WINDOW_BYTES / 2) {
      this.#send(windowUpdate(0, this.#receivedBytes));
      this.#receivedBytes = 0;
    }
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    call.receivedBytes += payload.length;
    if (call.receivedBytes > STREAM_WINDOW_BYTES / 2) {
      this.#send(windowUpdate(stream, call.receivedBytes));
      call.receivedBytes = 0;
    }
    for (const message of call.reader.push(payload)) call.onMessage(message);
    if ((flags & FLAG.endStream) !== 0) this.#end(stream);
  }

  #end(stream: number): void {
    const call = this.#calls.get(stream);
    this.#calls.delete(stream);
    call?.onEnd();
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== SETTING.initialWindowSize) continue;
      const more = payload.readUInt32BE(at + 2) - this.#streamWindowBytes;
      this.#streamWindowBytes += more;
      for (const call of this.#calls.values()) call.windowBytes += more;
    }
    this.#send(SETTINGS_ACK);
    this.#sendMore();
  }

  #windowUpdate(stream: number, bytes: number): void {
    const call = this.#calls.get(stream);
    if (stream === 0) this.#windowBytes += bytes;
    else if (call !== undefined) call.windowBytes += bytes;
    this.#sendMore();
  }

  #sendMore(): void {
    for (const call of this.#calls.values()) this.#sendRequest(call);
  }
}
