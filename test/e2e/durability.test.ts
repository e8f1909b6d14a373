/**
 * Kill -9 of the manager process at random moments, while clients write: what was acknowledged is there
 * afterwards, with its content; what was acknowledged as removed is not; versions only grow. The seed
 * is in the output; `SKEIN_SEED` gives it back the moments and the writes, if not their interleaving.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RpcError } from '../../src/main/rpc/errors.ts';
import { Random } from '../../src/shared/kit/random.ts';
import type { Service, Task } from '../../src/shared/wire/gen/objects.ts';
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import { Cluster, describeTasks } from '../support/cluster.ts';
import { Ledger } from '../support/ledger.ts';
import { type Control, shelves } from '../support/shelves.ts';
import { Undo } from '../support/undo.ts';

/** Kills while clients write, and those of them that strike before the manager answers. */
const KILLS = 20;
const EARLY_KILLS = 5;
const FOUNDING_KILLS = 5;
const CLIENTS = 6;
/** Ended tasks that each slot keeps, in a new cluster. */
const HISTORY = 5;
/** Time to write in, of which the kill takes a random moment. */
const ROUND_MS = 900;
/** What a start takes, about: the early kills fall anywhere into it. */
const START_MS = 600;

function seeded(t: TestContext): Random {
  const seed = BigInt(process.env['SKEIN_SEED'] ?? Date.now());
  t.diagnostic(`SKEIN_SEED=${seed}`);
  return new Random(seed);
}

/** Writes one thing after the other into its own objects, of every kind. */
class Client {
  readonly #number: number;
  readonly #ledgers: readonly Ledger[];
  readonly #random: Random;
  #count = 0;

  constructor(number: number, ledgers: readonly Ledger[], random: Random) {
    this.#number = number;
    this.#ledgers = ledgers;
    this.#random = random;
  }

  /** Writes until the manager is gone; what fails while it is not, is a failure of the test. */
  async write(isKilled: () => boolean): Promise<void> {
    try {
      while (!isKilled()) await this.#one();
    } catch (error) {
      if (!isKilled() || !(error instanceof RpcError)) throw error;
    }
  }

  async #one(): Promise<void> {
    const random = this.#random;
    const ledger = this.#ledgers[random.below(this.#ledgers.length)];
    assert.ok(ledger);
    const mine = ledger.present((name) => name.startsWith(`c${this.#number}-`));
    const name = mine[random.below(Math.max(1, mine.length))];
    const text = `t${random.below(1_000_000)}`;
    this.#count += 1;
    const action = random.below(mine.length > 12 ? 5 : 4);
    if (name === undefined || action < 2) {
      return ledger.create(`c${this.#number}-${ledger.kind}-${this.#count}`, text);
    }
    return action === 2 ? ledger.update(name, text) : ledger.remove(name);
  }
}

/** Snapshots and compactions come often, so that kills strike those too. */
async function snapshotOften(cluster: Cluster): Promise<void> {
  const { id, spec, meta } = await cluster.object();
  const raft = { ...spec.raft, snapshotInterval: 300, logEntriesForSlowFollowers: 20 };
  const clusterVersion = meta.version;
  await cluster.control.UpdateCluster({ clusterId: id, clusterVersion, spec: { ...spec, raft } });
}

/** What is wrong with a service's tasks: not its replicas, one in each slot, or a past without end. */
function wrongTasks(service: Service, tasks: readonly Task[]): string[] {
  const { id, spec } = service;
  const replicas = spec.mode?.case === 'replicated' ? Number(spec.mode.value.replicas) : -1;
  const wanted = tasks.filter((task) => task.desiredState <= TaskState.RUNNING);
  const slots = new Set(wanted.map((task) => task.slot));
  const others = tasks.filter((task) => !wanted.includes(task));
  const isOver = others.every((task) => task.status.state > TaskState.RUNNING);
  const kept = Math.max(
    0,
    ...Map.groupBy(others, (task) => task.slot)
      .values()
      .map((t) => t.length),
  );
  const isExact = wanted.length === replicas && slots.size === replicas;
  if (isExact && isOver && kept <= HISTORY) return [];
  return [`service ${id} of ${replicas} replicas has:\n${describeTasks(tasks)}`];
}

/** What is wrong with the tasks of a cluster that has had time to settle. */
async function wrongs(control: Control): Promise<readonly string[]> {
  const { services } = await control.ListServices({});
  const { tasks } = await control.ListTasks({});
  const byService = Map.groupBy(tasks, (task: Task) => task.serviceId);
  const wrong = services.flatMap((service) => wrongTasks(service, byService.get(service.id) ?? []));
  for (const { id } of services) byService.delete(id);
  const strays = [...byService.values()].map((rest) => `of no service:\n${describeTasks(rest)}`);
  return [...wrong, ...strays];
}

test('a manager killed while it writes loses nothing it acknowledged', async (t) => {
  const random = seeded(t);
  using undo = new Undo();
  const cluster = await Cluster.start({ undo });
  const { manager } = cluster;
  await snapshotOften(cluster);
  const ledgers = shelves(cluster.control).map((shelf) => new Ledger(shelf));
  const clients = Array.from({ length: CLIENTS }, (_, number) => {
    return new Client(number, ledgers, new Random(BigInt(random.next())));
  });
  for (let kills = 0; kills < KILLS; kills += 1) {
    let isKilled = false;
    const writing = Promise.all(clients.map((client) => client.write(() => isKilled)));
    await Promise.race([writing, sleep(random.below(ROUND_MS))]);
    isKilled = true;
    await manager.kill();
    await writing;
    manager.start();
    if (kills % (KILLS / EARLY_KILLS) === 0) {
      await sleep(random.below(START_MS));
      await manager.kill();
      manager.start();
    }
    await cluster.answers();
    for (const ledger of ledgers) await ledger.check();
  }
  let wrong: readonly string[] = [];
  await cluster.until(
    () => `each service has its replicas and no other task\n${wrong.slice(0, 3).join('\n')}`,
    async () => {
      wrong = await wrongs(cluster.control);
      return wrong.length === 0;
    },
  );
  assert.deepEqual(await manager.stop(), { code: 0, signal: null });
  manager.start();
  await cluster.answers();
  for (const ledger of ledgers) await ledger.check();
  const writes = ledgers.map((ledger) => `${ledger.acknowledged} of ${ledger.kind}s`);
  t.diagnostic(`${KILLS + EARLY_KILLS} kills; acknowledged writes: ${writes.join(', ')}`);
  assert.ok(ledgers.every((ledger) => ledger.acknowledged > KILLS));
});

test('a manager killed while it founds its cluster founds one at the next start', async (t) => {
  const random = seeded(t);
  using undo = new Undo();
  for (let kills = 0; kills < FOUNDING_KILLS; kills += 1) {
    const cluster = await Cluster.prepare({ undo });
    cluster.manager.start();
    await sleep(START_MS / 3 + random.below((START_MS * 2) / 3));
    await cluster.manager.kill();
    cluster.manager.start();
    await cluster.answers();
    const before = await cluster.object();
    await cluster.manager.kill();
    cluster.manager.start();
    await cluster.answers();
    assert.equal((await cluster.object()).id, before.id);
    await cluster.manager.kill();
  }
});
