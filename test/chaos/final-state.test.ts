import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '../support/linearizability.ts';
import { finalStateErrors } from './final-state.ts';

const op = (calledAt: number, answeredAt: number, step: Operation['step']): Operation => {
  return { key: 'k', client: 'c', step, calledAt, answeredAt };
};
const create = (value: string) => ({ kind: 'create', value }) as const;
const update = (expected: string, value: string) => ({ kind: 'update', expected, value }) as const;
const REMOVE = { kind: 'remove' } as const;

for (const [fine, name, found, operations] of [
  [true, 'an acknowledged write is there', 'a', [op(1, 2, create('a'))]],
  [false, 'an acknowledged write is lost', undefined, [op(1, 2, create('a'))]],
  [true, 'a write without an answer was done', 'a', [op(1, Infinity, create('a'))]],
  [true, 'a write without an answer was not done', undefined, [op(1, Infinity, create('a'))]],
  [false, 'an old text is back', 'a', [op(1, 2, create('a')), op(3, 4, update('a', 'b'))]],
  [true, 'either of two at once', 'a', [op(1, 9, create('a')), op(3, 4, update('a', 'b'))]],
  [
    true,
    'a lost write that comes late',
    'b',
    [op(1, 2, create('a')), op(3, Infinity, update('a', 'b')), op(5, 6, update('a', 'c'))],
  ],
  [true, 'removed', undefined, [op(1, 2, create('a')), op(3, 4, REMOVE)]],
  [false, 'a removed one is back', 'a', [op(1, 2, create('a')), op(3, 4, REMOVE)]],
  [true, 'maybe removed', 'a', [op(1, 2, create('a')), op(3, Infinity, REMOVE)]],
  [true, 'maybe removed', undefined, [op(1, 2, create('a')), op(3, Infinity, REMOVE)]],
  [false, 'what nobody wrote', 'x', [op(1, 2, create('a'))]],
] as const) {
  test(`${fine ? 'right' : 'wrong'} at the end: ${name}`, () => {
    const end = new Map(found === undefined ? [] : [['k', found]]);
    assert.equal(finalStateErrors(operations, end).length, fine ? 0 : 1);
  });
}

test('a cell that nobody wrote is named', () => {
  assert.deepEqual(finalStateErrors([], new Map([['k', 'a']])), ['nobody wrote k']);
});
