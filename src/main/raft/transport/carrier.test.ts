/** Many messages in one call: what rides on what, when a call ends, and what is lost with it. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EntryType, Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { CarryRequest, type CarryResponse } from '../../../shared/wire/gen/replication.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { Encoded } from '../../rpc/service.ts';
import { Carrier, CARRIER_LIMITS, type CarrierOptions } from './carrier.ts';

const QUEUE_MAX = 8;
const TIMEOUT_MS = CARRIER_LIMITS.callMs + 150;

/** A call as the other side sees it. */
class Call {
  readonly messages: string[] = [];
  readonly ended = Promise.withResolvers<void>();
  readonly answer = Promise.withResolvers<CarryResponse>();
  /** What the next write waits for. */
  room: Promise<void> = Promise.resolve();

  constructor(signal: AbortSignal) {
    const onAbort = (): void => this.answer.reject(new Error('late'));
    signal.addEventListener('abort', onAbort, { once: true });
    this.answer.promise.catch(() => undefined);
  }

  async write(given: unknown): Promise<void> {
    assert.ok(given instanceof Encoded);
    const { message } = CarryRequest.decode(given.bytes);
    assert.ok(message !== undefined);
    this.messages.push(
      `${message.type === MessageType.MsgApp ? 'append' : 'other'} ${message.commit}`,
    );
    await Promise.race([this.room, this.answer.promise]);
  }

  finish(): Promise<CarryResponse> {
    this.ended.resolve();
    return this.answer.promise;
  }

  cancel(): void {
    this.answer.reject(new Error('cancelled'));
  }
}

let calls: Call[] = [];
let told: string[] = [];
let carrier: Carrier;

beforeEach(() => {
  calls = [];
  told = [];
  const options: CarrierOptions = {
    open: (signal) => {
      const call = new Call(signal);
      calls.push(call);
      return call;
    },
    queueMax: QUEUE_MAX,
    timeoutMs: TIMEOUT_MS,
    onArrived: () => told.push('arrived'),
    onFailed: (error) => told.push(String(error)),
  };
  carrier = new Carrier(options);
});
afterEach(() => carrier.close());

const send = (init: Init<Message>): void => carrier.send(Message.create({ term: 1, ...init }));
const mark = (commit: number): void => send({ type: MessageType.MsgApp, commit });
const append = (commit: number, term = 1): void =>
  send({
    type: MessageType.MsgApp,
    term,
    commit,
    entries: [{ type: EntryType.EntryNormal, term, index: commit + 1, data: undefined }],
  });
const heartbeat = (commit: number): void => send({ type: MessageType.MsgHeartbeat, commit });
const turn = (): Promise<void> => sleep(0);
const sent = (): readonly string[][] => calls.map(({ messages }) => messages);

async function lastEnds(): Promise<Call> {
  const call = calls.at(-1);
  assert.ok(call !== undefined);
  await call.ended.promise;
  return call;
}

test('messages go in one call, in order, and its answer tells that they arrived', async () => {
  append(1);
  assert.deepEqual(sent(), [], 'the turn that sends them does all else first');
  append(2);
  await turn();
  append(3);
  await turn();
  assert.deepEqual(sent(), [['append 1', 'append 2', 'append 3']]);
  const call = await lastEnds();
  assert.deepEqual(told, []);
  call.answer.resolve({});
  await turn();
  assert.deepEqual(told, ['arrived']);
});

test('a call ends however much there is to send, and another one goes on', async () => {
  append(1);
  await turn();
  const sending = setInterval(() => append(2), 1);
  await lastEnds();
  await sleep(10);
  clearInterval(sending);
  assert.equal(calls.length, 2);
  assert.ok((calls[1]?.messages.length ?? 0) > 0);
});

test('a commit mark rides on the append that follows', async () => {
  mark(4);
  mark(5);
  append(5);
  await sleep(CARRIER_LIMITS.markMs * 2);
  assert.deepEqual(sent(), [['append 5']]);
});

test('one that nothing follows goes by itself soon', async () => {
  mark(5);
  await turn();
  assert.deepEqual(sent(), []);
  await sleep(CARRIER_LIMITS.markMs * 2);
  assert.deepEqual(sent(), [['append 5']]);
});

test('marks that follow each other do not put it off for ever', async () => {
  const startMs = performance.now();
  for (let commit = 1; calls.length === 0; commit += 1) {
    mark(commit);
    await sleep(1);
  }
  assert.ok(performance.now() - startMs < CARRIER_LIMITS.markMs * 20);
});

test('what does not tell the same leaves the mark as it is, and comes behind it', async () => {
  mark(5);
  heartbeat(3);
  mark(6);
  append(4);
  mark(7);
  append(7, 2);
  await turn();
  assert.deepEqual(sent(), [
    ['append 5', 'other 3', 'append 6', 'append 4', 'append 7', 'append 7'],
  ]);
});

test('when a call fails, what waits is dropped, and the next message begins a new one', async () => {
  append(1);
  await turn();
  const [first] = calls;
  assert.ok(first !== undefined);
  first.room = new Promise(() => undefined);
  append(2);
  append(3);
  await turn();
  mark(3);
  first.answer.reject(new Error('gone'));
  await sleep(CARRIER_LIMITS.markMs * 2);
  assert.deepEqual(told, ['Error: gone']);
  append(4);
  await turn();
  assert.deepEqual(sent(), [['append 1', 'append 2'], ['append 4']]);
});

test('a member that takes nothing, or does not answer, counts as not reached', async () => {
  append(1);
  await turn();
  await lastEnds();
  await sleep(TIMEOUT_MS * 1.5);
  assert.deepEqual(told, ['Error: late']);
  append(2);
  await turn();
  const last = calls.at(-1);
  assert.ok(last !== undefined);
  last.room = new Promise(() => undefined);
  for (let i = 0; i <= QUEUE_MAX + 1; i += 1) append(3);
  await turn();
  assert.deepEqual(told, ['Error: late', 'Error: the queue is full']);
});

test('one that was closed says nothing, and sends nothing', async () => {
  append(1);
  await turn();
  mark(1);
  carrier.close();
  calls[0]?.cancel();
  await sleep(CARRIER_LIMITS.markMs * 2);
  assert.deepEqual(told, []);
  assert.deepEqual(sent(), [['append 1']]);
});

test('a call that is turned over is answered first, and what follows goes by another', async () => {
  append(1);
  await turn();
  const turned = carrier.turnOver().then(() => told.push('turned over'));
  append(2);
  await turn();
  const [first] = calls;
  assert.ok(first !== undefined);
  await first.ended.promise;
  assert.deepEqual(sent(), [['append 1'], ['append 2']]);
  first.answer.resolve({});
  await turned;
  assert.deepEqual(told, ['arrived', 'turned over']);
});
