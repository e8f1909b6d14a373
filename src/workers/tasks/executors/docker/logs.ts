/** A container's log as the engine sends it: frames of one stream each, a line with its time in each. */
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { Timestamp } from '../../../../shared/wire/gen/well-known.ts';
import type { LogOptions, LogRecord } from '../executor.ts';
import { call } from './calls.ts';

const HEADER_BYTES = 8;

/** Reads a log. Ends when the engine ends it; aborting `signal` ends it too. */
export async function* containerLogs(
  docker: Docker,
  containerId: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogRecord> {
  const stream = await call(() => openLog(docker, containerId, options, signal));
  try {
    for await (const frame of frames(stream)) yield recordOf(frame);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    stream.destroy();
  }
}

function openLog(
  docker: Docker,
  containerId: string,
  options: LogOptions,
  signal: AbortSignal,
): Promise<Readable> {
  const query = {
    follow: options.follow,
    stdout: options.stdout,
    stderr: options.stderr,
    timestamps: true,
    tail: String(options.tail),
    ...(options.sinceMs > 0 && { since: (options.sinceMs / 1000).toFixed(9) }),
  };
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `/containers/${containerId}/logs?`,
        method: 'GET',
        // As a stream even when it is not followed: a log can be larger than memory.
        isStream: true,
        abortSignal: signal,
        options: query,
        statusCodes: { 101: true, 200: true, 404: 'no such container', 500: 'server error' },
      },
      (error: Error | null, stream: unknown) => {
        if (error !== null) reject(error);
        else if (stream instanceof Readable) resolve(stream);
        else reject(new TypeError('the engine sent no log'));
      },
    );
  });
}

type Frame = { readonly stream: LogRecord['stream']; readonly data: Buffer };

/** Cuts a stream into frames: stream number, three zeros, length (big-endian), data. */
export async function* frames(stream: AsyncIterable<unknown>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = Buffer.concat([rest, Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))]);
    let at = 0;
    while (rest.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + rest.readUInt32BE(at + 4);
      if (end > rest.length) break;
      const data = rest.subarray(at + HEADER_BYTES, end);
      yield { stream: rest[at] === 2 ? 'stderr' : 'stdout', data };
      at = end;
    }
    rest = rest.subarray(at);
  }
}

function recordOf({ stream, data }: Frame): LogRecord {
  const space = data.indexOf(0x20);
  const end = data.at(-1) === 0x0a ? data.length - 1 : data.length;
  const timestamp = timestampOfText(data.toString('latin1', 0, space));
  return { stream, timestamp, data: Uint8Array.from(data.subarray(space + 1, end)) };
}

/** `2026-01-02T03:04:05.123456789Z`, to the nanosecond. */
export function timestampOfText(text: string): Timestamp {
  const [whole = '', fraction = ''] = text.replace('Z', '').split('.');
  return {
    seconds: Math.floor(Date.parse(`${whole}Z`) / 1000),
    nanos: Number(fraction.padEnd(9, '0')),
  };
}
