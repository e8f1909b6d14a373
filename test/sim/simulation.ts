/**
 * One run: a group of managers, clients, a network, disks and clocks, all from one seed, in virtual
 * time. First with faults, then without; then all must have come together, and the clients' history
 * is judged.
 */
import assert from 'node:assert/strict';
import { KEYS } from './cells.ts';
import { Checks } from './checks.ts';
import type { Judge } from './checks.ts';
import { SimulatedClient } from './client.ts';
import { Faults } from './faults.ts';
import type { Climate, FaultCounts } from './faults.ts';
import { findViolation } from '../support/linearizability.ts';
import type { Operation } from '../support/linearizability.ts';
import { SimulatedManager } from './manager.ts';
import type { Group } from './manager.ts';
import { SimulatedNetwork } from './network.ts';
import { Operator } from './operator.ts';
import type { OperatorCounts } from './operator.ts';
import { World } from './world.ts';

const CLIMATES: readonly Climate[] = [
  'moving',
  'moving',
  'moving',
  'still',
  'elections',
  'deposed',
];
/** How many managers a group begins with. */
const SIZES = {
  moving: [1, 2, 3, 3, 3, 5],
  still: [3, 3, 5, 7],
  elections: [3, 5, 5],
  deposed: [3, 5],
} as const;
const FAULTS_MS = 8_000;
/** After the last fault, how long clients go on at least. */
const CALM_MS = 4_000;
/** How long the group then has to come together. */
const PATIENCE_MS = 20_000;

/** How often what happened: a test can see that it tested something. */
export type RunCounts = FaultCounts &
  OperatorCounts &
  Record<
    | 'events'
    | 'elections'
    | 'committed'
    | 'configurations'
    | 'snapshots'
    | 'indexReads'
    | 'operations'
    | 'answered',
    number
  >;

export type Listen = (line: string) => void;

export type RunResult = {
  readonly seed: bigint;
  /** Of everything that happened, in order. */
  readonly digest: string;
  readonly counts: RunCounts;
  /** What went wrong, or `null`. */
  readonly failure: Error | null;
};

/** Plays one seed. @param listen hears each line of the trace. */
export async function playSeed(
  seed: bigint,
  listen?: Listen,
  judge: Judge = 'all',
): Promise<RunResult> {
  const simulation = new Simulation(new World(seed, listen), judge);
  let failure: Error | null = null;
  try {
    await simulation.run();
  } catch (error) {
    failure = errorOf(error);
    simulation.world.note(`FAILED: ${failure.message}`);
  }
  const { world, counts } = simulation;
  return { seed, digest: world.digest(), counts, failure };
}

class Simulation {
  readonly world: World;
  readonly #network: SimulatedNetwork;
  readonly #checks: Checks;
  readonly #managers: SimulatedManager[] = [];
  readonly #faults: Faults;
  readonly #operator: Operator;
  readonly #group: Group;
  readonly #history: Operation[] = [];
  readonly #told = new Map<string, string>();
  readonly #climate: Climate;
  #defect: Error | null = null;

  constructor(world: World, judge: Judge) {
    this.world = world;
    this.#climate = world.pick(CLIMATES);
    this.#network = new SimulatedNetwork(world);
    this.#checks = new Checks(judge);
    this.#faults = new Faults(world, this.#network, () => this.#managers);
    this.#group = this.#newGroup();
    this.#operator = new Operator({
      world,
      network: this.#network,
      checks: this.#checks,
      managers: () => this.#managers,
      addManager: () => {
        const added = this.#addManager();
        this.#faults.met(added);
        added.start();
        return added;
      },
      onDefect: this.#group.onDefect,
    });
  }

  get counts(): RunCounts {
    const { committedIndex, elections, snapshots, indexReads, configurations } = this.#checks;
    return {
      ...this.#faults.counts,
      ...this.#operator.counts,
      events: this.world.eventCount,
      elections,
      committed: committedIndex,
      configurations: configurations.count,
      snapshots,
      indexReads,
      operations: this.#history.length,
      answered: this.#answeredSince(0),
    };
  }

  async run(): Promise<void> {
    const { world } = this;
    await this.#begin();
    const clients = this.#startClients();
    this.#faults.begin(this.#climate);
    if (this.#climate === 'moving') this.#operator.begin();
    await this.#goOn(FAULTS_MS);
    this.#faults.end();
    this.#operator.end();
    const calmFrom = world.eventCount;
    await this.#goOn(CALM_MS);
    await this.#until(() => (this.#answeredSince(calmFrom) > 0 ? null : 'no client is answered'));
    for (const client of clients) client.stop();
    // The last requests are answered or given up, too.
    await this.#goOn(CALM_MS / 2);
    await this.#until(() => this.#apartBy());
    const violation = findViolation(this.#history);
    world.note(`${this.#history.length} operations judged`);
    assert(violation === null, `no order explains:\n${violation?.map(print).join('\n')}`);
  }

  #newGroup(): Group {
    const { world } = this;
    const managers = (): readonly SimulatedManager[] => this.#managers;
    return {
      world,
      network: this.#network,
      checks: this.#checks,
      settings: {
        electionTicks: world.pick([3, 3, 6]),
        preVote: world.chance(50),
        maxSizePerMsg: this.#climate === 'elections' ? 1 : world.pick([1, 400, 65_535]),
        maxInflightMsgs: world.pick([2, 256]),
      },
      snapshotEvery: { interval: world.pick([0, 3, 8, 20, 40]), keep: world.pick([0, 0, 3, 20]) },
      snapshotMsMax: world.pick([1, 100, 800]),
      guarded: this.#climate === 'moving' && world.chance(80),
      removedEnd: world.chance(50),
      managers,
      at: (address) => managers().find(({ name }) => name === address.split(':')[0]),
      passes: (from) => this.#faults.passes(from),
      onElected: (manager) => this.#faults.elected(manager),
      onVoted: (manager) => this.#faults.voted(manager),
      onRemoved: (manager) => this.#faults.removed(manager),
      onSnapshot: (manager) => this.#faults.snapshot(manager),
      onDefect: (error) => {
        this.#defect ??= errorOf(error);
      },
    };
  }

  #addManager(): SimulatedManager {
    const manager = new SimulatedManager(`m${this.#managers.length + 1}`, this.#group);
    this.#managers.push(manager);
    return manager;
  }

  /** One manager, or several that found their group together. */
  async #begin(): Promise<void> {
    const size = this.world.pick(SIZES[this.#climate]);
    const founders = Array.from({ length: size }, () => this.#addManager());
    const members = founders.map((manager, at) => manager.memberAs(BigInt(at + 1)));
    const founded = founders.map((manager, at) =>
      size === 1
        ? manager.foundAlone()
        : manager.found(members[at] ?? assert.fail('no such member'), members),
    );
    await this.#goOn(20);
    await Promise.all(founded);
    for (const manager of founders) manager.start();
    await this.#goOn(1);
  }

  #startClients(): readonly SimulatedClient[] {
    const { world } = this;
    const count = 2 + world.random.below(4);
    const deposed = this.#climate === 'deposed';
    // All at one cell, or each at another.
    const keys = KEYS.slice(0, deposed ? 1 : world.pick([1, 2, 4, 4]));
    const thinkMsMax = deposed ? 60 : world.pick([40, 150, 600]);
    const timeoutMs = deposed ? 300 : world.pick([300, 2_000]);
    const indexReadPercent = deposed ? 100 : world.pick([0, 30, 100]);
    return Array.from({ length: count }, (_, at) => {
      return new SimulatedClient({
        name: `c${at + 1}`,
        world,
        network: this.#network,
        managers: () => this.#managers.filter(({ gone }) => !gone),
        keys,
        thinkMsMax,
        indexReadPercent,
        timeoutMs,
        history: this.#history,
        told: this.#told,
      });
    });
  }

  #answeredSince(event: number): number {
    return this.#history.filter(
      ({ calledAt, answeredAt }) => calledAt >= event && answeredAt !== Infinity,
    ).length;
  }

  async #goOn(forMs: number): Promise<void> {
    await this.world.run(this.world.nowMs + forMs, () => {
      if (this.#defect !== null) throw this.#defect;
    });
  }

  /** Waits until nothing is `missing` any more. */
  async #until(missing: () => string | null): Promise<void> {
    const givenUpAtMs = this.world.nowMs + PATIENCE_MS;
    while (missing() !== null && this.world.nowMs < givenUpAtMs) await this.#goOn(200);
    const why = missing();
    assert.ok(why === null, `${PATIENCE_MS} ms after all faults ${why}`);
  }

  /** What is not yet as it must be: all members up, at one point, behind one leader of their own. */
  #apartBy(): string | null {
    const { configurations, committedIndex } = this.#checks;
    if (!this.#operator.idle) return 'the operator waits';
    const names = new Set(configurations.members.map(({ nodeId }) => nodeId));
    const alive = this.#managers.filter(({ gone }) => !gone);
    const leaders = alive.filter(({ leading }) => leading).map(({ name }) => name);
    if (leaders.length !== 1) return `${leaders.length} managers lead: ${leaders.join(' ')}`;
    if (!names.has(leaders[0] ?? '')) return `${leaders[0]} leads, and is no member`;
    const members = alive.filter(({ name }) => names.has(name));
    const indexes = members.map(({ name, store }) => `${name} ${store?.appliedIndex}`);
    const behind = members.some(({ store }) => store?.appliedIndex !== committedIndex);
    return behind ? `not all have applied ${committedIndex}: ${indexes.join(', ')}` : null;
  }
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('no error was thrown', { cause: thrown });
}

function print({ client, key, step, calledAt, answeredAt }: Operation): string {
  return `${calledAt}-${answeredAt} ${client} ${key} ${JSON.stringify(step)}`;
}
