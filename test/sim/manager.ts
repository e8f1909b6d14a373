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
  type Message,
} from '../../src/shared/wire/gen/raftpb.ts';
import type { Cancel, Turns } from '../../src/main/kit/turns.ts';
import { silentLog } from '../../src/main/log.ts';
import { RaftDriver, type DriverOptions } from '../../src/main/raft/driver.ts';
import { ReplicatedStore } from '../../src/main/store/store.ts';
import { StoreError } from '../../src/main/store/transaction.ts';
import { readCell, writeCell } from './cells.ts';
import type { Action, Content } from './cells.ts';
import type { Checks } from './checks.ts';
import { DiskFullError, SimulatedDisk } from './disk.ts';
import type { SimulatedLog } from './disk.ts';
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
  readonly checks: Checks;
  readonly members: readonly RaftMember[];
  readonly settings: NonNullable<DriverOptions['settings']>;
  /** Entries between two snapshots; 0 for none. */
  readonly snapshotInterval: number;
  /** Brings messages to the other managers. */
  readonly send: (from: SimulatedManager, messages: readonly Message[]) => void;
  readonly onElected: (manager: SimulatedManager) => void;
  readonly onVoted: (manager: SimulatedManager) => void;
  /** An error that the simulation does not know: the run has failed. */
  readonly onDefect: (error: unknown) => void;
};

/** Of real time, when all simulated time begins. */
const EPOCH_MS = Date.UTC(2026, 0, 1);
const TICK_MS = 100;
/** Nobody may lack what was compacted as long as the driver takes no snapshot from a peer. */
const KEEP_ALL = Number.MAX_SAFE_INTEGER;
/** Where a read that is ordered by the log leaves its trace. */
const MARK_KEY = 'config-mark';

/** One life of a manager, from start to crash. */
type Life = {
  readonly log: SimulatedLog;
  readonly store: ReplicatedStore;
  readonly driver: RaftDriver;
};

export class SimulatedManager {
  readonly member: RaftMember;
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly #group: Group;
  #life: Life | undefined;
  #stalledUntilMs = 0;
  /** Own milliseconds in one of the world. */
  clockRate = 1;
  /** How far the wall clock is off. */
  clockOffsetMs = 0;

  constructor(member: RaftMember, group: Group) {
    this.member = member;
    this.name = member.nodeId;
    this.#group = group;
    this.disk = new SimulatedDisk(group.world);
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  get leading(): boolean {
    return this.#life?.driver.leading ?? false;
  }

  get store(): ReplicatedStore | undefined {
    return this.#life?.store;
  }

  /** Writes the log that all members of a new group begin with. */
  async found(): Promise<void> {
    const entries = this.#group.members.map((member, at) => {
      const change = ConfChange.create({
        type: ConfChangeType.ConfChangeAddNode,
        nodeId: member.raftId,
        context: RaftMember.encode(member),
      });
      const data = ConfChange.encode(change);
      return Entry.create({ type: EntryType.EntryConfChange, term: 1, index: at + 1, data });
    });
    const hardState = HardState.create({ term: 1, commit: entries.length });
    await this.disk.open().save({ hardState, snapshot: null, entries, mustSync: true });
  }

  start(): void {
    assert(this.#life === undefined, `${this.name} runs already`);
    const { world, onDefect } = this.#group;
    world.note(`${this.name} starts`);
    const life = this.#begin();
    this.#life = life;
    life.driver.start().catch(onDefect);
  }

  /** The process ends, between two events. */
  crash(): void {
    if (this.#life === undefined) return;
    this.#group.world.note(`${this.name} crashes`);
    this.#life = undefined;
    this.#stalledUntilMs = 0;
    this.disk.crash();
  }

  /** Stands still: whatever comes in meanwhile is done afterwards. */
  stall(forMs: number): void {
    this.#stalledUntilMs = this.#group.world.nowMs + forMs;
  }

  /** A message of a peer is here. */
  receive(message: Message): void {
    this.#whenAwake(this.#life, ({ driver }) => driver.receive(message));
  }

  /** A request of a client is here. */
  serve(key: string, action: Action, reply: (reply: Reply) => void): void {
    this.#whenAwake(this.#life, (life) => {
      const done = action.kind === 'read' ? read(life, key) : write(life, key, action);
      done.then(reply, (error: unknown) => {
        if (error instanceof StoreError) reply(replyOf(error));
        else this.#group.onDefect(error);
      });
    });
  }

  #begin(): Life {
    const { world, checks, settings, send, snapshotInterval, onElected, onVoted } = this.#group;
    const turns = this.#turns(() => life);
    const { raftId } = this.member;
    const log = this.disk.open(({ entries }) => checks.stores(raftId, entries, log));
    const randBelow = (limit: number): number => world.random.below(limit);
    const driver = new RaftDriver({
      log,
      machine: {
        committed: (index, bytes) => {
          store.committed(index, bytes);
          this.#applied(life, index);
        },
        abort: () => store.abort(),
        snapshot: () => store.snapshot(),
        restore: (index, chunks) => {
          store.restore(index, chunks);
          checks.holds(this.name, store);
        },
      },
      member: this.member,
      randBelow,
      logger: silentLog,
      tickMs: TICK_MS,
      turns,
      settings: {
        ...settings,
        trace: (event) => {
          if (event.kind === 'voted' && event.granted) onVoted(this);
          if (event.kind !== 'role' || event.role !== 'leader') return;
          world.note(`${this.name} leads term ${event.term}`);
          checks.leads(raftId, event.term, log);
          onElected(this);
        },
      },
      snapshotEvery: () => ({ interval: snapshotInterval, keep: KEEP_ALL }),
      send: (messages) => {
        if (this.#life === life) send(this, messages);
      },
      onLeadership: (leads) => world.note(`${this.name} ${leads ? 'begins' : 'ceases'} to lead`),
      onFatal: (error) => this.#end(life, error),
    });
    const env = {
      nowMs: () => Math.floor(EPOCH_MS + this.clockOffsetMs + world.nowMs * this.clockRate),
      randBelow,
      newId: () => `id${randBelow(0x1_0000_0000)}`,
    };
    const store = new ReplicatedStore({ env, log: driver, defer: turns.soon, freeze: true });
    const life: Life = { log, store, driver };
    return life;
  }

  #applied(life: Life, index: number): void {
    const { checks } = this.#group;
    const [entry] = life.log.entries(index, index + 1, Infinity) ?? [];
    assert(entry !== undefined, `${this.name} applies what it has not stored`);
    const status = life.driver.status();
    assert(status !== undefined);
    checks.applies(this.member.raftId, entry, status.term);
    checks.holds(this.name, life.store);
  }

  /** What the driver does when the disk fails: the process ends. */
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

async function write({ store }: Life, key: string, action: Action): Promise<Reply> {
  const content = await store.update((tx) => writeCell(tx, key, action));
  return { kind: 'done', content };
}

/** A read of the committed state, behind an entry of its own that proves that this manager leads. */
async function read({ store }: Life, key: string): Promise<Reply> {
  await store.update((tx) => {
    const kind = readCell(tx, MARK_KEY) === null ? 'create' : 'set';
    return writeCell(tx, MARK_KEY, { kind, value: '' });
  });
  return { kind: 'done', content: store.view((view) => readCell(view, key)) };
}

function replyOf({ code }: StoreError): Reply {
  return code === 'LEADERSHIP_LOST' ? { kind: 'lost' } : { kind: 'refused', code };
}
