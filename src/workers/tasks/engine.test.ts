import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  LOG_CREDIT_BYTES,
  threadOf,
  type FromTasks,
  type ToTasks,
} from '../../shared/lanes/tasks.ts';
import {
  LogMessage,
  LogSubscriptionOptions,
  SubscriptionMessage,
} from '../../shared/wire/gen/logbroker.ts';
import { Config, Secret, Task } from '../../shared/wire/gen/objects.ts';
import { NodeDescription, TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Agenda } from './core/agenda.ts';
import { TasksEngine } from './engine.ts';
import { FatalError, TemporaryError } from './executors/errors.ts';
import type { Controller, Executor, LogOptions, LogRecord } from './executors/executor.ts';
import { simulatedExecutor } from './executors/simulated/executor.ts';
import { logOptions } from './logs.ts';

const S = TaskState;

/** A lane that only keeps what is sent, and can be full. */
class FakeLane {
  readonly sent: FromTasks[] = [];
  full = false;
  #ready = Promise.withResolvers<void>();

  readonly send = (message: FromTasks): boolean => {
    this.sent.push(structuredClone(message));
    return true;
  };

  async ready(): Promise<void> {
    if (this.full) await this.#ready.promise;
  }

  open(): void {
    this.full = false;
    this.#ready.resolve();
    this.#ready = Promise.withResolvers();
  }

  take<T extends FromTasks['t']>(t: T): Extract<FromTasks, { t: T }>[] {
    return this.sent.filter((message): message is Extract<FromTasks, { t: T }> => message.t === t);
  }

  /** Every status sent, as `id state`. */
  get statuses(): string[] {
    return this.take('statuses').flatMap(({ ids, statuses }) =>
      ids.map((id, at) => `${id} ${TaskStatus.decode(statuses[at] ?? new Uint8Array()).state}`),
    );
  }
}

type Parts = {
  readonly executor?: Partial<Executor>;
  readonly controller?: Partial<Controller>;
  readonly index?: number;
  readonly threads?: number;
};

const turn = async (): Promise<void> => {
  for (let at = 0; at < 5; at += 1) await new Promise(setImmediate);
};

/** An engine over simulated tasks, parts of which a test replaces. */
function engineWith(parts: Parts = {}) {
  const lane = new FakeLane();
  const agenda = new Agenda();
  let nowMs = 1_000_000;
  const clock = { agenda, nowMs: () => nowMs };
  const warnings: string[] = [];
  const simulated = simulatedExecutor({ nodeId: 'n1', hostname: 'h' }, clock, {});
  const executor: Executor = {
    ...simulated,
    controller: (task, dependencies) =>
      Object.assign(simulated.controller(task, dependencies), parts.controller),
    ...parts.executor,
  };
  const log = {
    info: () => undefined,
    warn: (_: unknown, text: string) => void warnings.push(text),
  };
  const { index = 0, threads = 1 } = parts;
  const engine = new TasksEngine({ nodeId: 'n1', executor, clock, log, lane, index, threads });
  return {
    engine,
    executor,
    lane,
    warnings,
    handle: async (...messages: ToTasks[]) => {
      engine.handle(messages);
      await turn();
    },
    advance: async (byMs: number) => {
      nowMs += byMs;
      agenda.runDue(nowMs);
      await turn();
    },
  };
}

const taskOf = (id: string, init: Init<Task> = {}): Task =>
  Task.create({
    id,
    serviceId: 'service1',
    desiredState: S.RUNNING,
    status: { state: S.ASSIGNED },
    spec: { runtime: { case: 'container', value: { image: 'x' } } },
    ...init,
  });

const assign = (...tasks: Task[]): ToTasks => ({
  t: 'assign',
  tasks: tasks.map((task) => Task.encode(task)),
});

test('[ENG1] statuses go out in batches, only the newest of each task', async () => {
  const { lane, handle } = engineWith();
  await handle(assign(...Array.from({ length: 300 }, (_, at) => taskOf(`t${at}`))));
  const running = lane.statuses.filter((line) => line.endsWith(' 512'));
  assert.equal(new Set(running).size, 300);
  assert.ok(lane.take('statuses').length < 10, `${lane.take('statuses').length} messages`);
});

test('[ENG1] a full lane holds statuses back, one for each task, and removals after them', async () => {
  const { lane, handle } = engineWith();
  lane.full = true;
  await handle(assign(taskOf('t1'), taskOf('t2')));
  await handle(assign(taskOf('t1', { desiredState: S.SHUTDOWN })));
  await handle({ t: 'remove', ids: ['t2'] });
  assert.deepEqual(lane.sent, []);
  lane.open();
  await turn();
  assert.deepEqual(lane.statuses, ['t1 640']);
  assert.deepEqual(lane.take('removed'), [{ t: 'removed', ids: ['t2'] }]);
});

test('[ENG2] an assignment does not touch the status of a task that is known', async () => {
  const { lane, handle } = engineWith();
  await handle(assign(taskOf('t1', { desiredState: S.READY })));
  assert.deepEqual(lane.statuses.at(-1), 't1 384');
  await handle(assign(taskOf('t1', { status: { state: S.ASSIGNED } })));
  assert.deepEqual(lane.statuses.at(-1), 't1 512');
  const count = lane.statuses.length;
  await handle(assign(taskOf('t1', { status: { state: S.PENDING } })));
  assert.equal(lane.statuses.length, count);
});

test('[TSK14] a stored status is gone on from', async () => {
  const { lane, handle } = engineWith();
  await handle(assign(taskOf('t1', { status: { state: S.STARTING } })));
  assert.deepEqual(lane.statuses, ['t1 512']);
});

test('[TSK7] a temporary error is told, and the operation tried again after a second', async () => {
  let tries = 0;
  const { lane, handle, advance } = engineWith({
    controller: {
      prepare: () =>
        (tries += 1) < 3 ? Promise.reject(new TemporaryError('busy')) : Promise.resolve(),
    },
  });
  await handle(assign(taskOf('t1')));
  assert.equal(tries, 1);
  await advance(999);
  assert.equal(tries, 1);
  await advance(1);
  assert.equal(tries, 2);
  await advance(1_000);
  assert.deepEqual(lane.statuses.at(-1), 't1 512');
});

test('[TSK16] a task without a controller is rejected, and may be assigned again', async () => {
  const simulated = engineWith();
  let broken = true;
  const { lane, handle, engine } = engineWith({
    executor: {
      controller: (task, dependencies) => {
        if (broken) throw new FatalError('no such thing');
        return simulated.executor.controller(task, dependencies);
      },
    },
  });
  await handle(assign(taskOf('t1')));
  const [message] = lane.take('statuses');
  const status = TaskStatus.decode(message?.statuses[0] ?? new Uint8Array());
  assert.deepEqual(
    [status.state, status.message, status.err],
    [S.REJECTED, 'resolving controller failed', 'no such thing'],
  );
  assert.equal(engine.size, 0);
  broken = false;
  await handle(assign(taskOf('t1')));
  assert.deepEqual([engine.size, lane.statuses.at(-1)], [1, 't1 512']);
});

test('[ENG3] what is left of an unknown task is discarded when it is to go', async () => {
  const discarded: string[] = [];
  const { lane, handle } = engineWith({
    executor: { discard: (id) => Promise.resolve(void discarded.push(id)) },
  });
  await handle({ t: 'remove', ids: ['t9'] });
  assert.deepEqual(discarded, ['t9']);
  assert.deepEqual(lane.take('removed'), [{ t: 'removed', ids: ['t9'] }]);
});

test('[ENG4] leftovers of unknown tasks go, those of other threads and of known tasks stay', async () => {
  const ids = Array.from({ length: 20 }, (_, at) => `t${at}`);
  const mine = ids.filter((id) => threadOf(id, 2) === 1);
  const discarded: string[] = [];
  let fails = true;
  const { handle, advance, warnings } = engineWith({
    index: 1,
    threads: 2,
    executor: {
      leftovers: () => (fails ? Promise.reject(new Error('away')) : Promise.resolve(ids)),
      discard: (id) => Promise.resolve(void discarded.push(id)),
    },
  });
  const [known = ''] = mine;
  await handle(assign(taskOf(known)), { t: 'settle' });
  assert.equal(warnings.length, 1);
  fails = false;
  await advance(10_000);
  assert.deepEqual(discarded, mine.slice(1));
});

test('secrets and configs reach the tasks that may have them, until they are dropped', async () => {
  const seen: string[] = [];
  const { handle } = engineWith({
    executor: {
      controller: (_task, dependencies) => {
        for (const look of [() => dependencies.secret('s').id, () => dependencies.config('c').id]) {
          try {
            seen.push(look());
          } catch (error) {
            seen.push(String(error));
          }
        }
        throw new FatalError('seen');
      },
    },
  });
  const value = { secrets: [{ secretId: 's' }], configs: [{ configId: 'c' }] };
  const spec = { runtime: { case: 'container' as const, value } };
  await handle(
    { t: 'secrets', put: [Secret.encode(Secret.create({ id: 's' }))], drop: [] },
    { t: 'configs', put: [Config.encode(Config.create({ id: 'c' }))], drop: [] },
    assign(taskOf('t1', { spec })),
    { t: 'secrets', put: [], drop: ['s'] },
    assign(taskOf('t2', { spec })),
    { t: 'forgetDependencies' },
    assign(taskOf('t3', { spec })),
  );
  const missing = ['DependencyError: secret s not found', 'DependencyError: config c not found'];
  assert.deepEqual(seen, ['s', 'c', missing[0], 'c', ...missing]);
});

test('the executor’s description is told, or why there is none', async () => {
  const { engine, lane, handle } = engineWith();
  await engine.open();
  const [first] = lane.take('described');
  assert.equal(NodeDescription.decode(first?.description ?? new Uint8Array()).hostname, 'h');
  const failing = engineWith({
    executor: { describe: () => Promise.reject(new Error('engine away')) },
  });
  await failing.handle({ t: 'describe' });
  assert.equal(failing.lane.take('described')[0]?.error, 'engine away');
  await handle({ t: 'describe' });
  assert.equal(lane.take('described').length, 2);
});

/** Logs of tasks by id: fixed lines, then, when followed, until the signal. */
const lines = (texts: readonly string[]): Pick<Controller, 'logs'> => ({
  async *logs(options: LogOptions, signal: AbortSignal): AsyncGenerator<LogRecord> {
    for (const text of texts) {
      yield { stream: 'stdout', timestamp: { seconds: 1, nanos: 0 }, data: Buffer.from(text) };
    }
    if (!options.follow) return;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  },
});

const subscribe = (
  subscription: number,
  selector: Init<SubscriptionMessage>['selector'],
  follow = false,
): ToTasks => {
  const message = SubscriptionMessage.create({ id: 'sub', selector, options: { follow } });
  return { t: 'logs', subscription, message: SubscriptionMessage.encode(message) };
};

const told = (lane: FakeLane, subscription: number): string[] =>
  lane
    .take('logRecords')
    .filter((message) => message.subscription === subscription)
    .flatMap((message) => message.records.map((bytes) => LogMessage.decode(bytes)))
    .map(({ context, data }) => `${context.taskId} ${Buffer.from(data).toString().trimEnd()}`);

test('[LGS1] logs are selected by task, service or node', async () => {
  const { lane, handle } = engineWith({ controller: lines(['hello']) });
  await handle(assign(taskOf('t1'), taskOf('t2', { serviceId: 'service2' })));
  await handle(subscribe(1, { taskIds: ['t1'] }), subscribe(2, { serviceIds: ['service2'] }));
  await handle(subscribe(3, { nodeIds: ['n1'] }), subscribe(4, { nodeIds: ['n2'] }));
  assert.deepEqual(told(lane, 1), ['t1 hello']);
  assert.deepEqual(told(lane, 2), ['t2 hello']);
  assert.deepEqual(told(lane, 3), ['t1 hello', 't2 hello']);
  assert.deepEqual(told(lane, 4), []);
  assert.equal(lane.take('logsEnd').length, 4);
});

test('[LGS2] with follow, tasks that come later are read too, until it is closed', async () => {
  const { lane, handle } = engineWith({ controller: lines(['hello']) });
  await handle(assign(taskOf('t1')), subscribe(1, { serviceIds: ['service1'] }, true));
  await handle(assign(taskOf('t2')), assign(taskOf('t3', { serviceId: 'other' })));
  assert.deepEqual(told(lane, 1), ['t1 hello', 't2 hello']);
  assert.deepEqual(lane.take('logsEnd'), []);
  await handle({ t: 'logsClose', subscription: 1 });
  assert.deepEqual(lane.take('logsEnd'), [{ t: 'logsEnd', subscription: 1, errors: [] }]);
});

const tailOf = (tail: number) => logOptions(LogSubscriptionOptions.create({ tail })).tail;

test('[LGS3] a tail is counted from the end, and off by one', () => {
  assert.deepEqual([0, -1, -4].map(tailOf), ['all', 0, 3]);
  assert.throws(() => tailOf(5), /tail relative to start of logs not supported/);
  const { stdout, stderr } = logOptions(LogSubscriptionOptions.create({ streams: [2] }));
  assert.deepEqual([stdout, stderr], [false, true]);
});

test('[LGS4] no more is sent than there is credit for', async () => {
  const line = 'x'.repeat(10_000);
  const many = Array.from({ length: 100 }, () => line);
  const { lane, handle } = engineWith({ controller: lines(many) });
  await handle(assign(taskOf('t1')));
  await handle(subscribe(1, { taskIds: ['t1'] }));
  const first = told(lane, 1).length;
  assert.ok(first * 10_000 <= LOG_CREDIT_BYTES + 10_000 && first > 20, String(first));
  await handle({ t: 'logCredit', subscription: 1, bytes: 30_500 });
  assert.ok(told(lane, 1).length > first && told(lane, 1).length < first + 6);
  await handle({ t: 'logCredit', subscription: 1, bytes: 10_000_000 });
  assert.equal(told(lane, 1).length, 100);
  assert.equal(lane.take('logsEnd').length, 1);
});

test('[LGS5] a reader that fails is named, the others go on', async () => {
  const { lane, handle } = engineWith({
    controller: {
      async *logs(): AsyncGenerator<LogRecord> {
        yield { stream: 'stderr', timestamp: { seconds: 1, nanos: 0 }, data: Buffer.from('a') };
        throw new Error('disk on fire');
      },
    },
  });
  await handle(assign(taskOf('t1'), taskOf('t2')));
  await handle(subscribe(1, { serviceIds: ['service1'] }));
  assert.deepEqual(told(lane, 1), ['t1 a', 't2 a']);
  const errors = ['task t1: disk on fire', 'task t2: disk on fire'];
  assert.deepEqual(lane.take('logsEnd'), [{ t: 'logsEnd', subscription: 1, errors }]);
});

test('[ENG6] simulated tasks need no timer each, and little memory', async () => {
  const count = 20_000;
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  assert(typeof collect === 'function');
  const { lane, engine } = engineWith();
  const batches: ToTasks[] = [];
  for (let at = 0; at < count; at += 1_000) {
    batches.push(
      assign(...Array.from({ length: 1_000 }, (_, index) => taskOf(`task${at + index}`))),
    );
  }
  collect();
  const heapBefore = process.memoryUsage().heapUsed;
  const running = new Set<string>();
  for (const batch of batches) {
    engine.handle([batch]);
    await turn();
    for (const line of lane.statuses) if (line.endsWith(' 512')) running.add(line);
    lane.sent.length = 0;
  }
  assert.equal(running.size, count);
  running.clear();
  collect();
  const perTask = (process.memoryUsage().heapUsed - heapBefore) / count;
  assert.equal(engine.size, count);
  assert.ok(perTask < 2_048, `${perTask} bytes a task`);
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
  assert.ok(timers.length < 10, `${timers.length} timers`);
});
