import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Agenda } from './agenda.ts';

test('entries come in the order of their time, those of one time as entered; cancelled ones never', () => {
  const entry = fc.record({ dueMs: fc.nat(50), cancelled: fc.boolean() });
  fc.assert(
    fc.property(fc.array(entry), fc.nat(60), (entries, nowMs) => {
      const agenda = new Agenda();
      const ran: number[] = [];
      entries.forEach(({ dueMs, cancelled }, index) => {
        const made = agenda.at(dueMs, () => ran.push(index));
        if (cancelled) agenda.cancel(made);
      });
      const want = entries
        .map((made, index) => ({ ...made, index }))
        .filter((made) => !made.cancelled && made.dueMs <= nowMs)
        .toSorted((a, b) => a.dueMs - b.dueMs || a.index - b.index)
        .map((made) => made.index);
      assert.equal(agenda.runDue(nowMs), want.length);
      assert.deepEqual(ran, want);
      const left = entries.filter((made) => !made.cancelled && made.dueMs > nowMs);
      assert.equal(agenda.size, left.length);
      const next = left.length === 0 ? undefined : Math.min(...left.map((made) => made.dueMs));
      assert.equal(agenda.nextDueMs(), next);
    }),
  );
});

test('the owner is told when an entry comes to stand first', () => {
  const told: number[] = [];
  const agenda = new Agenda((dueMs) => told.push(dueMs));
  for (const dueMs of [10, 20, 5, 5]) agenda.at(dueMs, () => undefined);
  assert.deepEqual(told, [10, 5]);
});
