import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { Arrivals, ARRIVALS } from './arrivals.ts';

/**
 * Arrivals whose turns come when `turn` is called, the numbers of the connections that began, and how
 * long until they want to be called without a turn.
 */
function setUp() {
  let nowMs = 0;
  let next: (() => void) | undefined;
  let wake: { readonly atMs: number; readonly run: () => void } | undefined;
  const sockets: Socket[] = [];
  const begun: number[] = [];
  const arrivals = new Arrivals((socket) => begun.push(sockets.indexOf(socket)), {
    nowMs: () => nowMs,
    nextTurn: (run) => (next = run),
    after: (run, delayMs) => {
      wake = { atMs: nowMs + delayMs, run };
      return () => (wake = undefined);
    },
  });
  const come = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      const socket = new Socket();
      sockets.push(socket);
      arrivals.add(socket);
    }
  };
  /** @returns whether a turn was asked for */
  const turn = (afterMs = 1): boolean => {
    const run = next;
    next = undefined;
    nowMs += afterMs;
    run?.();
    return run !== undefined;
  };
  return {
    arrivals,
    sockets,
    begun,
    come,
    turn,
    /** So many come, then a turn brings none and the first begin. */
    add: (count: number): void => {
      come(count);
      turn(0);
      turn(0);
    },
    wakesInMs: (): number | undefined => (wake === undefined ? undefined : wake.atMs - nowMs),
    wake: (): void => {
      assert.ok(wake);
      const { atMs, run } = wake;
      wake = undefined;
      nowMs = Math.max(nowMs, atMs);
      run();
    },
  };
}

const { perTurn, acceptTurnsMax, waitMaxMs, atOnceMax, slowMs, returnMs } = ARRIVALS;

/** Arrivals of which as many are under way as may be, and so many more that wait; no turn is asked for. */
function setUpFull(waiting: number) {
  const all = setUp();
  all.add(atOnceMax + waiting);
  while (all.turn(0));
  assert.equal(all.begun.length, atOnceMax);
  return all;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('connections that come in', () => {
  test('begin at once while they are few', () => {
    const { begun, add } = setUp();
    add(perTurn);
    assert.deepEqual(begun, upTo(perTurn).toReversed());
  });

  test('begin a few in each turn when they are many, the youngest first, and all of them', () => {
    const { begun, add, turn } = setUp();
    add(3 * perTurn);
    assert.equal(begun.length, perTurn);
    turn();
    assert.equal(begun.length, 2 * perTurn);
    turn();
    assert.deepEqual(begun, upTo(3 * perTurn).toReversed());
  });

  test('begin when a turn has brought no more of them: one is accepted in a turn', () => {
    const { begun, come, turn } = setUp();
    for (let i = 0; i < perTurn; i += 1) {
      come(1);
      turn();
      assert.deepEqual(begun, []);
    }
    turn();
    assert.deepEqual(begun, upTo(perTurn).toReversed());
  });

  test('begin, the youngest first, also when every turn brings more', () => {
    const { begun, come, turn } = setUp();
    for (let i = 0; i <= acceptTurnsMax; i += 1) {
      assert.deepEqual(begun, []);
      come(1);
      turn();
    }
    assert.deepEqual(
      begun,
      upTo(acceptTurnsMax + 1)
        .toReversed()
        .slice(0, perTurn),
    );
  });

  test('take no turns when nobody waits', () => {
    const { come, turn } = setUp();
    for (let i = 0; i < 2; i += 1) {
      come(1);
      assert.equal(turn(), true);
      assert.equal(turn(), true);
      assert.equal(turn(), false);
    }
  });

  test('are closed without a handshake once their clients have surely given up', () => {
    const { begun, sockets, add, turn } = setUp();
    add(2 * perTurn);
    turn(waitMaxMs + 1);
    assert.equal(begun.length, perTurn);
    assert.ok(sockets.every((socket, i) => socket.destroyed === !begun.includes(i)));
  });

  test('are passed over when they were closed meanwhile, without taking a place', () => {
    const { begun, sockets, come, turn } = setUp();
    come(perTurn + 1);
    sockets.at(-1)?.destroy();
    turn();
    turn();
    assert.equal(begun.length, perTurn);
    assert.ok(!begun.includes(perTurn));
  });

  test('wait while as many handshakes are under way as may be, and take no turns meanwhile', () => {
    const { arrivals, sockets, begun, turn } = setUpFull(3);
    assert.equal(turn(), false);
    assert.equal(begun.length, atOnceMax);
    arrivals.ended(sockets[begun[0] ?? 0]!);
    assert.equal(turn(), true);
    assert.equal(begun.length, atOnceMax + 1);
    assert.equal(turn(), false);
  });

  test('begin a few in each turn also when many handshakes end in one', () => {
    const { arrivals, sockets, begun, turn } = setUpFull(3 * perTurn);
    for (const i of begun.slice(0, 3 * perTurn)) arrivals.ended(sockets[i]!);
    turn();
    assert.equal(begun.length, atOnceMax + perTurn);
    turn();
    assert.equal(begun.length, atOnceMax + 2 * perTurn);
  });

  test('are not held up by clients that never go on with their handshakes', () => {
    const { arrivals, begun, wake, wakesInMs } = setUpFull(3);
    assert.equal(wakesInMs(), slowMs);
    wake();
    assert.equal(begun.length, atOnceMax + 3);
    assert.equal(arrivals.isBehind, false);
    assert.equal(wakesInMs(), undefined);
  });

  test('take a place only once: the late end of a slow handshake makes no more room', () => {
    const { arrivals, sockets, begun, add, wake, turn } = setUpFull(atOnceMax);
    const slow = [...begun];
    wake();
    while (turn(0));
    assert.equal(begun.length, 2 * atOnceMax);
    add(1);
    for (const i of slow) arrivals.ended(sockets[i]!);
    while (turn(0));
    assert.equal(begun.length, 2 * atOnceMax);
  });

  test('are closed when they waited too long for a place', () => {
    const { sockets, begun, turn, wake } = setUpFull(1);
    turn(waitMaxMs + 1);
    wake();
    const closed = sockets.filter((socket) => socket.destroyed);
    assert.deepEqual(
      closed,
      sockets.filter((_, i) => !begun.includes(i)),
    );
    assert.equal(closed.length, 1);
  });

  test('leave us behind while they wait, and after we turned some away until they may be back', () => {
    const { arrivals, add, turn } = setUp();
    assert.equal(arrivals.isBehind, false);
    add(perTurn);
    assert.equal(arrivals.isBehind, false);
    add(perTurn + 1);
    assert.equal(arrivals.isBehind, true);
    turn(waitMaxMs + 1);
    assert.equal(arrivals.isBehind, true);
    add(1);
    turn(returnMs - 1);
    assert.equal(arrivals.isBehind, true);
    turn(1);
    assert.equal(arrivals.isBehind, false);
  });

  test('are closed when the listener ends', () => {
    const { arrivals, sockets, add } = setUp();
    add(perTurn + 2);
    arrivals.clear();
    assert.deepEqual(
      sockets.map((socket) => socket.destroyed),
      [true, true, ...upTo(perTurn).map(() => false)],
    );
  });

  test('ask to be called no more when the listener ends', () => {
    const { arrivals, wakesInMs } = setUpFull(1);
    arrivals.clear();
    assert.equal(wakesInMs(), undefined);
  });
});
