import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Judgement } from './core/convergence.ts';
import { progressOn } from './progress.ts';
import { FakeTerminal } from './testing/control-socket.ts';

const judgement = (ready: number, more: Partial<Judgement> = {}): Judgement => ({
  outcome: 'waiting',
  ready,
  wanted: 2,
  problem: '',
  transitions: [],
  ...more,
});

test('elsewhere than on a terminal: a line for each transition and each new count', () => {
  const terminal = new FakeTerminal();
  const progress = progressOn(terminal, false);
  const failed = { task: 'web.1', state: TaskState.FAILED, error: 'exit 3' };
  progress.update('web', judgement(0, { transitions: [failed] }));
  progress.update('web', judgement(0));
  progress.update('web', judgement(1));
  progress.end();
  assert.equal(terminal.stderr, 'web.1: failed: exit 3\nweb: 0/2 ready\nweb: 1/2 ready\n');
  assert.equal(terminal.stdout, '');
});

test('of a large service only the count is told', () => {
  const terminal = new FakeTerminal();
  const one = { task: 'web.1', state: TaskState.RUNNING, error: '' };
  progressOn(terminal, false).update('web', judgement(7, { wanted: 1000, transitions: [one] }));
  assert.equal(terminal.stderr, 'web: 7/1000 ready\n');
});

test('on a terminal: a bar for each service, drawn over itself, with its whole problem', () => {
  const terminal = new FakeTerminal({ live: true, columns: 80 });
  const progress = progressOn(terminal, false);
  progress.update('web', judgement(1, { problem: `web.2: ${'no suitable node '.repeat(8)}end` }));
  progress.update('database', judgement(2, { outcome: 'converged' }));
  const [first = '', second = ''] = terminal.stderr.split('\u001B[3A\u001B[0J');
  assert.match(first, /^web {2}█{12}░{12} {2}1\/2\n {4}web\.2: no suitable node[^]*end\n$/);
  assert.match(second, /^web {7}█{12}░{12} {2}1\/2\n[^]*database {2}█{24} {2}2\/2\n$/);
});

test('nothing is shown to those who want nothing', () => {
  const terminal = new FakeTerminal({ live: true });
  progressOn(terminal, true).update('web', judgement(1));
  assert.equal(terminal.stderr, '');
});
