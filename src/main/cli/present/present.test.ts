import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Config, Service, Task } from '../../../shared/wire/gen/objects.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import { ageText } from './age.ts';
import { messageJson, withoutEmpty } from './message-json.ts';
import { tableOf, wrap } from './table.ts';
import { taskColumns, taskJson } from './tasks.ts';

type Row = readonly [string, string];
const shape = [
  { title: 'name', cell: (row: Row) => row[0] },
  { title: 'error', cell: (row: Row) => row[1], wraps: true },
] as const;

test('columns are as wide as they need, and only a terminal makes a long one wrap', () => {
  const rows: readonly Row[] = [
    ['web.1', ''],
    ['web.10', 'no suitable node (insufficient resources on 2 nodes)'],
  ];
  assert.equal(
    tableOf(rows, shape, undefined),
    'NAME     ERROR\nweb.1\nweb.10   no suitable node (insufficient resources on 2 nodes)\n',
  );
  assert.equal(
    tableOf(rows, shape, 40),
    'NAME     ERROR\nweb.1\nweb.10   no suitable node (insufficient\n         resources on 2 nodes)\n',
  );
});

test('a cell cannot move the cursor', () => {
  assert.equal(
    tableOf([['a\u001B[2Jb', 'x\ny']], shape, undefined),
    'NAME     ERROR\na [2Jb   x y\n',
  );
});

test('wrapping loses nothing but the spaces it breaks at', () => {
  const text = fc
    .array(fc.stringMatching(/^[a-z()]{1,30}$/), { minLength: 1 })
    .map((w) => w.join(' '));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 40 }), (value, width) => {
      const lines = wrap(value, width);
      assert.ok(lines.every((line) => line.length <= width));
      assert.equal(lines.join('').replaceAll(' ', ''), value.replaceAll(' ', ''));
    }),
  );
});

const dataJson = (bytes: Uint8Array): unknown =>
  withoutEmpty(messageJson(Config, Config.create({ spec: { data: bytes } })));

test('messages as JSON: words, times, spans, counts, bytes', () => {
  const service = Service.create({
    id: 'x',
    meta: { createdAt: { seconds: 1_700_000_000, nanos: 5_000_000 } },
    spec: {
      mode: { case: 'replicated', value: { replicas: 3n } },
      task: {
        restart: { condition: 1, delay: { seconds: 90, nanos: 0 } },
        runtime: { case: 'container', value: { image: 'a', init: { value: true } } },
      },
    },
  });
  assert.deepEqual(withoutEmpty(messageJson(Service, service)), {
    id: 'x',
    meta: { createdAt: '2023-11-14T22:13:20.005Z' },
    spec: {
      mode: { replicated: { replicas: 3 } },
      task: {
        restart: { condition: 'on-failure', delay: '1m30s' },
        runtime: { container: { image: 'a', init: true, isolation: 'isolation-default' } },
      },
    },
  });
  assert.deepEqual(dataJson(Buffer.from('text\n')), { spec: { data: 'text\n' } });
  assert.deepEqual(dataJson(Uint8Array.of(0xff, 0)), { spec: { data: { base64: '/wA=' } } });
});

test('a task row says where it is, since when, and why', () => {
  const task = Task.create({
    id: 'abcdefghijklmnop',
    slot: 2,
    nodeId: 'n1',
    serviceAnnotations: { name: 'web' },
    status: {
      state: TaskState.FAILED,
      err: 'exit 3',
      timestamp: { seconds: 100, nanos: 0 },
      runtimeStatus: { case: 'container', value: { exitCode: 3 } },
    },
    desiredState: TaskState.SHUTDOWN,
  });
  const cells = taskColumns(400_000)((id) => id.slice(0, 4)).map(({ cell }) =>
    cell({ task, node: undefined }),
  );
  assert.deepEqual(cells, [
    'abcd',
    'web.2',
    '',
    'n1',
    'shutdown',
    'failed 5 minutes',
    'exit 3',
    '',
  ]);
  const json = taskJson({ task, node: undefined });
  assert.partialDeepStrictEqual(json, {
    state: 'failed',
    exitCode: 3,
    since: '1970-01-01T00:01:40.000Z',
  });
});

test('ages', () => {
  for (const [ms, text] of [
    [0, 'less than a second'],
    [1000, '1 second'],
    [119_000, '119 seconds'],
    [120_000, '2 minutes'],
    [7_200_000, '2 hours'],
    [63_072_000_000, '2 years'],
  ] as const) {
    assert.equal(ageText(ms), text);
  }
});
