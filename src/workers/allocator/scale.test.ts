import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allocator } from './core/allocator.ts';

/** How long it takes to give so many tasks their addresses and to take half of them back. */
function tookMs(count: number): number {
  const allocator = new Allocator();
  const network = { network: 1, name: 'web', ingress: false, granted: undefined } as const;
  const configs = [{ subnet: '10.0.0.0/16', range: '', gateway: '', reserved: [] }];
  allocator.step([{ t: 'network', ...network, asked: { configs, vxlans: '' } }]);
  const tasks = Int32Array.from({ length: count }, (_, i) => i + 10);
  const nodes = new Int32Array(count);
  const startedMs = performance.now();
  const answers = allocator.step([
    { t: 'request', service: 0, networks: [1], wanted: [''], tasks, nodes },
    { t: 'turn', turn: 1 },
    { t: 'gone', tasks: tasks.subarray(0, count / 2) },
    { t: 'turn', turn: 2 },
  ]);
  const took = performance.now() - startedMs;
  const given = answers.flatMap((answer) => (answer.t === 'tasks' ? [...answer.tasks] : []));
  assert.equal(given.length, count);
  return took;
}

test('20,000 tasks on one network cost no more each than 2,000', (t) => {
  tookMs(2000);
  const [small, large] = [tookMs(2000), tookMs(20_000)];
  t.diagnostic(`2,000 tasks: ${small.toFixed(1)} ms; 20,000 tasks: ${large.toFixed(1)} ms`);
  // Ten times the tasks take about ten times as long; with a scan it would be a hundred times.
  assert.ok(large < Math.max(small, 2) * 50, `${small} ms, ${large} ms`);
});

test('20,000 tasks that wait for a full network cost nothing when others come and go', (t) => {
  const allocator = new Allocator();
  const network = { network: 1, name: 'web', ingress: false, granted: undefined } as const;
  const configs = [{ subnet: '10.0.0.0/24', range: '', gateway: '', reserved: [] }];
  const count = 20_000;
  const tasks = Int32Array.from({ length: count }, (_, i) => i + 10);
  allocator.step([
    { t: 'network', ...network, asked: { configs, vxlans: '' } },
    {
      t: 'request',
      service: 0,
      networks: [1],
      wanted: [''],
      tasks,
      nodes: new Int32Array(count),
    },
    { t: 'turn', turn: 1 },
  ]);
  const startedMs = performance.now();
  let given = 0;
  for (let i = 0; i < 10_000; i++) {
    const answers = allocator.step([
      { t: 'gone', tasks: tasks.subarray(i, i + 1) },
      { t: 'turn', turn: i + 2 },
    ]);
    for (const answer of answers) if (answer.t === 'tasks') given += answer.tasks.length;
  }
  const took = performance.now() - startedMs;
  t.diagnostic(`10,000 tasks ended and 10,000 served: ${took.toFixed(0)} ms`);
  assert.equal(given, 10_000);
  assert.ok(took < 5000, `${took} ms; a scan of those who wait takes minutes`);
});
