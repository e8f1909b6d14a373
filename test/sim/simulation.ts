/**
 * One run: a group of managers, clients, a network, disks and clocks, all from one seed, in virtual
 * time. First with faults, then without; then all must have come together, and the clients' history
 * is judged.
 */
import assert from 'node:assert/strict';
import { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import { Message, MessageType } from '../../src/shared/wire/gen/raftpb.ts';
import { Checks } from './checks.ts';
import { SimulatedClient } from './client.ts';
import { Faults } from './faults.ts';
import type { FaultCounts } from './faults.ts';
import { findViolation } from './linearizability.ts';
import type { Operation } from './linearizability.ts';
import { SimulatedManager } from './manager.ts';
import type { Group } from './manager.ts';
import { SimulatedNetwork } from './network.ts';
import { World } from './world.ts';

const KEYS = ['config-a', 'task-b', 'config-c', 'task-d'];
const FAULTS_MS = 8_000;
/** How long the group has to come together after the last fault. */
const CALM_MS = 5_000;

/** How often what happened: a test can see that it tested something. */
export type RunCounts = FaultCounts &
  Record<'events' | 'elections' | 'committed' | 'operations' | 'answered', number>;

export type RunResult = {
  readonly seed: bigint;
  /** Of everything that happened, in order. */
  readonly digest: string;
  readonly counts: RunCounts;
  /** What went wrong, or `null`. */
  readonly failure: Error | null;
};

/** Plays one seed. @param listen hears each line of the trace. */
export async function playSeed(seed: bigint, listen?: (line: string) => void): Promise<RunResult> {
  const simulation = new Simulation(seed, listen);
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
  readonly #checks = new Checks();
  readonly #managers: readonly SimulatedManager[];
  readonly #faults: Faults;
  readonly #history: Operation[] = [];
  #defect: Error | null = null;

  constructor(seed: bigint, listen?: (line: string) => void) {
    this.world = new World(seed, listen);
    this.#network = new SimulatedNetwork(this.world);
    const size = this.world.pick([3, 3, 3, 5, 5, 7]);
    const members = Array.from({ length: size }, (_, at) => {
      return RaftMember.create({
        raftId: BigInt(at + 1),
        nodeId: `m${at + 1}`,
        addr: `m${at + 1}:1`,
      });
    });
    const group = this.#group(members);
    this.#managers = members.map((member) => new SimulatedManager(member, group));
    this.#faults = new Faults(this.world, this.#network, this.#managers);
  }

  get counts(): RunCounts {
    const answered = this.#history.filter(({ answeredAt }) => answeredAt !== Infinity).length;
    return {
      ...this.#faults.counts,
      events: this.world.eventCount,
      elections: this.#checks.elections,
      committed: this.#checks.committedIndex,
      operations: this.#history.length,
      answered,
    };
  }

  async run(): Promise<void> {
    const { world } = this;
    await this.#begin();
    const clients = this.#startClients();
    this.#faults.begin();
    await this.#goOn(FAULTS_MS);
    this.#faults.end();
    await this.#goOn(CALM_MS);
    for (const client of clients) client.stop();
    // The last requests are answered or given up.
    await this.#goOn(CALM_MS / 2);
    this.#checkConvergence();
    const violation = findViolation(this.#history);
    world.note(`${this.#history.length} operations judged`);
    assert(violation === null, `no order explains:\n${violation?.map(print).join('\n')}`);
  }

  #group(members: readonly RaftMember[]): Group {
    const { world } = this;
    return {
      world,
      members,
      checks: this.#checks,
      settings: {
        electionTicks: world.pick([3, 3, 6]),
        preVote: world.chance(50),
        maxSizePerMsg: world.pick([1, 400, 65_535]),
        maxInflightMsgs: world.pick([2, 256]),
      },
      snapshotInterval: world.pick([0, 10, 40]),
      send: (from, messages) => this.#send(from, messages),
      onElected: (manager) => this.#faults.elected(manager),
      onVoted: (manager) => this.#faults.voted(manager),
      onDefect: (error) => {
        this.#defect ??= errorOf(error);
      },
    };
  }

  async #begin(): Promise<void> {
    const founded = Promise.all(this.#managers.map((manager) => manager.found()));
    await this.#goOn(10);
    await founded;
    for (const manager of this.#managers) manager.start();
  }

  #startClients(): readonly SimulatedClient[] {
    const { world } = this;
    const count = 2 + world.random.below(4);
    const thinkMsMax = world.pick([40, 150, 600]);
    return Array.from({ length: count }, (_, at) => {
      return new SimulatedClient({
        name: `c${at + 1}`,
        world,
        network: this.#network,
        managers: this.#managers,
        keys: KEYS,
        thinkMsMax,
        history: this.#history,
      });
    });
  }

  #send(from: SimulatedManager, messages: readonly Message[]): void {
    for (const message of messages) {
      const to = this.#managers[Number(message.to) - 1];
      assert(to !== undefined, `no manager ${message.to}`);
      // As the wire would have it: nothing is shared.
      const bytes = Message.encode(message);
      this.#network.send(from.name, to.name, () => {
        if (!this.#faults.passes(from)) return;
        this.world.note(`${to.name} hears ${from.name}: ${printMessage(message)}`, bytes);
        to.receive(Message.decode(bytes));
      });
    }
  }

  async #goOn(forMs: number): Promise<void> {
    await this.world.run(this.world.nowMs + forMs, () => {
      if (this.#defect !== null) throw this.#defect;
    });
  }

  /** All managers are up, at one point, in one state, and behind one leader that answers. */
  #checkConvergence(): void {
    const leaders = this.#managers.filter(({ leading }) => leading);
    assert.equal(leaders.length, 1, `${leaders.length} managers lead after all faults`);
    const indexes = this.#managers.map(({ store }) => store?.appliedIndex);
    assert.equal(new Set(indexes).size, 1, `applied indexes differ: ${indexes.join(' ')}`);
    assert.equal(indexes[0], this.#checks.committedIndex, 'not all is applied');
    const late = this.#history.filter(({ answeredAt }) => answeredAt !== Infinity);
    assert.ok(late.length > 0, 'no client was ever answered');
  }
}

const MESSAGE_NAMES = new Map<number, string>(
  Object.entries(MessageType).map(([name, type]) => [type, name]),
);

function printMessage({ type, term, logTerm, index, entries, commit, reject }: Message): string {
  const numbers = `term ${term}, ${entries.length} behind ${logTerm}/${index}, commit ${commit}`;
  return `${MESSAGE_NAMES.get(type)} ${numbers}${reject ? ', rejected' : ''}`;
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('no error was thrown', { cause: thrown });
}

function print({ client, key, step, calledAt, answeredAt }: Operation): string {
  return `${calledAt}-${answeredAt} ${client} ${key} ${JSON.stringify(step)}`;
}
