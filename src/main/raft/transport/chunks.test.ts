import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamRaftMessageRequest } from '../../../shared/wire/gen/raft.ts';
import { Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
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

async function* requests(...messages: Message[]): AsyncIterable<StreamRaftMessageRequest> {
  for (const message of messages) yield { message };
}

test('what was split is the same again, and no piece is larger than allowed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 3000 }),
      fc.integer({ min: 250, max: 1000 }),
      async (data, bytesMax) => {
        const whole = snapshot(data);
        const pieces = [...split(whole, bytesMax)];
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

test('only snapshots are split', () => {
  const message = Message.create({ type: MessageType.MsgApp, context: new Uint8Array(2000) });
  assert.deepEqual([...split(message, 1000)], [message]);
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
