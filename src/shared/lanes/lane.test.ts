/**
 * Both ends in one thread; two threads meet in src/main/pools/engine.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LaneError } from './lane-error.ts';
import { createLaneMemory } from './lane-memory.ts';
import { Lane, type LaneOptions } from './lane.ts';
import { listen } from './listen.ts';

type Message = { readonly id: number; readonly body: Uint8Array };

type Pair = { readonly main: Lane<Message, Message>; readonly thread: Lane<Message, Message> };

function openPair(
  capacities: { readonly toThreadBytes?: number; readonly toMainBytes?: number } = {},
  limits: Pick<LaneOptions, 'messageBytesMax' | 'waitingBytesMax'> = {},
): Pair {
  const memory = createLaneMemory(capacities);
  return {
    main: new Lane({ ...limits, memory, end: 'main' }),
    thread: new Lane({ ...limits, memory, end: 'thread' }),
  };
}

function message(id: number, length: number): Message {
  return { id, body: Uint8Array.from({ length }, (_, i) => (i + id) & 0xff) };
}

/** Takes until `count` messages have come; the other end must have sent them already. */
function takeAll(pair: Pair, count: number): Message[] {
  const got: Message[] = [];
  for (let turns = 0; got.length < count; turns++) {
    assert.ok(turns < 10_000, `only ${got.length} of ${count} messages came`);
    pair.main.flush();
    got.push(...pair.thread.take());
  }
  return got;
}

test('messages of one turn go out together, after it', async () => {
  const pair = openPair();
  pair.main.send(message(1, 0));
  pair.main.send(message(2, 3));
  assert.deepEqual(pair.thread.take(), []);
  await Promise.resolve();
  assert.deepEqual(pair.thread.take(), [message(1, 0), message(2, 3)]);
  assert.equal(pair.main.stats().sent.frames, 1);
  assert.equal(pair.main.stats().sent.records, 2);
  assert.equal(pair.thread.stats().received.bytes, pair.main.stats().sent.bytes);
});

test('a message is what it was when it was sent', async () => {
  const pair = openPair();
  const mine = message(1, 4);
  pair.main.send(mine);
  mine.body.fill(0);
  await Promise.resolve();
  assert.deepEqual(pair.thread.take(), [message(1, 4)]);
});

test('a ring far too small delays everything and loses nothing', () => {
  const pair = openPair({ toThreadBytes: 64 });
  const sizes = [0, 1, 20, 63, 64, 65, 700, 40_000, 2];
  for (const [id, size] of sizes.entries()) pair.main.send(message(id, size));
  assert.equal(pair.main.flush(), false);
  assert.ok(pair.main.stats().sent.waitingBytes > 40_000);
  assert.ok(pair.main.stats().sent.stalls > 0);
  assert.deepEqual(
    takeAll(pair, sizes.length),
    sizes.map((size, id) => message(id, size)),
  );
  assert.equal(pair.main.stats().sent.waitingBytes, 0);
  assert.equal(pair.main.stats().sent.ringBytes, 0);
});

test('full tells the producer to hold back, ready when to go on', async () => {
  const pair = openPair({ toThreadBytes: 1024 }, { waitingBytesMax: 4096 });
  listen(pair.main, () => assert.fail('nothing is sent to main'));
  const got: number[] = [];
  let id = 0;
  while (!pair.main.full) pair.main.send(message(id++, 100));
  assert.ok(id > 30 && id < 60, `full after ${id} messages`);
  const ready = pair.main.ready().then(() => 'ready');
  assert.equal(await Promise.race([ready, Promise.resolve('held')]), 'held');
  listen(pair.thread, (messages) => {
    got.push(...messages.map((one) => one.id));
  });
  assert.equal(await ready, 'ready');
  assert.equal(pair.main.full, false);
  await pair.main.ready();
  pair.main.end();
  pair.thread.end();
});

test('a producer that ignores a full lane is refused; what was taken still arrives', () => {
  const pair = openPair({ toThreadBytes: 64 }, { waitingBytesMax: 100 });
  let id = 0;
  assert.throws(
    () => {
      for (; id < 10_000; id++) pair.main.send(message(id, 50));
    },
    (error) => error instanceof LaneError && error.code === 'OVERRUN',
  );
  assert.ok(id > 64 && id < 200, `refused after ${id}`);
  const got = takeAll(pair, id);
  assert.deepEqual(
    got.map((one) => one.id),
    Array.from({ length: id }, (_, i) => i),
  );
});

test('a refused message harms neither those before nor those after it', () => {
  const pair = openPair({}, { messageBytesMax: 1000 });
  const memory = { ...message(9, 1), extra: { never: 'seen before' } };
  pair.main.send(message(1, 5));
  assert.throws(
    () => pair.main.send(message(2, 1001)),
    (error) => error instanceof LaneError && error.code === 'MESSAGE_TOO_LONG',
  );
  const bad = { ...memory, extra: { never: Symbol('x') } };
  assert.throws(
    () => pair.main.send(bad),
    (error) => error instanceof LaneError && error.code === 'NOT_ENCODABLE',
  );
  pair.main.send(memory);
  pair.main.send(message(3, 5));
  assert.deepEqual(takeAll(pair, 3), [message(1, 5), memory, message(3, 5)]);
});

test('a handler’s promise holds back the next batch, not what it sends', async () => {
  const pair = openPair({ toThreadBytes: 1024, toMainBytes: 1024 });
  const answers = Promise.withResolvers<void>();
  const seen: number[] = [];
  let answered = 0;
  let handling = 0;
  const mine = listen(pair.main, (messages) => {
    if (answered === 0) pair.main.send(message(1, 0));
    answered += messages.length;
    if (answered === 3000) answers.resolve();
  });
  const theirs = listen(pair.thread, async (messages) => {
    handling += 1;
    assert.equal(handling, 1, 'a batch came while the one before was in hand');
    seen.push(...messages.map((one) => one.id));
    for (let i = 0; i < 3000 && seen.length === 1; i++) pair.thread.send(message(i, 50));
    await answers.promise;
    handling -= 1;
  });
  pair.main.send(message(0, 0));
  await answers.promise;
  pair.main.end();
  await theirs.drained;
  pair.thread.end();
  await mine.drained;
  assert.deepEqual(seen, [0, 1]);
});

test('the close handshake delivers all that was sent, both ways', async () => {
  const pair = openPair({ toThreadBytes: 128, toMainBytes: 128 });
  const atMain: number[] = [];
  const mine = listen(pair.main, (messages) => {
    atMain.push(...messages.map((one) => one.id));
  });
  const theirs = listen(pair.thread, (messages) => {
    for (const one of messages) pair.thread.send(message(one.id * 2, 30));
  });
  for (let id = 0; id < 500; id++) pair.main.send(message(id, 10));
  const finished = pair.main.finish();
  assert.equal(pair.main.send(message(0, 0)), false, 'nothing is taken after the end');
  await theirs.drained;
  await finished;
  await pair.thread.finish();
  await mine.drained;
  assert.deepEqual(
    atMain,
    Array.from({ length: 500 }, (_, id) => id * 2),
  );
  assert.ok(pair.main.drained && pair.thread.drained);
});

test('a peer that died: what it published is delivered, and half a frame is not', async () => {
  const pair = openPair({ toMainBytes: 1024 });
  const got: Message[] = [];
  const mine = listen(pair.main, (messages) => {
    got.push(...messages);
  });
  pair.thread.send(message(1, 10));
  pair.thread.flush();
  pair.thread.send(message(2, 5000));
  pair.thread.flush();
  pair.main.peerDied();
  await mine.drained;
  assert.deepEqual(got, [message(1, 10)]);
  pair.main.drop();
  assert.equal(pair.main.send(message(3, 0)), false);
  await pair.main.ready();
  await pair.main.finish();
});

test('dropping a lane releases everyone who waits on it', async () => {
  const pair = openPair({ toThreadBytes: 64 }, { waitingBytesMax: 64 });
  const mine = listen(pair.main, () => new Promise(() => {}));
  pair.thread.send(message(1, 1));
  pair.main.send(message(1, 500));
  const waiting = Promise.all([pair.main.ready(), pair.main.finish(), mine.drained]);
  pair.main.drop();
  await waiting;
  assert.deepEqual(pair.main.take(), []);
});

test('garbage from the peer ends the listening with an error of the lane', async () => {
  const memory = createLaneMemory();
  const main = new Lane<Message, Message>({ memory, end: 'main', messageBytesMax: 100 });
  const thread = new Lane<Message, Message>({ memory, end: 'thread' });
  const mine = listen(main, () => assert.fail('no message was whole'));
  thread.send(message(1, 1_000_000));
  listen(thread, () => undefined);
  await assert.rejects(
    mine.drained,
    (error) => error instanceof LaneError && error.code === 'FRAME_TOO_LONG',
  );
  main.drop();
  thread.drop();
});

test('what a handler throws comes out of the listening', async () => {
  const pair = openPair();
  const mine = listen(pair.main, () => {
    throw new Error('a bug of the owner');
  });
  pair.thread.send(message(1, 1));
  await assert.rejects(mine.drained, /a bug of the owner/);
  pair.main.drop();
});

test('an idle lane wakes nobody', async () => {
  const pair = openPair();
  const mine = listen(pair.main, () => undefined);
  listen(pair.thread, (messages) => {
    for (const one of messages) pair.thread.send(one);
  });
  await mine.opened;
  const before = pair.main.stats();
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  const after = pair.main.stats();
  assert.equal(after.wakeUps, before.wakeUps);
  assert.equal(after.peerWakeUps, before.peerWakeUps);
  pair.main.end();
  pair.thread.end();
});

test('property: both ways at once, any sizes, any rings, slow handlers: all arrive once, in order', async () => {
  const lengths = fc.array(fc.oneof(fc.nat(80), fc.constantFrom(0, 1, 500, 5000)), {
    maxLength: 60,
  });
  const capacity = fc.constantFrom(64, 256, 4096);
  await fc.assert(
    fc.asyncProperty(
      fc.record({ lengths, capacity, pauses: fc.array(fc.boolean(), { minLength: 1 }) }),
      fc.record({ lengths, capacity, pauses: fc.array(fc.boolean(), { minLength: 1 }) }),
      async (mainSide, threadSide) => {
        const pair = openPair({
          toThreadBytes: mainSide.capacity,
          toMainBytes: threadSide.capacity,
        });
        const run = async (
          lane: Lane<Message, Message>,
          side: typeof mainSide,
        ): Promise<Message[]> => {
          const got: Message[] = [];
          const listening = listen(lane, async (messages) => {
            got.push(...messages);
            if (side.pauses[got.length % side.pauses.length] === true) {
              await new Promise((resolve) => setImmediate(resolve));
            }
          });
          for (const [id, length] of side.lengths.entries()) {
            assert.equal(lane.send(message(id, length)), true);
            if (side.pauses[id % side.pauses.length] === true) await Promise.resolve();
          }
          lane.end();
          await listening.drained;
          return got;
        };
        const [atMain, atThread] = await Promise.all([
          run(pair.main, mainSide),
          run(pair.thread, threadSide),
        ]);
        assert.deepEqual(
          atThread,
          mainSide.lengths.map((length, id) => message(id, length)),
        );
        assert.deepEqual(
          atMain,
          threadSide.lengths.map((length, id) => message(id, length)),
        );
      },
    ),
  );
});
