/**
 * Random changes of the store against a node that only does what it is told: whenever it has heard
 * everything, it must hold exactly the tasks, secrets and configs that the store gives it, however
 * often it has come anew and however slowly it has read.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  AssignmentChangeAssignmentAction,
  type AssignmentsMessage,
  AssignmentsMessageType,
} from '../../shared/wire/gen/dispatcher.ts';
import type { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Transaction } from '../store/transaction.ts';
import type { TaskRow } from '../store/view.ts';
import { dependenciesOf } from './core/assignments.ts';
import { Bench, needing } from './testing/bench.ts';
import type { Inbox } from './testing/calls.ts';

const { PENDING, ASSIGNED, RUNNING, COMPLETE, SHUTDOWN, REMOVE } = TaskState;
const NODES = ['n1', 'n2'];
const SECRETS = ['s1', 's2'];
const CONFIGS = ['c1', 'c2'];

/** A node that keeps what messages tell it, and nothing else. */
class Model {
  readonly tasks = new Map<string, TaskState>();
  /** `secret/s1`, `config/c1`. */
  readonly held = new Set<string>();
  #last = '';

  /** A new stream begins. */
  open(): void {
    this.#last = '';
  }

  apply(message: AssignmentsMessage): void {
    const complete = message.type === AssignmentsMessageType.COMPLETE;
    assert.equal(complete, this.#last === '', 'complete exactly at the beginning');
    assert.equal(message.appliesTo, this.#last);
    this.#last = message.resultsIn;
    if (complete) {
      this.tasks.clear();
      this.held.clear();
    } else assert.ok(message.changes.length > 0, 'an empty message');
    for (const { assignment, action } of message.changes) {
      const item = assignment?.item;
      assert.ok(item !== undefined && item.case !== 'volume');
      const remove = action === AssignmentChangeAssignmentAction.REMOVE;
      if (item.case === 'task') this.#task(item.value, remove);
      else if (remove) assert.ok(this.held.delete(`${item.case}/${item.value.id}`));
      else this.held.add(`${item.case}/${item.value.id}`);
    }
  }

  #task(task: Task, remove: boolean): void {
    if (remove) {
      assert.ok(this.tasks.delete(task.id), 'removed what it never had');
      return;
    }
    this.tasks.set(task.id, task.desiredState);
    if (task.status.state > RUNNING) return;
    const { spec } = task;
    const needs = spec.runtime?.case === 'container' ? spec.runtime.value : undefined;
    for (const each of needs?.secrets ?? []) assert.ok(this.held.has(`secret/${each.secretId}`));
    for (const each of needs?.configs ?? []) assert.ok(this.held.has(`config/${each.configId}`));
  }
}

type Advance = {
  readonly do: 'status' | 'desire';
  readonly pick: number;
  readonly state: TaskState;
};
type Pick = { readonly do: 'place' | 'remove'; readonly pick: number };
type Create = {
  readonly do: 'create';
  readonly node: string;
  readonly state: TaskState;
  readonly needs: number;
};
type Other = { readonly do: 'reopen' | 'register' | 'stall' | 'resume' | 'compare' | 'wait' };
type Step = Create | Advance | Pick | Other;

const pick = fc.nat({ max: 30 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('create' as const),
      node: fc.constantFrom('', ...NODES),
      state: fc.constantFrom(PENDING, ASSIGNED, RUNNING, COMPLETE),
      needs: fc.nat({ max: 15 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('status' as const, 'desire' as const),
      pick,
      state: fc.constantFrom(ASSIGNED, RUNNING, COMPLETE, SHUTDOWN, REMOVE),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('place' as const, 'remove' as const), pick }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...(['reopen', 'register', 'stall', 'resume', 'compare', 'wait'] as const),
      ),
    }),
  },
);

/** One node's stream, read into the model as it comes. */
class Reader {
  readonly #bench: Bench;
  readonly model = new Model();
  #sessionId = '';
  #inbox: Inbox<AssignmentsMessage> | undefined;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  async register(): Promise<void> {
    this.#bench.nowMs += 8001;
    ({ sessionId: this.#sessionId } = await this.#bench.register());
    await this.reopen();
  }

  async reopen(): Promise<void> {
    await this.#inbox?.cancel();
    this.#inbox = this.#bench.assignments(this.#sessionId);
    this.model.open();
    this.model.apply(await this.#inbox.next());
  }

  stall(): void {
    this.#inbox?.stall();
  }

  resume(): void {
    this.#inbox?.resume();
  }

  /** Reads until the node knows of `taskId`. */
  async until(taskId: string): Promise<void> {
    this.resume();
    while (!this.model.tasks.has(taskId)) {
      assert.ok(this.#inbox);
      this.model.apply(await this.#inbox.next());
    }
  }
}

class Run {
  readonly #bench: Bench;
  readonly #reader: Reader;
  #tasks: string[] = [];
  #made = 0;

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#reader = new Reader(bench);
  }

  async take(next: Step): Promise<void> {
    switch (next.do) {
      case 'create': {
        const chosen = (ids: readonly string[], shift: number): string[] =>
          ids.filter((_, i) => (next.needs >> (shift + i)) & 1);
        const state = next.node === '' ? PENDING : next.state;
        const needs = needing(chosen(SECRETS, 0), chosen(CONFIGS, 2));
        await this.#create({ ...needs, nodeId: next.node, status: { state } });
        break;
      }
      case 'status':
      case 'desire':
      case 'place':
      case 'remove':
        await this.#change(next);
        break;
      case 'reopen':
        await this.#reader.reopen();
        break;
      case 'register':
        await this.#reader.register();
        break;
      case 'stall':
        this.#reader.stall();
        break;
      case 'resume':
        this.#reader.resume();
        break;
      case 'compare':
        await this.compare();
        break;
      case 'wait':
        await new Promise<void>((resolve) => void setImmediate(resolve));
        break;
    }
  }

  async #create(init: Parameters<Bench['createTask']>[1]): Promise<string> {
    const id = `t${(this.#made += 1)}`;
    this.#tasks.push(id);
    await this.#bench.createTask(id, init);
    return id;
  }

  async #change(next: Advance | Pick): Promise<void> {
    const id = this.#tasks[next.pick % Math.max(1, this.#tasks.length)];
    if (id === undefined) return;
    await this.#bench.write((tx) => {
      const row = tx.tasks.get(id);
      if (row === undefined) return;
      if ('state' in next) this.#advance(tx, row, next);
      else if (next.do === 'remove') tx.tasks.remove(id);
      else if (row.nodeId === '') tx.tasks.patch(id, { nodeId: 'n1', state: ASSIGNED });
    });
    if (next.do === 'remove') this.#tasks = this.#tasks.filter((each) => each !== id);
  }

  #advance(tx: Transaction, row: TaskRow, next: Advance): void {
    const { state } = next;
    if (next.do === 'desire') {
      if (state > row.desiredState) tx.tasks.patch(row.id, { desiredState: state });
    } else if (row.nodeId !== '' && state > row.state) {
      tx.tasks.patch(row.id, { status: TaskStatus.create({ state }) });
    }
  }

  /** A last task marks the end of what must have arrived; then node and store must agree. */
  async compare(): Promise<void> {
    await this.#reader.until(await this.#create({}));
    const { model } = this.#reader;
    const { tasks, held } = this.#bench.store.view((view) => {
      const rows = view.tasks.byNode('n1').filter((row) => row.state >= ASSIGNED);
      const live = rows.filter((row) => row.state <= RUNNING);
      return {
        tasks: rows.map((row) => [row.id, row.desiredState] as const),
        held: new Set(live.flatMap(dependenciesOf).map(({ kind, id }) => `${kind}/${id}`)),
      };
    });
    assert.deepEqual(model.tasks, new Map(tasks));
    assert.deepEqual(model.held, held);
  }

  async begin(): Promise<void> {
    for (const id of SECRETS) await this.#bench.createSecret(id);
    for (const id of CONFIGS) await this.#bench.createConfig(id);
    await this.#reader.register();
  }
}

test('[DSP7] [DSP8] [DSP9] a node that obeys holds what the store gives it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), async (steps) => {
      await using bench = await Bench.open(NODES);
      const run = new Run(bench);
      await run.begin();
      for (const each of steps) await run.take(each);
      await run.compare();
    }),
    { numRuns: 40 },
  );
});
