/**
 * A raft group under everything that may go wrong, from one seed: messages lost, repeated,
 * reordered, cut off; nodes that crash between any two steps of a Ready and forget what was not
 * stored; members that come and go; snapshots and compaction. What must always hold is checked as
 * it happens.
 */
import assert from 'node:assert/strict';
import { ConfChange, EntryType, Message, MessageType } from '../../../../shared/wire/gen/raftpb.ts';
import type { ConfState, Entry, HardState } from '../../../../shared/wire/gen/raftpb.ts';
import { Random } from '../../../../shared/kit/random.ts';
import type { RaftConfig } from '../config.ts';
import { toConfState } from '../configuration.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { RawNode } from '../raw-node.ts';
import type { Ready } from '../ready.ts';
import { START, change } from './group.ts';
import { Invariants } from './invariants.ts';

/** Shells that are wrong on purpose, to see that the checks find them. */
export type Fault = 'none' | 'forgets-hard-state' | 'promises-before-storing';

export type ChaosOptions = {
  readonly size: number;
  readonly fault?: Fault;
  readonly config?: Partial<Omit<RaftConfig, 'id' | 'storage' | 'randBelow'>>;
};

/** How often what happened: a test can see that it tested something. */
export type ChaosCounts = {
  crashes: number;
  elections: number;
  reads: number;
  snapshots: number;
  changes: number;
};

export type Convergence = 'converged' | 'stranded' | 'stuck';

type Machine = {
  readonly id: bigint;
  readonly storage: MemoryStorage;
  node: RawNode;
  applied: number;
  confState: ConfState;
  /** The newest hard state; its commit mark may not have reached the storage. */
  hardState: HardState;
  /** The Ready in work, and whether it is stored. */
  work: { readonly ready: Ready; readonly stored: boolean } | null;
};

type Climate = readonly {
  readonly weight: number;
  readonly event: (machine: Machine) => void;
}[];

const NETWORK_MAX = 300;
const NOBODY: ReadonlySet<bigint> = new Set();

export class Chaos {
  readonly counts: ChaosCounts = { crashes: 0, elections: 0, reads: 0, snapshots: 0, changes: 0 };
  readonly #random: Random;
  readonly #options: ChaosOptions;
  readonly #invariants = new Invariants(START.index);
  readonly #machines: readonly Machine[];
  readonly #climate: Climate;
  readonly #lossPercent: number;
  readonly #repeatPercent: number;
  #network: Message[] = [];
  #cut = NOBODY;
  #names = 0;

  constructor(seed: bigint, options: ChaosOptions) {
    this.#random = new Random(seed);
    this.#options = options;
    const ids = Array.from({ length: options.size }, (_, at) => BigInt(at + 1));
    this.#machines = ids.map((id) => this.#newMachine(id, toConfState(ids)));
    this.#climate = this.#drawClimate();
    this.#lossPercent = this.#random.below(15);
    this.#repeatPercent = this.#random.below(15);
  }

  get committedIndex(): number {
    return this.#invariants.committedIndex;
  }

  /** Lets `steps` random things happen. */
  run(steps: number): void {
    for (let done = 0; done < steps; done += 1) {
      this.#happen();
      if (done % 100 === 0) this.#checkLogs();
    }
    this.#checkLogs();
  }

  /** Ends all faults. @returns whether the group then commits something new everywhere, in time. */
  converges(rounds: number): Convergence {
    this.#cut = NOBODY;
    const goal = this.committedIndex + 1;
    for (let round = 0; round < rounds; round += 1) {
      const voters = this.#newestVoters();
      const needed = this.#neededBy(voters);
      const members = this.#machines.filter(({ id }) => needed.has(id));
      this.#calmRound(members);
      if (voters.every((id) => this.#machine(id).applied >= goal)) return 'converged';
    }
    return this.#isStranded() ? 'stranded' : 'stuck';
  }

  #calmRound(members: readonly Machine[]): void {
    for (const machine of members) {
      machine.node.tick();
      machine.node.propose(Buffer.from('calm'));
      for (const [peer, { state }] of machine.node.status().progress) {
        if (state === 'snapshot' && this.#chance(10)) machine.node.reportSnapshot(peer, false);
      }
      this.#takeSnapshot(machine);
    }
    for (let busy = true; busy;) {
      const due = this.#network;
      this.#network = [];
      for (const message of due) this.#receive(message);
      for (const machine of members) while (this.#hasWork(machine)) this.#workOn(machine);
      busy = due.length > 0;
    }
  }

  #happen(): void {
    let roll = this.#random.below(this.#climate.reduce((sum, { weight }) => sum + weight, 0));
    for (const { weight, event } of this.#climate) {
      if (roll < weight) {
        event(this.#pick(this.#machines));
        return;
      }
      roll -= weight;
    }
  }

  /**
   * What happens how often, another mixture for every seed: much that is rare in any one mixture is
   * common in some.
   */
  #drawClimate(): Climate {
    const upTo = (most: number, event: (machine: Machine) => void): Climate[number] => {
      return { weight: this.#random.below(most + 1), event };
    };
    return [
      { weight: 40, event: () => this.#deliver() },
      { weight: 40, event: (machine) => this.#workOn(machine) },
      upTo(80, () => this.#deliver()),
      upTo(80, (machine) => this.#workOn(machine)),
      upTo(40, (machine) => machine.node.tick()),
      upTo(30, (machine) => this.#propose(machine)),
      upTo(8, (machine) => this.#read(machine)),
      upTo(6, (machine) => this.#takeSnapshot(machine)),
      upTo(3, (machine) => this.#changeMembers(machine)),
      upTo(3, (machine) => this.#crash(machine)),
      upTo(3, () => this.#recut()),
      upTo(5, (machine) => this.#meddle(machine)),
      upTo(5, (machine) => machine.node.campaign()),
    ];
  }

  /** Gives, loses or repeats any message that is on its way. */
  #deliver(): void {
    const at = this.#random.below(this.#network.length + 1);
    const message = this.#network[at];
    if (message === undefined) return;
    if (!this.#chance(this.#repeatPercent)) this.#network.splice(at, 1);
    const lost =
      this.#chance(this.#lossPercent) || this.#cut.has(message.from) !== this.#cut.has(message.to);
    if (!lost) this.#receive(message);
    if (message.type !== MessageType.MsgSnap || (!lost && this.#chance(20))) return;
    this.#machine(message.from).node.reportSnapshot(message.to, !lost);
  }

  #receive(message: Message): void {
    this.#machine(message.to).node.step(Message.decode(Message.encode(message)));
  }

  #send(messages: readonly Message[]): void {
    this.#network.push(...messages);
    while (this.#network.length > NETWORK_MAX) {
      this.#network.splice(this.#random.below(this.#network.length), 1);
    }
  }

  #hasWork(machine: Machine): boolean {
    return machine.work !== null || machine.node.hasReady();
  }

  /** One of three steps: take a Ready, store it, or do the rest. A crash may come between. */
  #workOn(machine: Machine): void {
    if (machine.work === null) this.#take(machine);
    else if (!machine.work.stored) this.#store(machine, machine.work.ready);
    else this.#complete(machine, machine.work.ready);
  }

  #take(machine: Machine): void {
    if (!machine.node.hasReady()) return;
    const ready = machine.node.ready();
    machine.work = { ready, stored: false };
    this.#send(ready.sendNow);
    if (this.#options.fault === 'promises-before-storing') this.#send(ready.sendAfterPersist);
    for (const read of ready.readStates) {
      this.#invariants.answersRead(machine.id, read);
      this.counts.reads += 1;
    }
  }

  #store(machine: Machine, ready: Ready): void {
    const { hardState, snapshot, entries, mustSync } = ready.persist;
    if (hardState !== null) machine.hardState = hardState;
    // What is synced takes along what was written before; the rest is at the mercy of luck.
    if (mustSync || this.#chance(50)) machine.storage.setHardState(machine.hardState);
    if (snapshot !== null) {
      this.#invariants.restores(machine.id, snapshot);
      machine.storage.applySnapshot(snapshot);
      machine.applied = snapshot.metadata.index;
      machine.confState = snapshot.metadata.confState;
      this.counts.snapshots += 1;
    }
    machine.storage.append(entries);
    machine.work = { ready, stored: true };
  }

  #complete(machine: Machine, ready: Ready): void {
    if (this.#options.fault !== 'promises-before-storing') this.#send(ready.sendAfterPersist);
    for (const entry of ready.committed) this.#apply(machine, entry);
    machine.work = null;
    machine.node.advance();
  }

  #apply(machine: Machine, entry: Entry): void {
    assert.equal(entry.index, machine.applied + 1, `${machine.id} skips or repeats an entry`);
    this.#invariants.applies(machine.id, entry, machine.node.status().term);
    machine.applied = entry.index;
    if (entry.type !== EntryType.EntryConfChange) return;
    const applied = ConfChange.decode(entry.data ?? new Uint8Array());
    machine.confState = machine.node.applyConfChange(applied);
    this.counts.changes += 1;
  }

  #propose(machine: Machine): void {
    machine.node.propose(Buffer.from(this.#name()));
  }

  #read(machine: Machine): void {
    const context = this.#name();
    this.#invariants.asksRead(context);
    machine.node.readIndex(Buffer.from(context));
  }

  #takeSnapshot({ storage, applied, confState }: Machine): void {
    if (applied <= (storage.snapshot()?.metadata.index ?? 0)) return;
    storage.createSnapshot(applied, confState, undefined);
    const keep = this.#random.below(4);
    if (applied - keep >= storage.firstIndex()) storage.compact(applied - keep);
  }

  #changeMembers(machine: Machine): void {
    const kind = this.#chance(50) ? 'add' : 'remove';
    machine.node.proposeConfChange(change(kind, this.#pick(this.#machines).id));
  }

  /** Everything that is not in the storage is gone. */
  #crash(machine: Machine): void {
    this.counts.crashes += 1;
    if (this.#options.fault === 'forgets-hard-state') {
      machine.storage.setHardState({ term: 0, vote: 0n, commit: 0 });
    }
    const { metadata } = machine.storage.snapshot() ?? assert.fail('no snapshot to start from');
    machine.hardState = machine.storage.hardState;
    machine.applied = metadata.index;
    machine.confState = metadata.confState;
    machine.work = null;
    machine.node = this.#start(machine.id, machine.storage);
  }

  #recut(): void {
    const ids = this.#machines.map(({ id }) => id).filter(() => this.#chance(30));
    this.#cut = this.#chance(50) ? NOBODY : new Set(ids);
  }

  #meddle({ node }: Machine): void {
    const peer = this.#pick(this.#machines).id;
    const roll = this.#random.below(4);
    if (roll === 3) node.reportGone(peer);
    else if (roll === 0) node.transferLeadership(peer);
    else if (roll === 1) node.forgetLeader();
    else node.reportUnreachable(peer);
  }

  #checkLogs(): void {
    for (const one of this.#machines) {
      for (const other of this.#machines) {
        if (one.id < other.id) this.#invariants.agree(one.storage, other.storage);
      }
    }
  }

  /**
   * Whether a voter waits for a member that committed its own removal while it led, alone: that one
   * stands for election no more, and with its longer log votes for no other. Shells hand over before.
   */
  #isStranded(): boolean {
    const needed = this.#neededBy(this.#newestVoters());
    const voters = this.#machines.filter(({ id, confState }) => confState.voters.includes(id));
    const ends = voters.map(({ node }) => node.status().lastIndex);
    return this.#machines.some(
      ({ id, confState, node }) =>
        needed.has(id) &&
        !confState.voters.includes(id) &&
        node.status().lastIndex > Math.max(...ends),
    );
  }

  /** `voters`, and on whom they count as long as they have not applied what made them the voters. */
  #neededBy(voters: readonly bigint[]): ReadonlySet<bigint> {
    return new Set(voters.flatMap((id) => [id, ...this.#machine(id).confState.voters]));
  }

  /** The configuration of whoever applied most. */
  #newestVoters(): readonly bigint[] {
    const newest = this.#machines.toSorted((a, b) => b.applied - a.applied)[0];
    return newest?.confState.voters ?? [];
  }

  #newMachine(id: bigint, confState: ConfState): Machine {
    const storage = new MemoryStorage();
    storage.applySnapshot({ data: undefined, metadata: { ...START, confState } });
    const hardState = { term: START.term, vote: 0n, commit: START.index };
    storage.setHardState(hardState);
    const node = this.#start(id, storage);
    return { id, storage, node, applied: START.index, confState, hardState, work: null };
  }

  #start(id: bigint, storage: MemoryStorage): RawNode {
    return new RawNode({
      electionTicks: 6,
      maxSizePerMsg: 60,
      maxInflightMsgs: 3,
      checkQuorum: false,
      ...this.#options.config,
      id,
      storage,
      applied: storage.snapshot()?.metadata.index ?? 0,
      randBelow: (limit) => this.#random.below(limit),
      trace: (event) => {
        if (event.kind !== 'role' || event.role !== 'leader') return;
        this.counts.elections += 1;
        this.#invariants.leads(id, event.term, storage);
      },
    });
  }

  #machine(id: bigint): Machine {
    const machine = this.#machines[Number(id) - 1];
    assert(machine !== undefined, `no machine ${id}`);
    return machine;
  }

  #name(): string {
    this.#names += 1;
    return `#${this.#names}`;
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent;
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[this.#random.below(items.length)];
    assert(item !== undefined, 'nothing to pick from');
    return item;
  }
}
