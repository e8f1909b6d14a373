/**
 * A manager in the simulation: the real driver, core and store, on a disk, a network and a clock that
 * are not. It may end at any moment and begin again with what its disk kept; its event loop may stand
 * still; its clock may run at another pace, and its wall clock may jump.
 */
import assert from 'node:assert/strict';
import { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import {
  ConfChange,
  ConfChangeType,
  Entry,
  EntryType,
  HardState,
  Message,
  type MessageType,
} from '../../src/shared/wire/gen/raftpb.ts';
import type { Cancel, Turns } from '../../src/main/kit/turns.ts';
import { silentLog } from '../../src/main/log.ts';
import { RaftDriver, type DriverOptions } from '../../src/main/raft/driver.ts';
import { foundLog } from '../../src/main/raft/found-log.ts';
import { knownMembers, type Met, stillMet } from '../../src/main/raft/known-members.ts';
import type { Membership } from '../../src/main/raft/membership.ts';
import { REMOVED_TEXT } from '../../src/main/raft/transport/peer.ts';
import { take, type Receiver } from '../../src/main/raft/transport/service.ts';
import { RpcError } from '../../src/main/rpc/errors.ts';
import { withSnapshot } from '../../src/main/raft/snapshot-source.ts';
import { ReplicatedStore } from '../../src/main/store/store.ts';
import type { Action, Content } from './cells.ts';
import type { Checks } from './checks.ts';
import { DiskFullError, SimulatedDisk } from './disk.ts';
import type { SimulatedLog } from './disk.ts';
import { join, membershipOf, serveMembership } from './membership.ts';
import type { MembershipAnswer, MembershipCall } from './membership.ts';
import type { SimulatedNetwork } from './network.ts';
import { perform, replyOf } from './requests.ts';
import { Ways, type Receipt } from './ways.ts';
import type { World } from './world.ts';

/** What a client is told. */
export type Reply =
  | { readonly kind: 'done'; readonly content: Content | null }
  /** Nothing was done. */
  | { readonly kind: 'refused'; readonly code: string }
  /** It may or may not come to be. */
  | { readonly kind: 'lost' };

export type Group = {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly checks: Checks;
  readonly settings: NonNullable<DriverOptions['settings']>;
  /** Entries between two snapshots, 0 for none, and how many before one are kept. */
  readonly snapshotEvery: { readonly interval: number; readonly keep: number };
  /** A snapshot may take this much longer on its way than a small message. */
  readonly snapshotMsMax: number;
  /** Whether members look at whom a message comes from; raft itself must stand it if they don't. */
  readonly guarded: boolean;
  /** Whether a manager that was removed ends; otherwise it goes on talking. */
  readonly removedEnd: boolean;
  /** All that ever were. */
  readonly managers: () => readonly SimulatedManager[];
  readonly at: (address: string) => SimulatedManager | undefined;
  /** A message of `from` is about to arrive. @returns whether it does */
  readonly passes: (from: SimulatedManager) => boolean;
  readonly onElected: (manager: SimulatedManager) => void;
  readonly onVoted: (manager: SimulatedManager) => void;
  /** A manager has applied its own removal. */
  readonly onRemoved: (manager: SimulatedManager) => void;
  /** A snapshot of a peer arrives, or an own one was stored. */
  readonly onSnapshot: (manager: SimulatedManager) => void;
  /** An error that the simulation does not know: the run has failed. */
  readonly onDefect: (error: unknown) => void;
};

/** Of real time, when all simulated time begins. */
const EPOCH_MS = Date.UTC(2026, 0, 1);
const TICK_MS = 100;

/** One life of a manager, from start to crash. */
export type Life = {
  readonly log: SimulatedLog;
  readonly store: ReplicatedStore;
  readonly driver: RaftDriver;
  readonly ways: Ways;
  readonly membership: Membership;
  readonly receiver: Receiver;
};

export class SimulatedManager {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly #group: Group;
  #life: Life | undefined;
  #port = 1;
  #met: ReadonlyMap<bigint, Met> = new Map();
  #stalledUntilMs = 0;
  #removed = false;
  /** Never to run again: it ended as one that was removed, or its disk is lost. */
  gone = false;
  /** It has its id, for good: who was removed does not come back by itself. */
  joined = false;
  /** Membership calls being answered. */
  busy = 0;
  /** Own milliseconds in one of the world. */
  clockRate = 1;
  /** How far the wall clock is off. */
  clockOffsetMs = 0;

  constructor(name: string, group: Group) {
    this.name = name;
    this.#group = group;
    this.disk = new SimulatedDisk(group.world);
    this.disk.onSynced = (kind) => {
      if (kind === 'snapshot') group.onSnapshot(this);
    };
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  get address(): string {
    return `${this.name}:${this.#port}`;
  }

  get leading(): boolean {
    return this.#life?.driver.leading ?? false;
  }

  get store(): ReplicatedStore | undefined {
    return this.#life?.store;
  }

  get driver(): RaftDriver | undefined {
    return this.#life?.driver;
  }

  get log(): SimulatedLog | undefined {
    return this.#life?.log;
  }

  /** Writes the log of a group of its own. */
  async foundAlone(): Promise<void> {
    await foundLog(this.disk.open(), this.memberAs(1n), []);
  }

  /** Writes the log that all of `members` begin with. */
  async found(own: RaftMember, members: readonly RaftMember[]): Promise<void> {
    const entries = members.map((member, at) => {
      const change = ConfChange.create({
        type: ConfChangeType.ConfChangeAddNode,
        nodeId: member.raftId,
        context: RaftMember.encode(member),
      });
      const data = ConfChange.encode(change);
      return Entry.create({ type: EntryType.EntryConfChange, term: 1, index: at + 1, data });
    });
    const hardState = HardState.create({ term: 1, commit: entries.length });
    const log = this.disk.open();
    await log.save({ hardState, snapshot: null, entries, mustSync: true });
    await log.saveMember(own);
  }

  memberAs(raftId: bigint): RaftMember {
    return RaftMember.create({ raftId, nodeId: this.name, addr: this.address });
  }

  /** Begins where its disk is; does nothing on one that runs or is gone. */
  start(): void {
    if (this.#life !== undefined || this.gone) return;
    this.#group.world.note(`${this.name} starts`);
    const life = this.#begin();
    this.#life = life;
    this.#run(life).catch((error: unknown) => this.#end(life, error));
  }

  /** The process ends, between two events. */
  crash(): void {
    if (this.#life === undefined) return;
    this.#group.world.note(`${this.name} crashes`);
    this.#life = undefined;
    this.#stalledUntilMs = 0;
    this.#met = new Map();
    this.busy = 0;
    this.disk.crash();
  }

  /** Its disk is lost, and it with it. */
  ruin(): void {
    this.crash();
    this.gone = true;
    this.#group.world.note(`${this.name} is lost`);
  }

  /** Is reached at another address, which nobody knows yet; the old one is kept up. */
  move(): void {
    this.#port += 1;
  }

  /** Stands still: whatever comes in meanwhile is done afterwards. */
  stall(forMs: number): void {
    this.#stalledUntilMs = this.#group.world.nowMs + forMs;
  }

  /** A message of a peer is here. */
  receive(message: Message, from: SimulatedManager, answer: (receipt: Receipt) => void): void {
    const sender = { nodeId: from.name, remoteAddress: '10.0.0.1:1000', listensAt: from.address };
    this.#whenAwake(this.#life, ({ receiver, driver }) => {
      if (!this.#group.guarded) {
        const known = receiver.members().some(({ raftId }) => raftId === message.from);
        if (!known) receiver.meet(from.memberAs(message.from));
        if (message.to === receiver.raftId()) driver.receive(message);
        answer('taken');
        return;
      }
      take(receiver, message, sender, silentLog).then(
        () => answer('taken'),
        (error: unknown) => {
          const removed = error instanceof RpcError && error.message === REMOVED_TEXT;
          if (removed) answer('sender-was-removed');
          else this.#group.onDefect(error);
        },
      );
    });
  }

  /** What only this node, or a peer in its name, tells its raft: no wire is in between. */
  meddle(type: MessageType, from: bigint): void {
    const to = this.#life?.receiver.raftId() ?? 0n;
    if (to === 0n) return;
    const message = { type, from, to };
    this.#whenAwake(this.#life, ({ driver }) => driver.receive(Message.create(message)));
  }

  /** Says that it is up, when it gets to it. */
  answer(reply: (up: true) => void): void {
    this.#whenAwake(this.#life, () => reply(true));
  }

  serveMembership(call: MembershipCall, reply: (answer: MembershipAnswer) => void): void {
    this.#whenAwake(this.#life, (life) => {
      this.busy += 1;
      const tell = (answer: MembershipAnswer): void => {
        if (this.#life !== life) return;
        this.busy -= 1;
        reply(answer);
      };
      serveMembership(life, call).then(tell).catch(this.#group.onDefect);
    });
  }

  /** A request of a client is here. */
  serve(key: string, action: Action, reply: (reply: Reply) => void): void {
    this.#whenAwake(this.#life, (life) => {
      const { world, checks } = this.#group;
      const tell = (answer: Reply): void => {
        if (this.#life === life) reply(answer);
      };
      perform({ ...life, world, checks, name: this.name }, key, action)
        .catch(replyOf)
        .then(tell)
        .catch(this.#group.onDefect);
    });
  }

  async #run(life: Life): Promise<void> {
    if (life.log.member() === undefined) await join(this, life, this.#group);
    if (this.#life !== life) return;
    this.joined = true;
    await life.driver.start();
    if (this.#life === life) this.#believes(life);
  }

  #begin(): Life {
    const { world, checks } = this.#group;
    const life = (): Life => made;
    const raftId = (): bigint => log.member()?.raftId ?? 0n;
    const turns = this.#turns(life);
    const log = this.disk.open((saved) =>
      checks.saves(raftId(), saved, log, life().store.appliedIndex),
    );
    const randBelow = (limit: number): number => world.random.below(limit);
    const driver = new RaftDriver({ ...this.#driverOptions(life), log, randBelow, turns });
    const env = {
      nowMs: () => Math.floor(EPOCH_MS + this.clockOffsetMs + world.nowMs * this.clockRate),
      randBelow,
      newId: () => `id${randBelow(0x1_0000_0000)}`,
    };
    const store = new ReplicatedStore({
      env,
      log: driver,
      defer: turns.soon,
      freeze: true,
      restoreObjects: 2,
    });
    const met = (): ReadonlyMap<bigint, Met> => (this.#met = stillMet(driver, this.#met));
    const known = (): readonly RaftMember[] => knownMembers(driver, raftId(), log.peers(), met());
    const ways = this.#ways(life, known);
    const receiver: Receiver = {
      raftId,
      members: known,
      meet: (member) => {
        const before = driver.members().find((other) => other.raftId === member.raftId);
        const insteadOf = before?.addr;
        this.#met = new Map(this.#met).set(member.raftId, { member, insteadOf });
      },
      isRemoved: (id) => driver.isRemoved(id),
      isHealthy: (id) => ways.isHealthy(id),
      receive: (message) => driver.receive(message),
    };
    const membership = membershipOf(this, life, this.#group);
    const made: Life = { log, store, driver, ways, membership, receiver };
    return made;
  }

  #driverOptions(life: () => Life): Omit<DriverOptions, 'log' | 'randBelow' | 'turns'> {
    const { world, checks, settings, snapshotEvery, onElected, onVoted } = this.#group;
    return {
      machine: {
        committed: (index, bytes) => {
          life().store.committed(index, bytes);
          this.#applied(life(), index);
        },
        abort: () => life().store.abort(),
        snapshot: () => life().store.snapshot(),
        restore: async (index, chunks) => {
          await life().store.restore(index, chunks);
          if (this.#life !== life()) return;
          checks.holds(this.name, life().store);
          this.#believes(life());
        },
      },
      logger: silentLog,
      tickMs: TICK_MS,
      settings: {
        ...settings,
        trace: (event) => {
          if (event.kind === 'voted' && event.granted) onVoted(this);
          if (event.kind !== 'role' || event.role !== 'leader') return;
          world.note(`${this.name} leads term ${event.term}`);
          checks.leads(life().receiver.raftId(), event.term, life().log);
          onElected(this);
        },
      },
      snapshotEvery: () => snapshotEvery,
      send: (messages) => {
        if (this.#life !== life()) return;
        for (const message of messages) checks.sends(message, this.disk);
        const source = () => life().driver.openSnapshot();
        life().ways.send(messages.map((message) => withSnapshot(message, source)));
      },
      onLeadership: (leads) => world.note(`${this.name} ${leads ? 'begins' : 'ceases'} to lead`),
      onMembers: () => this.#noteRemoval(life()),
      onFatal: (error) => this.#end(life(), error),
    };
  }

  #ways(life: () => Life, known: () => readonly RaftMember[]): Ways {
    return new Ways({
      group: this.#group,
      from: this,
      driver: () => life().driver,
      known,
      whenAwake: (run) => this.#whenAwake(life(), run),
      onRemoved: () => this.#onRemoved(),
    });
  }

  #applied(life: Life, index: number): void {
    const { checks } = this.#group;
    const [entry] = life.log.entries(index, index + 1, Infinity) ?? [];
    assert(entry !== undefined, `${this.name} applies what it has not stored`);
    const status = life.driver.status();
    assert(status !== undefined);
    checks.applies(life.receiver.raftId(), entry, status.term);
    checks.holds(this.name, life.store);
    if (entry.type !== EntryType.EntryNormal) this.#believes(life);
  }

  /** Compares what this member knows of the group with what it must. */
  #believes({ driver, store }: Life): void {
    const members = driver.members();
    // A snapshot of its own is restored before raft begins.
    const voters = driver.status()?.voters ?? members.map(({ raftId }) => raftId);
    const isRemoved = (raftId: bigint): boolean => driver.isRemoved(raftId);
    this.#group.checks.believes(this.name, store.appliedIndex, { members, voters, isRemoved });
  }

  #noteRemoval({ driver, receiver }: Life): void {
    if (!driver.isRemoved(receiver.raftId())) return;
    if (!this.#removed) this.#group.onRemoved(this);
    this.#onRemoved();
  }

  #onRemoved(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#group.world.note(`${this.name} knows that it was removed`);
    if (this.#group.removedEnd) this.#endRemoved();
  }

  /**
   * One that was removed ends, but not before another has applied that: until then its vote may be
   * needed.
   */
  #endRemoved(): void {
    const { world, managers } = this.#group;
    world.after(world.upTo(400), () => {
      const raftId = this.#life?.receiver.raftId();
      const known = managers().some(({ driver }) => {
        return driver !== this.driver && raftId !== undefined && driver?.isRemoved(raftId) === true;
      });
      if (!known) return this.#endRemoved();
      this.crash();
      this.gone = true;
    });
  }

  /** What a process does when its disk fails: it ends. */
  #end(life: Life, error: unknown): void {
    if (!(error instanceof DiskFullError)) this.#group.onDefect(error);
    else if (this.#life === life) this.crash();
  }

  #turns(life: () => Life): Turns {
    const { world } = this.#group;
    const later = (delayMs: number, run: () => void): Cancel => {
      const planned = world.after(delayMs, () => this.#whenAwake(life(), run));
      return planned.cancel;
    };
    return {
      afterThis: (run) => void later(0, run),
      soon: (run) => later(world.upTo(0.1), run),
      every: (periodMs, run) => {
        let cancel: Cancel;
        const again = (): void => {
          cancel = later(periodMs / this.clockRate, () => {
            again();
            run();
          });
        };
        again();
        return () => cancel();
      },
    };
  }

  /** Runs `run` when the event loop gets to it, unless this life has ended by then. */
  #whenAwake(life: Life | undefined, run: (life: Life) => void): void {
    if (life === undefined || this.#life !== life) return;
    const { world } = this.#group;
    if (world.nowMs >= this.#stalledUntilMs) run(life);
    else world.at(this.#stalledUntilMs, () => this.#whenAwake(life, run));
  }
}
