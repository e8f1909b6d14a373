/** The contract, and the simulation's own rules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../../../../shared/wire/gen/objects.ts';
import { TaskState } from '../../../../shared/wire/gen/types.ts';
import { Agenda } from '../../core/agenda.ts';
import { Ticker } from '../../ticker.ts';
import { Cancellation } from '../cancellation.ts';
import { ExitError } from '../errors.ts';
import { executorContract, type Program } from '../contract.test.ts';
import { simulatedExecutor, type Clock, type SimulatedOptions } from './executor.ts';

const nowMs = (): number => Date.now();
const NODE = { nodeId: 'n1', hostname: 'host' };
const NONE = { secret: assert.fail, config: assert.fail };

let ids = 0;
const taskOf = (
  labels: Record<string, string>,
  init: Parameters<typeof Task.create>[0] = {},
): Task =>
  Task.create({
    id: `task${(ids += 1)}`,
    spec: { runtime: { case: 'container', value: { image: 'x', labels } } },
    ...init,
  });

const LABELS: Readonly<Record<Program['does'], (program: Program) => Record<string, string>>> = {
  exit: (p) => ({
    'skein.sim.run-ms': '20',
    'skein.sim.exit-code': String(p.does === 'exit' ? p.code : 0),
  }),
  serve: () => ({ 'skein.sim.start-ms': '5-10' }),
  resist: (p) => ({ 'skein.sim.stop-ms': String(p.does === 'resist' ? p.graceMs : 0) }),
};

executorContract('simulated', () => {
  const ticker = new Ticker(nowMs);
  const clock = { agenda: ticker.agenda, nowMs };
  return Promise.resolve({
    real: false,
    open: () => Promise.resolve(simulatedExecutor(NODE, clock)),
    task: (program) => taskOf(LABELS[program.does](program)),
    close: () => Promise.resolve(ticker.stop()),
  });
});

/** A clock that stands still until it is moved. */
function virtualClock(): Clock & { advance: (toMs: number) => Promise<void> } {
  let atMs = 0;
  const agenda = new Agenda();
  return {
    agenda,
    nowMs: () => atMs,
    advance: async (toMs) => {
      atMs = toMs;
      agenda.runDue(atMs);
      await new Promise(setImmediate);
    },
  };
}

const OPTIONS: SimulatedOptions = { plan: { prepareMs: [0, 1000], rejectRate: 0.2 } };

/** When each of a hundred tasks was prepared, or that it was rejected. */
async function schedule(seed: number, reversed: boolean): Promise<string[]> {
  const clock = virtualClock();
  const executor = simulatedExecutor(NODE, clock, { ...OPTIONS, seed });
  const tasks = Array.from({ length: 100 }, (_, index) => taskOf({}, { id: `t${index}` }));
  const seen: string[] = [];
  for (const task of reversed ? tasks.toReversed() : tasks) {
    executor
      .controller(task, NONE)
      .prepare(new Cancellation())
      .then(
        () => seen.push(`${task.id} ${clock.nowMs()}`),
        () => seen.push(`${task.id} rejected`),
      );
  }
  for (let ms = 0; ms <= 1000; ms += 10) await clock.advance(ms);
  return seen.toSorted();
}

test('[SIM1] a seed gives one schedule, in whatever order tasks come', async () => {
  const first = await schedule(7, false);
  assert.equal(first.length, 100);
  assert.deepEqual(await schedule(7, true), first);
  assert.notDeepEqual(await schedule(8, false), first);
});

test('[SIM2] labels of the service and of the container change the plan', async () => {
  const clock = virtualClock();
  const executor = simulatedExecutor(NODE, clock, { plan: { runMs: [10, 10] } });
  const serviceAnnotations = { labels: { 'skein.sim.run-ms': '500', 'skein.sim.exit-code': '4' } };
  const task = taskOf({ 'skein.sim.exit-code': '5' }, { serviceAnnotations });
  const controller = executor.controller(task, NONE);
  await controller.start(new Cancellation());
  const ends: unknown[] = [];
  controller.wait(new Cancellation()).catch((error: unknown) => ends.push(error));
  await clock.advance(499);
  assert.equal(ends.length, 0);
  await clock.advance(500);
  const [end] = ends;
  assert.ok(end instanceof ExitError && end.exitCode === 5);
  for (const labels of [{ 'skein.sim.speed': '1' }, { 'skein.sim.run-ms': 'soon' }]) {
    assert.throws(() => executor.controller(taskOf(labels), NONE), /^FatalError: simulated: /);
  }
});

test('[SIM3] rates are met', async () => {
  const rejected = (await schedule(3, false)).filter((line) => line.endsWith('rejected'));
  assert.ok(rejected.length > 8 && rejected.length < 36, `${rejected.length} of 100 at 20 %`);
});

test('[EXE7] an adopted task ends when it would have', async () => {
  const clock = virtualClock();
  const executor = simulatedExecutor(NODE, clock, { plan: { runMs: [1000, 1000] } });
  const status = { state: TaskState.RUNNING, timestamp: { seconds: 5 } };
  await clock.advance(5_400);
  const controller = executor.controller(taskOf({}, { status }), NONE);
  let ended = false;
  void controller.wait(new Cancellation()).then(() => (ended = true));
  await clock.advance(5_999);
  assert.equal(ended, false);
  await clock.advance(6_000);
  assert.equal(ended, true);
});
