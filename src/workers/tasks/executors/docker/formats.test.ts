/** The engine's formats, which need no engine to be read and written. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { imageReference } from './images.ts';
import { frames, timestampOfText } from './logs.ts';
import { tar } from './tar.ts';

async function* chunked(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

test('[EXE9] log frames are found however the stream is cut', async () => {
  const pair = fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 50 }));
  const frame = pair.map(([stream, data]) => ({ stream, data }));
  await fc.assert(
    fc.asyncProperty(fc.array(frame), fc.array(fc.nat(30)), async (written, sizes) => {
      const bytes = Buffer.concat(
        written.map(({ stream, data }) => {
          const head = Buffer.alloc(8);
          head[0] = stream;
          head.writeUInt32BE(data.length, 4);
          return Buffer.concat([head, data]);
        }),
      );
      const read = [];
      for await (const { stream, data } of frames(chunked(bytes, sizes))) {
        read.push({ stream: stream === 'stderr' ? 2 : 1, data: Uint8Array.from(data) });
      }
      assert.deepEqual(read, written);
    }),
  );
});

test('[EXE9] the times of log lines are exact', () => {
  assert.deepEqual(timestampOfText('1970-01-01T00:01:40.000000001Z'), { seconds: 100, nanos: 1 });
  assert.deepEqual(timestampOfText('2026-01-02T03:04:05.5Z'), {
    seconds: Date.UTC(2026, 0, 2, 3, 4, 5) / 1000,
    nanos: 500_000_000,
  });
  assert.deepEqual(timestampOfText('1970-01-01T00:00:01Z'), { seconds: 1, nanos: 0 });
});

test('[DOC3] a digest decides alone', () => {
  for (const [image, want] of [
    ['busybox', 'busybox'],
    ['host:5000/team/app:1.2', 'host:5000/team/app:1.2'],
    ['host:5000/team/app:1.2@sha256:abc', 'host:5000/team/app@sha256:abc'],
    ['app@sha256:abc', 'app@sha256:abc'],
  ] as const) {
    assert.equal(imageReference(image), want);
  }
});

test('archives are what tar reads', () => {
  const long = `${'d'.repeat(90)}/${'f'.repeat(60)}`;
  const archive = tar([
    { kind: 'directory', path: 'dir', mode: 0o755 },
    { kind: 'file', path: 'dir/a', mode: 0o640, uid: 5, gid: 6, data: Buffer.from('hello') },
    { kind: 'link', path: 'dir/b', mode: 0o777, target: 'a' },
    { kind: 'file', path: long, mode: 0o600, data: Buffer.alloc(0) },
  ]);
  const list = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: archive }).toString();
  assert.match(list, /drwxr-xr-x 0\/0 .* dir/);
  assert.match(list, /-rw-r----- 5\/6 +5 .* dir\/a/);
  assert.match(list, /lrwxrwxrwx .* dir\/b -> a/);
  assert.ok(list.includes(long));
  const text = execFileSync('tar', ['-xOf', '-', 'dir/a'], { input: archive }).toString();
  assert.equal(text, 'hello');
});
