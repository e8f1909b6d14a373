/** What a transaction promises, and how entries commit. Batches and snapshots have files of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Extension,
  Network,
  Node,
  Resource,
  Service,
  Task,
} from '../../shared/wire/gen/objects.ts';
import { InternalRaftRequest } from '../../shared/wire/gen/raft.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { ENTRY_BYTES_MAX } from './proposals.ts';
import { clock, manual, open, secret, turn } from './testing/store-kit.ts';
import type { Commit, Transaction } from './transaction.ts';
import type { TaskRow } from './view.ts';

const resource = (id: string, name: string, kind = 'widget'): Resource =>
  Resource.create({ id, kind, annotations: { name } });
const network = (id: string, name: string): Network =>
  Network.create({ id, spec: { annotations: { name } } });
const renamed = (tx: Transaction): Resource => {
  const old = tx.resources.get('r2')!;
  return { ...old, annotations: { ...old.annotations, name: 'one' } };
};

test('[STO2] versions are the last entry when a transaction begins, times are the clock', async () => {
  const { store, log } = manual();
  clock.nowMs = 1_700_000_000_123;
  const first = store.update((tx) => {
    tx.secrets.create(secret('a'));
    tx.secrets.create(secret('b'));
  });
  await turn();
  const second = store.update((tx) => tx.secrets.create(secret('c')));
  await turn();
  log.commitAll();
  await Promise.all([first, second]);
  const versions = (): number[] =>
    store.view(({ secrets }) =>
      ['a', 'b', 'c'].map((id) => secrets.get(id)?.meta.version.index ?? -1),
    );
  assert.deepEqual(versions(), [0, 0, 1]);
  clock.nowMs += 5000;
  void store.update((tx) => tx.secrets.update(tx.secrets.get('a')!));
  await turn();
  log.commitAll();
  assert.deepEqual(versions(), [2, 0, 1]);
  const meta = store.view(({ secrets }) => secrets.get('a')?.meta);
  assert.deepEqual(meta?.createdAt, { seconds: 1_700_000_000, nanos: 123_000_000 });
  assert.deepEqual(meta?.updatedAt, { seconds: 1_700_000_005, nanos: 123_000_000 });
});

test('[STO3] an update brings the stored version, a patch need not', async () => {
  const { store } = open();
  await store.update((tx) => {
    tx.secrets.create(secret('a'));
    tx.tasks.create(Task.create({ id: 't' }));
  });
  const stale = store.view(({ secrets, tasks }) => ({
    secret: secrets.get('a')!,
    task: tasks.get('t')!.toTask(),
  }));
  await store.update((tx) => {
    tx.secrets.update(stale.secret);
    tx.tasks.update(stale.task);
  });
  const refused = { code: 'OUT_OF_SEQUENCE', message: 'update out of sequence' };
  await assert.rejects(
    store.update((tx) => tx.secrets.update(stale.secret)),
    refused,
  );
  await assert.rejects(
    store.update((tx) => tx.tasks.update(stale.task)),
    refused,
  );
  await store.update((tx) => tx.tasks.patch('t', { state: TaskState.RUNNING }));
  assert.equal(
    store.view(({ tasks }) => tasks.get('t')?.state),
    TaskState.RUNNING,
  );
});

test('[STO3] a task is found where it stood, also when another stands there by now', async () => {
  const { store } = open();
  await store.update((tx) => tx.tasks.create(Task.create({ id: 'a' })));
  const place = store.view(({ tasks }) => tasks.get('a')!.place);
  await store.update((tx) => {
    assert.equal(tx.tasks.get('a', place)?.id, 'a');
    tx.tasks.patch('a', { state: TaskState.ASSIGNED }, place);
    assert.equal(tx.tasks.get('a', place)?.state, TaskState.ASSIGNED, 'as the head has it');
    assert.equal(tx.tasks.get('b', place), undefined);
    const patch = (): void => tx.tasks.patch('b', {}, place);
    assert.throws(patch, { code: 'NOT_EXIST' });
  });
  await store.update((tx) => tx.tasks.remove('a'));
  await store.update((tx) => tx.tasks.create(Task.create({ id: 'b' })));
  await store.update((tx) => {
    assert.equal(tx.tasks.get('b')?.place, place, 'the place is used again');
    assert.equal(tx.tasks.get('a', place), undefined);
    tx.tasks.create(Task.create({ id: 'a' }));
  });
  await store.update((tx) => tx.tasks.patch('a', { state: TaskState.RUNNING }, place));
  const states = store.view(({ tasks }) => ['a', 'b'].map((id) => tasks.get(id)?.state));
  assert.deepEqual(states, [TaskState.RUNNING, TaskState.NEW]);
});

test('[STO4] what is refused, and in which words', async () => {
  const { store } = open();
  const extension = Extension.create({ id: 'e', annotations: { name: 'Widget' } });
  await store.update((tx) => {
    tx.networks.create(network('n1', 'Front'));
    tx.networks.create(network('n2', 'back'));
    tx.nodes.create(Node.create({ id: 'h1', description: { hostname: 'host' } }));
    tx.nodes.create(Node.create({ id: 'h2', description: { hostname: 'host' } }));
    tx.extensions.create(extension);
    tx.resources.create(resource('r1', 'one'));
    tx.resources.create(resource('r2', 'two'));
    tx.tasks.create(Task.create({ id: 't' }));
  });
  const taken = network('n2', 'FRONT');
  const named = (tx: Transaction): Network => ({ ...tx.networks.get('n2')!, spec: taken.spec });
  const cases: readonly (readonly [(tx: Transaction) => void, string, string])[] = [
    [(tx) => tx.networks.create(network('n1', 'x')), 'EXISTS', 'object already exists'],
    [(tx) => tx.tasks.create(Task.create({ id: 't' })), 'EXISTS', 'object already exists'],
    [(tx) => tx.networks.remove('no'), 'NOT_EXIST', 'object does not exist'],
    [(tx) => tx.tasks.remove('no'), 'NOT_EXIST', 'object does not exist'],
    [(tx) => tx.tasks.patch('no', {}), 'NOT_EXIST', 'object does not exist'],
    [(tx) => tx.networks.update(network('no', 'x')), 'NOT_EXIST', 'object does not exist'],
    [
      (tx) => tx.networks.create(network('n3', 'FRONT')),
      'NAME_CONFLICT',
      'name conflicts with an existing object',
    ],
    [
      (tx) => tx.networks.update(named(tx)),
      'NAME_CONFLICT',
      'name conflicts with an existing object',
    ],
    [
      (tx) => tx.extensions.create(Extension.create({ id: 'f', annotations: { name: 'Task' } })),
      'NAME_CONFLICT',
      'name conflicts with an existing object',
    ],
    [
      (tx) => tx.resources.create(resource('r3', 'x', 'gadget')),
      'KIND_UNREGISTERED',
      'object kind is unregistered',
    ],
    [(tx) => tx.extensions.update(extension), 'EXTENSION_IMMUTABLE', 'extensions are immutable'],
    [
      (tx) => tx.extensions.remove('e'),
      'EXTENSION_IN_USE',
      'cannot delete extension because objects of this type exist in the data store',
    ],
  ];
  for (const [write, code, message] of cases) {
    await assert.rejects(store.update(write), { name: 'StoreError', code, message });
  }
  await store.update((tx) => tx.resources.update(renamed(tx)));
  await store.update((tx) => {
    tx.resources.remove('r1');
    tx.resources.remove('r2');
    tx.extensions.remove('e');
  });
  await store.update((tx) => tx.networks.create(network('n4', 'frontier')));
});

test('[STO5] a transaction that throws leaves nothing', async () => {
  const { store, log } = open();
  await store.update((tx) => tx.tasks.create(Task.create({ id: 't', nodeId: 'n1' })));
  const failed = store.update((tx) => {
    tx.secrets.create(secret('a'));
    tx.tasks.patch('t', { nodeId: 'n2' });
    tx.tasks.create(Task.create({ id: 'u' }));
    tx.tasks.remove('t');
    throw new RangeError('no');
  });
  store.head(({ secrets, tasks }) => {
    assert.equal(secrets.size, 0);
    assert.deepEqual(
      tasks.byNode('n1').map((row) => row.id),
      ['t'],
    );
    assert.equal(tasks.size, 1);
  });
  await assert.rejects(failed, RangeError);
  await turn();
  assert.equal(log.lastIndex, 1);
});

test('[STO6] reading alone never waits for the log', async () => {
  const { store, log } = manual();
  log.loseLeadership();
  assert.equal(await store.update((tx) => tx.nodes.size), 0);
  await store.batch([1, 2], () => undefined);
  assert.equal(log.lastIndex, 0);
});

test('[STO7] one turn, one entry', async () => {
  const { store, log } = manual();
  void store.update((tx) => tx.secrets.create(secret('a')));
  void store.update((tx) => {
    tx.tasks.create(Task.create({ id: 't' }));
    tx.tasks.patch('t', { nodeId: 'n' });
  });
  void store.update((tx) => tx.secrets.remove('a'));
  await turn();
  assert.equal(log.pending.length, 1);
  const { action, id } = InternalRaftRequest.decode(log.pending[0]!.bytes);
  assert.notEqual(id, 0n);
  assert.deepEqual(
    action.map(({ action: kind, target }) => `${kind} ${target?.case} ${target?.value.id}`),
    ['1 secret a', '1 task t', '2 task t', '3 secret a'],
  );
});

test('[STO8] entries have a limit', async () => {
  const { store, log } = manual();
  for (const id of ['a', 'b', 'c']) {
    void store.update((tx) => tx.secrets.create(secret(id, id, 700_000)));
  }
  await turn();
  assert.deepEqual(
    log.pending.map(({ bytes }) => InternalRaftRequest.decode(bytes).action.length),
    [2, 1],
  );
  assert.ok(log.pending.every(({ bytes }) => bytes.length <= ENTRY_BYTES_MAX));
  // The last began when the others were half an entry: it does not share their version.
  assert.deepEqual(
    store.head(({ secrets }) => ['a', 'b', 'c'].map((id) => secrets.get(id)?.meta.version.index)),
    [0, 0, 1],
  );
  const large = store.update((tx) => {
    for (const id of ['d', 'e', 'f']) tx.secrets.create(secret(id, id, 600_000));
  });
  await assert.rejects(large, {
    code: 'TOO_LARGE',
    message: "raft: raft message is too large and can't be sent",
  });
  assert.equal(
    store.head(({ secrets }) => secrets.size),
    3,
  );
  // Up to the last byte it fits.
  const overhead = 120;
  const rest = ENTRY_BYTES_MAX - overhead;
  const fits = store.update((tx) => tx.secrets.create(secret('g', 'g', rest)));
  await turn();
  const { length } = log.pending.at(-1)!.bytes;
  assert.ok(length > rest && length <= ENTRY_BYTES_MAX, String(length));
  log.commitAll();
  await fits;
  const exact = rest + ENTRY_BYTES_MAX - length;
  await assert.rejects(
    store.update((tx) => tx.secrets.create(secret('h', 'h', exact + 1))),
    { code: 'TOO_LARGE' },
  );
});

test('[STO9] several entries are in flight, seen on the head alone', async () => {
  const { store, log } = manual();
  for (const nodeId of ['n1', 'n2', 'n3']) {
    void store.update((tx) => {
      if (nodeId === 'n1') tx.tasks.create(Task.create({ id: 't', nodeId }));
      else tx.tasks.patch('t', { nodeId });
    });
    await turn();
  }
  assert.equal(log.pending.length, 3);
  const nodes = (): (string | undefined)[] => [
    store.view(({ tasks }) => tasks.get('t')?.nodeId),
    store.head(({ tasks }) => tasks.get('t')?.nodeId),
  ];
  assert.deepEqual(nodes(), [undefined, 'n3']);
  log.commitNext();
  assert.deepEqual(nodes(), ['n1', 'n3']);
  assert.equal(
    store.head(({ tasks }) => tasks.countByNode('n1')),
    0,
  );
  log.commitNext(2);
  assert.deepEqual(nodes(), ['n3', 'n3']);
});

test('[STO10] what is in flight is lost with leadership, and may come back', async () => {
  const { store, log } = manual();
  void store.update((tx) => tx.tasks.create(Task.create({ id: 't', nodeId: 'n1' })));
  await turn();
  log.commitAll();
  const proposed = store.update((tx) => tx.tasks.patch('t', { nodeId: 'n2' }));
  await turn();
  const { bytes } = log.pending[0]!;
  const packed = store.update((tx) => tx.tasks.remove('t'));
  const lost = {
    code: 'LEADERSHIP_LOST',
    message: 'raft: failed to process the request: node lost leader status',
  };
  log.loseLeadership();
  await Promise.all([assert.rejects(proposed, lost), assert.rejects(packed, lost)]);
  const node = (): string | undefined => store.head(({ tasks }) => tasks.get('t')?.nodeId);
  assert.equal(node(), 'n1');
  log.receive(bytes);
  assert.equal(node(), 'n2');
  await turn();
  assert.equal(log.pending.length, 0);
});

test('[STO10] whoever waits for what is in flight hears of its loss', async () => {
  const { store, log } = manual();
  await store.settled();
  void store.update((tx) => tx.secrets.create(secret('a')));
  let done = false;
  const settled = store.settled().then(() => (done = true));
  await turn();
  assert.equal(done, false);
  log.commitAll();
  await settled;
  const lost = store.update((tx) => tx.secrets.create(secret('b')));
  const waits = store.settled();
  log.loseLeadership();
  await Promise.all([
    assert.rejects(lost, { code: 'LEADERSHIP_LOST' }),
    assert.rejects(waits, { code: 'LEADERSHIP_LOST' }),
  ]);
});

test('[STO11] a follower refuses writes', async () => {
  const { store, log } = open();
  log.loseLeadership();
  const refused = {
    code: 'NOT_LEADER',
    message: 'raft: failed to process the request: node lost leader status',
  };
  await assert.rejects(
    store.update((tx) => tx.secrets.create(secret('a'))),
    refused,
  );
  await assert.rejects(
    store.batch(['a'], (tx, id) => tx.secrets.create(secret(id))),
    refused,
  );
  assert.equal(
    store.head(({ secrets }) => secrets.size),
    0,
  );
});

test('[STO12] entries from elsewhere are taken verbatim', () => {
  const { store, log } = open();
  log.loseLeadership();
  const meta = {
    version: { index: 42 },
    createdAt: { seconds: 1, nanos: 2 },
    updatedAt: undefined,
  };
  const task = { ...Task.create({ id: 't', serviceId: 's', status: { err: 'é' } }), meta };
  const request = (action: 1 | 2 | 3): Uint8Array =>
    InternalRaftRequest.encode({
      id: 5n,
      action: [
        { action, target: { case: 'secret', value: { ...secret('a'), meta } } },
        { action, target: { case: 'task', value: task } },
      ],
    });
  const heard: string[] = [];
  store.watch(({ index, changes }) =>
    heard.push(`${index} ${changes.map((change) => change.action).join()}`),
  );
  log.receive(request(2));
  log.receive(request(1));
  log.receive(undefined);
  assert.deepEqual(
    store.view(({ secrets }) => secrets.get('a')?.meta),
    meta,
  );
  assert.deepEqual(
    store.view(({ tasks }) => tasks.get('t')?.toTask()),
    task,
  );
  log.receive(request(3));
  log.receive(request(3));
  assert.equal(store.appliedIndex, 5);
  assert.deepEqual(heard, ['1 create,create', '2 update,update', '4 remove,remove']);
});

test('[STO13] a commit is heard whole, in order, and after it has happened', async () => {
  const { store, log } = manual();
  const told: string[] = [];
  const describe = ({ index, changes }: Commit): void => {
    for (const change of changes) {
      const old = change.action === 'update' ? ` from ${textOf(change.old)}` : '';
      told.push(`${index} ${change.action} ${textOf(change.object)}${old}`);
    }
    told.push(`size ${store.view(({ tasks, secrets }) => tasks.size + secrets.size)}`);
  };
  const stop = store.watch(describe);
  store.watch(describe);
  void store.update((tx) => {
    tx.tasks.create(Task.create({ id: 't', nodeId: 'n1' }));
    tx.tasks.patch('t', { nodeId: 'n2' });
    tx.tasks.patch('t', { nodeId: 'n3' });
    tx.secrets.create(secret('a'));
    tx.secrets.update({ ...tx.secrets.get('a')!, internal: true });
  });
  await turn();
  stop();
  log.commitAll();
  assert.deepEqual(told, [
    '1 create t n1',
    '1 update t n2 from t n1',
    '1 update t n3 from t n2',
    '1 create a false',
    '1 update a true from a false',
    'size 2',
  ]);
});

/** What of an object the test above looks at. */
function textOf(object: Commit['changes'][number]['object']): string {
  if ('nodeId' in object) return `${object.id} ${object.nodeId}`;
  return `${object.id} ${'internal' in object ? object.internal : ''}`;
}

test('[STO17] rows and transactions are refused after their time', async () => {
  const { store } = open();
  await store.update((tx) => tx.tasks.create(Task.create({ id: 't', nodeId: 'n' })));
  let kept: TaskRow | undefined;
  store.view(({ tasks }) => {
    kept = tasks.get('t');
    assert.equal(kept?.nodeId, 'n');
  });
  await store.update((tx) => tx.tasks.patch('t', { nodeId: 'm' }));
  assert.throws(() => kept?.nodeId, /read after its time/);
  kept = store.view(({ tasks }) => tasks.get('t'));
  await store.update((tx) => tx.tasks.remove('t'));
  assert.throws(() => kept?.toTask(), /read after its time/);

  let late: Transaction | undefined;
  await store.update((tx) => {
    late = tx;
  });
  assert.throws(() => late?.secrets.create(secret('a')), /used after its end/);
  assert.throws(() => late?.tasks.remove('t'), /used after its end/);
  const nested = store.update(() => {
    void store.update(() => undefined);
  });
  await assert.rejects(nested, /begun within another/);
  await assert.rejects(
    store.update(() => Promise.resolve()),
    /does not wait/,
  );
});

const write = (list: readonly object[] | undefined): void =>
  void Object.assign(list ?? [], { length: 0 });

test('[STO18] stored objects are frozen in tests', async () => {
  const { store } = open();
  const service = Service.create({ id: 's', spec: { task: { networks: [{ target: 'n' }] } } });
  await store.update((tx) => {
    tx.services.create(service);
    tx.tasks.create(Task.create({ id: 't', spec: { networks: [{ target: 'n' }] } }));
  });
  const stored = store.view(({ services }) => services.get('s'));
  const shared = store.view(({ tasks }) => tasks.get('t')?.shared());
  assert.throws(() => write(stored?.spec.task.networks), TypeError);
  assert.throws(() => write(shared?.spec.networks), TypeError);
});

test('[STO22] what is written, taken back, lost or applied makes another edition', async () => {
  const { store, log } = manual();
  const head = (): object => store.head(({ nodes }) => nodes.edition);
  const committed = (): object => store.view(({ nodes }) => nodes.edition);
  const seen = new Set([head()]);
  const isAnother = (): boolean => !seen.has(head()) && seen.add(head()).size > 0;

  const before = committed();
  const created = store.update((tx) => tx.nodes.create(Node.create({ id: 'n' })));
  assert.ok(isAnother());
  assert.equal(committed(), before);
  await turn();
  log.commitAll();
  await created;
  assert.notEqual(committed(), before);

  seen.add(head());
  const [headAtRest, committedAtRest] = [head(), committed()];
  void store.update((tx) => tx.services.create(Service.create({ id: 's' })));
  await turn();
  log.commitAll();
  assert.equal(head(), headAtRest);
  assert.equal(committed(), committedAtRest);

  await assert.rejects(
    store.update((tx) => {
      tx.nodes.remove('n');
      assert.ok(isAnother());
      throw new Error('no');
    }),
  );
  assert.ok(isAnother());

  const removed = store.update((tx) => tx.nodes.remove('n'));
  await turn();
  const { bytes } = log.pending[0]!;
  assert.ok(isAnother());
  log.loseLeadership();
  await assert.rejects(removed);
  assert.ok(isAnother());
  log.receive(bytes);
  assert.ok(isAnother());
});
