/**
 * The contract of every executor (SPEC.md, rules EXE1 to EXE9), run on each of them: what the task
 * machine and the engine rely on.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RUNTIME_PLUGIN } from '../../../shared/lanes/placement.ts';
import type { Task } from '../../../shared/wire/gen/objects.ts';
import type { Dependencies } from '../core/dependencies.ts';
import { Cancellation } from './cancellation.ts';
import { CancelledError, ExitError } from './errors.ts';
import type { Controller, Executor, LogOptions } from './executor.ts';

/** What a task of the suite does, said so that every executor can do it. */
export type Program =
  /** Writes `out` to its output and `err` to its error output, then ends with the code. */
  | { readonly does: 'exit'; readonly code: number }
  /** Runs until it is stopped, and ends with code 0 when asked to. */
  | { readonly does: 'serve' }
  /** Runs until it is killed: it does not listen. */
  | { readonly does: 'resist'; readonly graceMs: number };

export type Machine = {
  /** Another executor over the same machine, as after a crash of the one before. */
  readonly open: () => Promise<Executor>;
  /** A task with an id of its own. */
  readonly task: (program: Program) => Task;
  /** Whether it has real tasks, which leave things behind and write logs. */
  readonly real: boolean;
  readonly close: () => Promise<void>;
};

const NONE: Dependencies = {
  secret: (id) => assert.fail(`secret ${id}`),
  config: (id) => assert.fail(`config ${id}`),
};

const ALL_LOGS: LogOptions = {
  follow: false,
  tail: 'all',
  sinceMs: 0,
  stdout: true,
  stderr: true,
};

const go = (): Cancellation => new Cancellation();

/** Text of what a task has logged, stream by stream in order. */
export async function logged(controller: Controller, options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const signal = AbortSignal.timeout(20_000);
  for await (const record of controller.logs({ ...ALL_LOGS, ...options }, signal)) {
    assert.ok(record.timestamp.seconds > 1_000_000_000, 'a log record has a time');
    lines.push(`${record.stream}: ${Buffer.from(record.data).toString()}`);
  }
  return lines;
}

export async function run(controller: Controller): Promise<void> {
  await controller.prepare(go());
  await controller.start(go());
}

/** The error of an ended task. */
export async function endOf(controller: Controller): Promise<unknown> {
  return controller.wait(go()).then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Registers the suite. `skip` says why it cannot run here, if so. */
export function executorContract(
  name: string,
  openMachine: () => Promise<Machine>,
  skip?: string,
): void {
  describe(`${name}: the executors' contract`, { skip: skip ?? false }, () => {
    let machine: Machine;
    let executor: Executor;
    before(async () => {
      machine = await openMachine();
      executor = await machine.open();
    });
    after(async () => {
      await executor.close();
      await machine.close();
    });

    /** A controller that is removed when the test ends. */
    const make = (task: Task, on: Executor = executor): Controller & AsyncDisposable => {
      const controller = on.controller(task, NONE);
      const dispose = async (): Promise<void> => {
        await controller.remove();
        controller.close();
      };
      return Object.assign(controller, { [Symbol.asyncDispose]: dispose });
    };

    test('[EXE1] it describes its machine and itself', async () => {
      const { hostname, platform, resources, engine } = await executor.describe();
      assert.notEqual(hostname, '');
      assert.notEqual(platform?.os, '');
      assert.ok((resources?.nanoCpus ?? 0) > 0 && (resources?.memoryBytes ?? 0) > 0);
      const plugin = { type: RUNTIME_PLUGIN, name: executor.runtime };
      assert.ok(engine?.plugins.some((p) => p.type === plugin.type && p.name === plugin.name));
    });

    test('[EXE2] a task runs, and its end is known', async () => {
      await using good = make(machine.task({ does: 'exit', code: 0 }));
      await run(good);
      assert.equal(await endOf(good), undefined);
      await using bad = make(machine.task({ does: 'exit', code: 3 }));
      await run(bad);
      const error = await endOf(bad);
      assert.ok(error instanceof ExitError, String(error));
      assert.equal(error.exitCode, 3);
      assert.equal(error.message, 'task: non-zero exit (3)');
      if (machine.real) assert.equal((await bad.containerStatus())?.exitCode, 3);
    });

    test('[EXE3] what is done already is not done again', async () => {
      await using task = make(machine.task({ does: 'exit', code: 3 }));
      await task.prepare(go());
      await task.prepare(go());
      await task.start(go());
      await task.start(go());
      await endOf(task);
      await task.start(go());
      assert.ok((await endOf(task)) instanceof ExitError);
      if (machine.real)
        assert.deepEqual((await logged(task)).toSorted(), ['stderr: err', 'stdout: out']);
    });

    test('[EXE4] a cancelled wait leaves the task running', async () => {
      await using task = make(machine.task({ does: 'serve' }));
      await run(task);
      const cancellation = go();
      const waiting = task.wait(cancellation);
      setImmediate(() => cancellation.cancel());
      await assert.rejects(waiting, CancelledError);
      const again = go();
      const waitingAgain = assert.rejects(task.wait(again), CancelledError);
      setImmediate(() => again.cancel());
      await waitingAgain;
      await task.shutdown(go());
      await endOf(task);
    });

    test('[EXE5] a task that is asked ends by itself, one that resists is made to', async () => {
      await using willing = make(machine.task({ does: 'serve' }));
      await willing.shutdown(go());
      await willing.terminate();
      await using served = make(machine.task({ does: 'serve' }));
      await run(served);
      await served.shutdown(go());
      await served.shutdown(go());
      if (machine.real) assert.equal(await endOf(served), undefined, 'it ended as it wished');
      await using resisting = make(machine.task({ does: 'resist', graceMs: 300 }));
      await run(resisting);
      const startedMs = performance.now();
      await resisting.shutdown(go());
      const tookMs = performance.now() - startedMs;
      if (machine.real) assert.ok(tookMs > 150 && tookMs < 9_500, `grace of 300 ms took ${tookMs}`);
      const killed = await endOf(resisting);
      assert.ok(killed instanceof ExitError && killed.exitCode === 137, String(killed));
      await resisting.terminate();
    });

    test('[EXE5] terminate does not ask', async () => {
      await using task = make(machine.task({ does: 'resist', graceMs: 60_000 }));
      await run(task);
      await task.terminate();
      const killed = await endOf(task);
      assert.ok(killed instanceof ExitError && killed.exitCode === 137, String(killed));
    });

    test('[EXE6] removal takes everything away, running or not, as often as asked', async () => {
      const untouched = executor.controller(machine.task({ does: 'serve' }), NONE);
      await untouched.remove();
      const task = machine.task({ does: 'serve' });
      const controller = executor.controller(task, NONE);
      await run(controller);
      assert.equal((await executor.leftovers()).includes(task.id), machine.real);
      await controller.remove();
      await controller.remove();
      controller.close();
      assert.ok(!(await executor.leftovers()).includes(task.id));
    });

    test('[EXE7] another executor adopts what runs', async () => {
      const task = machine.task({ does: 'serve' });
      const first = executor.controller(task, NONE);
      await run(first);
      const earlier = await first.containerStatus();
      const successor = await machine.open();
      await using adopted = make(task, successor);
      await adopted.prepare(go());
      await adopted.start(go());
      const now = await adopted.containerStatus();
      assert.deepEqual([now?.containerId, now?.pid], [earlier?.containerId, earlier?.pid]);
      const waiting = endOf(adopted);
      await adopted.terminate();
      const end = await waiting;
      assert.ok(machine.real ? end instanceof Error : true, String(end));
      first.close();
      await successor.close();
    });

    test('[EXE7] another executor learns the end of what has ended, and starts nothing', async () => {
      const task = machine.task({ does: 'exit', code: 3 });
      const first = executor.controller(task, NONE);
      await run(first);
      await endOf(first);
      first.close();
      const successor = await machine.open();
      await using adopted = make(task, successor);
      await run(adopted);
      const end = await endOf(adopted);
      assert.ok(end instanceof ExitError && end.exitCode === 3, String(end));
      if (machine.real) assert.equal((await logged(adopted)).length, 2, 'it ran once');
      await successor.close();
    });

    test('[EXE8] what nobody knows can be found and discarded', async () => {
      const task = machine.task({ does: 'resist', graceMs: 60_000 });
      const controller = executor.controller(task, NONE);
      await run(controller);
      controller.close();
      const successor = await machine.open();
      assert.equal((await successor.leftovers()).includes(task.id), machine.real);
      await successor.discard(task.id);
      await successor.discard(task.id);
      assert.ok(!(await successor.leftovers()).includes(task.id));
      await successor.close();
    });

    test('[EXE9] logs hold both streams, can be limited, and followed to the end', async () => {
      await using task = make(machine.task({ does: 'exit', code: 0 }));
      await task.prepare(go());
      const following = logged(task, { follow: true });
      await task.start(go());
      const followed = await following;
      if (!machine.real) return;
      assert.deepEqual(followed.toSorted(), ['stderr: err', 'stdout: out']);
      await endOf(task);
      assert.deepEqual(await logged(task, { stderr: false }), ['stdout: out']);
      assert.deepEqual(await logged(task, { tail: 0 }), []);
      assert.equal((await logged(task, { tail: 1 })).length, 1);
      assert.deepEqual(await logged(task, { sinceMs: Date.now() + 60_000 }), []);
    });
  });
}
