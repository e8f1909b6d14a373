/**
 * A raft group for tests: members with storages in memory, and a network that delivers in order
 * what a test does not hold back.
 */
import assert from 'node:assert/strict';
import {
  ConfChange,
  ConfChangeType,
  EntryType,
  Message,
} from '../../../../shared/wire/gen/raftpb.ts';
import type { Entry, HardState, MessageType } from '../../../../shared/wire/gen/raftpb.ts';
import type { Init } from '../../../../shared/wire/runtime.ts';
import type { RaftConfig } from '../config.ts';
import { toConfState } from '../configuration.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { RawNode } from '../raw-node.ts';
import type { Ready } from '../ready.ts';
import type { TraceEvent } from '../trace.ts';

export type MemberOptions = Partial<Omit<RaftConfig, 'id' | 'storage'>> & {
  /** Entries that are stored from the start. */
  readonly entries?: readonly Entry[];
  readonly hardState?: Partial<HardState>;
};

/** Test defaults: short times, no luck, nothing on that a test does not ask for. */
const DEFAULTS = {
  electionTicks: 10,
  heartbeatTicks: 1,
  checkQuorum: false,
  randBelow: (): number => 0,
} satisfies Partial<RaftConfig>;

/** The voters of a member start as a snapshot at this index, of term 1. */
export const START = { index: 1, term: 1 } as const;

export class Member {
  readonly id: bigint;
  readonly storage = new MemoryStorage();
  readonly node: RawNode;
  readonly applied: Entry[] = [];
  readonly traced: TraceEvent[] = [];
  /** The Readys that were settled, oldest first. */
  readonly history: Ready[] = [];

  constructor(id: bigint, voters: readonly bigint[], options: MemberOptions = {}) {
    const { entries = [], hardState, ...config } = options;
    this.id = id;
    if (voters.length > 0) {
      const metadata = { ...START, confState: toConfState(voters) };
      this.storage.applySnapshot({ data: undefined, metadata });
    }
    this.storage.append(entries);
    this.storage.setHardState({ term: START.term, vote: 0n, commit: 0, ...hardState });
    const trace = (event: TraceEvent): unknown => this.traced.push(event);
    this.node = new RawNode({ ...DEFAULTS, trace, ...config, id, storage: this.storage });
  }

  /** Does all that is to do. @returns the messages that left. */
  work(): readonly Message[] {
    const sent: Message[] = [];
    while (this.node.hasReady()) sent.push(...this.settle(this.node.ready()));
    return sent;
  }

  /** Does what one Ready says. @returns the messages that left. */
  settle(ready: Ready): readonly Message[] {
    const { persist, committed, sendNow, sendAfterPersist } = ready;
    this.history.push(ready);
    if (persist.hardState !== null) this.storage.setHardState(persist.hardState);
    if (persist.snapshot !== null) this.storage.applySnapshot(persist.snapshot);
    this.storage.append(persist.entries);
    for (const entry of committed) this.#apply(entry);
    this.node.advance();
    return [...sendNow, ...sendAfterPersist];
  }

  /** Takes in a message of this member's term unless `init` says otherwise, then works. */
  receive(type: MessageType, from: bigint, init: Init<Message> = {}): readonly Message[] {
    const { term } = this.node.status();
    const refusal = this.node.step(Message.create({ type, from, to: this.id, term, ...init }));
    assert.equal(refusal, null);
    return this.work();
  }

  tick(count: number): readonly Message[] {
    for (let ticked = 0; ticked < count; ticked += 1) this.node.tick();
    return this.work();
  }

  propose(text: string): readonly Message[] {
    assert.equal(this.node.propose(Buffer.from(text)), null);
    return this.work();
  }

  /** Data of all stored entries, as text, by index. */
  get log(): readonly string[] {
    const first = this.storage.firstIndex();
    const entries = this.storage.entries(first, this.storage.lastIndex() + 1, Infinity) ?? [];
    return entries.map((entry) => `${entry.term}:${textOf(entry.data)}`);
  }

  #apply(entry: Entry): void {
    this.applied.push(entry);
    if (entry.type !== EntryType.EntryConfChange) return;
    const state = this.node.applyConfChange(ConfChange.decode(entry.data ?? new Uint8Array()));
    this.storage.createSnapshot(entry.index, state, undefined);
  }
}

export class Group {
  readonly members: ReadonlyMap<bigint, Member>;
  /** What the network does with a message: `true` lets it through. */
  passes: (message: Message) => boolean = () => true;
  #network: Message[] = [];

  constructor(size: number, options: MemberOptions = {}) {
    const ids = Array.from({ length: size }, (_, at) => BigInt(at + 1));
    this.members = new Map(ids.map((id) => [id, new Member(id, ids, options)]));
  }

  member(id: bigint): Member {
    const member = this.members.get(id);
    assert(member !== undefined, `no member ${id}`);
    return member;
  }

  /** Lets everyone work and talk until all is quiet. */
  settle(): void {
    for (let busy = true; busy;) {
      for (const member of this.members.values()) this.#network.push(...member.work());
      const due = this.#network;
      this.#network = [];
      for (const message of due) this.#deliver(message);
      busy = due.length > 0;
    }
  }

  elect(id: bigint): Member {
    this.member(id).node.campaign();
    this.settle();
    assert.equal(this.member(id).node.status().role, 'leader');
    return this.member(id);
  }

  propose(id: bigint, content: string): void {
    assert.equal(this.member(id).node.propose(Buffer.from(content)), null);
    this.settle();
  }

  /** Ticks one member and lets the group settle after each tick. */
  tick(id: bigint, count: number): void {
    for (let ticked = 0; ticked < count; ticked += 1) {
      this.member(id).node.tick();
      this.settle();
    }
  }

  /** Cuts `id` off in both directions. */
  isolate(id: bigint): void {
    this.passes = (message) => message.to !== id && message.from !== id;
  }

  heal(): void {
    this.passes = () => true;
  }

  #deliver(message: Message): void {
    if (!this.passes(message)) return;
    this.members.get(message.to)?.node.step(Message.decode(Message.encode(message)));
  }
}

export function entryOf(term: number, index: number, content = ''): Entry {
  const data = content === '' ? undefined : Buffer.from(content);
  return { type: EntryType.EntryNormal, term, index, data };
}

/** Entries after {@link START}, one for each term given. */
export function entriesOfTerms(...terms: readonly number[]): readonly Entry[] {
  return terms.map((term, at) => entryOf(term, START.index + 1 + at));
}

export function textOf(data: Uint8Array | undefined): string {
  return Buffer.from(data ?? []).toString();
}

/** The messages of one type, or to one node. */
export function ofType(messages: readonly Message[], type: MessageType): readonly Message[] {
  return messages.filter((message) => message.type === type);
}

export function change(kind: 'add' | 'remove' | 'update', nodeId: bigint): ConfChange {
  const types = {
    add: ConfChangeType.ConfChangeAddNode,
    remove: ConfChangeType.ConfChangeRemoveNode,
    update: ConfChangeType.ConfChangeUpdateNode,
  };
  return ConfChange.create({ type: types[kind], nodeId });
}
