import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/shared/kit/random.ts';
import { endOfViolation, findViolation, isLinearizable } from './linearizability.ts';
import type { Operation, State, Step } from './linearizability.ts';

const op = (calledAt: number, answeredAt: number, step: Step): Operation => {
  return { key: 'k', client: 'c', step, calledAt, answeredAt };
};
const read = (found: State): Step => ({ kind: 'read', found });
const create = (value: string): Step => ({ kind: 'create', value });
const update = (expected: string, value: string): Step => ({ kind: 'update', expected, value });
const set = (value: string): Step => ({ kind: 'set', value });
const REMOVE: Step = { kind: 'remove' };

for (const [fine, name, operations] of [
  [true, 'nothing happened', []],
  [true, 'one after the other', [op(1, 2, create('a')), op(3, 4, read('a'))]],
  [true, 'a read beside a write sees either', [op(1, 5, create('a')), op(2, 3, read(null))]],
  [true, 'a read beside a write sees either', [op(1, 5, create('a')), op(2, 3, read('a'))]],
  [false, 'a stale read', [op(1, 2, create('a')), op(3, 4, read(null))]],
  [false, 'back in time', [op(1, 9, create('a')), op(2, 3, read('a')), op(4, 5, read(null))]],
  [true, 'a lost answer, done', [op(1, Infinity, create('a')), op(3, 4, read('a'))]],
  [true, 'a lost answer, not done', [op(1, Infinity, create('a')), op(3, 4, read(null))]],
  [
    true,
    'a lost answer, done late',
    [op(1, Infinity, create('a')), op(3, 4, read(null)), op(5, 6, read('a'))],
  ],
  [
    false,
    'an update lost',
    [op(1, 2, create('a')), op(3, 5, update('a', 'b')), op(4, 6, update('a', 'c'))],
  ],
  [
    false,
    'an acknowledged write undone',
    [op(1, 2, create('a')), op(3, 4, set('b')), op(5, 6, read('a'))],
  ],
  [
    true,
    'removed and made again',
    [op(1, 2, create('a')), op(3, 8, REMOVE), op(4, 7, create('b')), op(9, 10, read('b'))],
  ],
  [false, 'removed twice', [op(1, 2, create('a')), op(3, 4, REMOVE), op(5, 6, REMOVE)]],
] as const) {
  test(`${fine ? 'linearizable' : 'not linearizable'}: ${name}`, () => {
    assert.equal(isLinearizable(operations), fine);
  });
}

test('each cell is judged by itself, and the one that is wrong is named', () => {
  const other = { ...op(3, 4, read(null)), key: 'other' };
  assert.equal(findViolation([op(1, 2, create('a')), other]), null);
  const stale = { ...op(3, 4, read('never written')), key: 'other' };
  assert.deepEqual(findViolation([op(1, 2, create('a')), stale]), [stale]);
});

test('of a violation the end is told, and nothing that came later', () => {
  const stale = op(5, 6, read('a'));
  const history = [op(1, 2, create('a')), op(3, 4, set('b')), stale, op(7, 8, read('b'))];
  assert.deepEqual(endOfViolation(history).at(-1), stale);
});

/** A history that is linearizable by construction, with each read's call and answer around it. */
function trueHistory(random: Random, length: number): Operation[] {
  let state: State = null;
  return Array.from({ length }, (_, at) => {
    const step = nextStep(random, state, `v${at}`);
    if (step.kind === 'remove') state = null;
    else if (step.kind !== 'read') state = step.value;
    const calledAt = at - random.unit() * 3;
    const answeredAt = random.below(12) === 0 ? Infinity : at + random.unit() * 3;
    return op(calledAt, answeredAt, step);
  });
}

function nextStep(random: Random, state: State, value: string): Step {
  if (random.below(3) === 0) return read(state);
  if (state === null) return create(value);
  return [update(state, value), set(value), REMOVE][random.below(3)] ?? REMOVE;
}

test('what went one after the other is linearizable, and is not once a read is falsified', () => {
  for (let seed = 1n; seed <= 60n; seed += 1n) {
    const random = new Random(seed);
    const history = trueHistory(random, 80);
    assert.ok(isLinearizable(history), `seed ${seed}`);
    const last = history.findLastIndex(({ step }) => step.kind !== 'read');
    const forged = op(1000, 1001, read(`not v${last}`));
    assert.ok(!isLinearizable([...history, forged]), `seed ${seed}, forged`);
  }
});
