import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamRaftMessageRequest } from '../../../shared/wire/gen/raft.ts';
import { Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { snapshotHeader } from '../../store/entry-codec.ts';
import { join, split } from './chunks.ts';

const snapshot = (data: Uint8Array, index = 7): Message =>
  Message.create({
    type: MessageType.MsgSnap,
    from: 1n,
    to: 2n,
    term: 3,
    index,
    snapshot: { data, metadata: { index: 40, term: 2, confState: { voters: [1n, 2n] } } },
  });

/** The same data in pieces. */
function sourceOf(data: Uint8Array, cut: number) {
  const { metadata } = snapshot(data).snapshot ?? assert.fail();
  const count = Math.ceil(data.length / cut);
  const pieces = Array.from({ length: count }, (_, i) => data.subarray(i * cut, (i + 1) * cut));
  return { metadata, pieces };
}

async function* requests(...messages: Message[]): AsyncIterable<StreamRaftMessageRequest> {
  for (const message of messages) yield { message };
}

test('what was split is the same again, and no piece is larger than allowed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 3000 }),
      fc.integer({ min: 250, max: 1000 }),
      fc.integer({ min: 1, max: 1500 }),
      async (data, bytesMax, cut) => {
        const whole = snapshot(data);
        const pieces = [...split(whole, sourceOf(data, cut), bytesMax)];
        for (const message of pieces) {
          assert.ok(StreamRaftMessageRequest.encode({ message }).length <= bytesMax);
        }
        const again = await join(requests(...pieces));
        assert.ok(again !== undefined);
        assert.ok(Buffer.from(Message.encode(again)).equals(Message.encode(whole)));
      },
    ),
  );
});

test('what a snapshot says of its size is believed only as far as it comes true', async () => {
  const told = snapshotHeader({ members: [], removed: [] }, 1000);
  for (const length of [0, 10, 999, 1000, 5000]) {
    const whole = snapshot(Buffer.concat([told, Buffer.alloc(length, 7)]));
    const source = sourceOf(whole.snapshot?.data ?? told, 100);
    const again = await join(requests(...split(whole, source, 400)));
    assert.deepEqual(Buffer.from(again?.snapshot?.data ?? []), whole.snapshot?.data);
  }
});

test('of what follows no more is read than is sent', () => {
  let read = 0;
  const pieces = (function* count() {
    for (; ; read += 1) yield Buffer.alloc(300);
  })();
  const { metadata } = snapshot(new Uint8Array()).snapshot ?? assert.fail();
  const messages = split(snapshot(new Uint8Array()), { metadata, pieces }, 1000);
  for (let i = 0; i < 3; i += 1) messages.next();
  assert.ok(read <= 10, `${read} pieces were read`);
});

test('pieces that do not belong together are refused', async () => {
  const piece = snapshot(new Uint8Array(10));
  await assert.rejects(
    join(requests(piece, snapshot(new Uint8Array(10), 8))),
    /^RpcError: Raft message chunk with index 8 is different from .* index 7$/,
  );
  const append = { ...piece, type: MessageType.MsgApp };
  await assert.rejects(join(requests(append, append)), /Raft message chunk is not of type 7/);
  assert.equal(await join(requests()), undefined);
});
