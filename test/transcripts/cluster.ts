/**
 * The world of a raft script: nodes with storages in memory, and the messages on their way. Nothing
 * happens in it but by command.
 */
import assert from 'node:assert/strict';
import { MemoryStorage } from '../../src/main/raft/core/memory-storage.ts';
import { RawNode } from '../../src/main/raft/core/raw-node.ts';
import type { RaftConfig } from '../../src/main/raft/core/config.ts';
import type { Persist } from '../../src/main/raft/core/ready.ts';
import { ConfChange, EntryType, Snapshot } from '../../src/shared/wire/gen/raftpb.ts';
import type { ConfState, Entry, Message, MessageType } from '../../src/shared/wire/gen/raftpb.ts';
import { describeMessage, describeReady } from './describe.ts';
import type { Output } from './output.ts';
import { ScriptError } from './script.ts';

/** What `add-nodes` chooses; the rest of a node's configuration is the script world's own. */
export type NodeOptions = Partial<Omit<RaftConfig, 'id' | 'storage' | 'randBelow'>>;

/** Nothing is limited, nothing is on, time is short. */
const DEFAULT_OPTIONS = {
  electionTicks: 3,
  heartbeatTicks: 1,
  maxSizePerMsg: Infinity,
  maxInflightMsgs: 2 ** 31 - 1,
  checkQuorum: false,
  forwardProposals: true,
} satisfies NodeOptions;

/** Deterministic luck: election timeouts as short as they come, unless a script sets them. */
const NO_LUCK = (): number => 0;

/**
 * A storage whose newest snapshot is always that of the applied state. That state is simply all
 * applied data, one after the other.
 */
class HistoryStorage extends MemoryStorage {
  #applied: Snapshot = Snapshot.create();

  override snapshot(): Snapshot {
    return this.#applied;
  }

  override applySnapshot(snapshot: Snapshot): void {
    super.applySnapshot(snapshot);
    this.#applied = snapshot;
  }

  apply(entry: Entry, update: Uint8Array, confState: ConfState | null): void {
    const { data = new Uint8Array(), metadata } = this.#applied;
    this.#applied = {
      data: Buffer.concat([data, update]),
      metadata: {
        index: entry.index,
        term: entry.term,
        confState: confState ?? metadata.confState,
      },
    };
  }
}

type Node = {
  readonly raft: RawNode;
  readonly storage: HistoryStorage;
  readonly electionTicks: number;
};

/** To whom messages are given, or whose messages are dropped. */
export type Recipient = { readonly id: bigint; readonly drop: boolean };

export class Cluster {
  readonly #output: Output;
  readonly #nodes: Node[] = [];
  #messages: readonly Message[] = [];

  constructor(output: Output) {
    this.#output = output;
  }

  get ids(): readonly bigint[] {
    return this.#nodes.map(({ raft }) => raft.id);
  }

  raft(id: bigint): RawNode {
    return this.#node(id).raft;
  }

  storage(id: bigint): MemoryStorage {
    return this.#node(id).storage;
  }

  electionTicks(id: bigint): number {
    return this.#node(id).electionTicks;
  }

  /** Adds `count` nodes that start from `snapshot`, or from nothing when it is at index 0. */
  addNodes(count: number, snapshot: Snapshot, options: NodeOptions): void {
    const applied = snapshot.metadata.index;
    const isEmpty = applied === 0 && snapshot.metadata.confState.voters.length === 0;
    if (!isEmpty && applied <= 1) {
      throw new ScriptError('index must be specified as > 1 due to bootstrap');
    }
    for (let added = 0; added < count; added += 1) {
      const id = BigInt(this.#nodes.length + 1);
      const storage = new HistoryStorage();
      if (!isEmpty) storage.applySnapshot(snapshot);
      const config = { ...DEFAULT_OPTIONS, ...options, id, storage, applied, randBelow: NO_LUCK };
      const raft = new RawNode(config);
      this.#nodes.push({ raft, storage, electionTicks: config.electionTicks });
    }
  }

  enqueue(message: Message): void {
    this.#messages = [...this.#messages, message];
  }

  /** Takes one Ready of the node and does all that it says. */
  processReady(id: bigint): void {
    const { raft, storage } = this.#node(id);
    const ready = raft.ready();
    const { persist, committed } = ready;
    const binds = isBinding(persist, storage);
    const reconfigures = committed.some(({ type }) => type !== EntryType.EntryNormal);
    const mustSync = binds || reconfigures || persist.snapshot !== null;
    assert.equal(persist.mustSync, mustSync, 'mustSync of a Ready');
    this.#output.lines(describeReady(ready, binds));
    if (persist.hardState !== null) storage.setHardState(persist.hardState);
    if (persist.snapshot !== null) storage.applySnapshot(persist.snapshot);
    storage.append(persist.entries);
    for (const entry of committed) applyEntry(raft, storage, entry);
    this.#messages = [...this.#messages, ...ready.sendNow, ...ready.sendAfterPersist];
    raft.advance();
  }

  hasMessagesFor(id: bigint): boolean {
    return this.#messages.some((message) => message.to === id);
  }

  /**
   * Gives or drops the messages that are on their way to `recipients`, those of `type` only unless
   * it is null. @returns how many there were.
   */
  deliver(recipients: readonly Recipient[], type: MessageType | null): number {
    let count = 0;
    for (const recipient of recipients) {
      const concerns = (message: Message): boolean =>
        message.to === recipient.id && (type === null || message.type === type);
      const due = this.#messages.filter(concerns);
      this.#messages = this.#messages.filter((message) => !concerns(message));
      for (const message of due) this.#deliverOne(message, recipient.drop);
      count += due.length;
    }
    return count;
  }

  /** Lets the nodes work and talk until none has anything left to do. */
  stabilize(ids: readonly bigint[]): void {
    for (let busy = true; busy;) {
      const ready = ids.filter((id) => this.#handleReady(id)).length;
      const received = ids.filter((id) => this.#receive(id)).length;
      busy = ready + received > 0;
    }
  }

  #handleReady(id: bigint): boolean {
    if (!this.raft(id).hasReady()) return false;
    this.#output.lines([`> ${id} handling Ready`]);
    this.#output.indented(() => this.processReady(id));
    return true;
  }

  #receive(id: bigint): boolean {
    if (!this.hasMessagesFor(id)) return false;
    this.#output.lines([`> ${id} receiving messages`]);
    this.#output.indented(() => this.deliver([{ id, drop: false }], null));
    return true;
  }

  #deliverOne(message: Message, drop: boolean): void {
    const [first = '', ...rest] = describeMessage(message);
    this.#output.lines([drop ? `dropped: ${first}` : first, ...rest]);
    if (drop) return;
    const refusal = this.raft(message.to).step(message);
    if (refusal !== null) this.#output.lines([refusal.detail]);
  }

  #node(id: bigint): Node {
    const node = this.#nodes[Number(id) - 1];
    if (node === undefined) throw new ScriptError(`there is no node ${id}`);
    return node;
  }
}

/** What scripts call MustSync; we also sync snapshots, and changes of the configuration. */
function isBinding({ entries, hardState }: Persist, storage: MemoryStorage): boolean {
  const before = storage.hardState;
  const now = hardState ?? before;
  return entries.length > 0 || now.term !== before.term || now.vote !== before.vote;
}

function applyEntry(raft: RawNode, storage: HistoryStorage, entry: Entry): void {
  const data = entry.data ?? new Uint8Array();
  if (entry.type === EntryType.EntryNormal) {
    storage.apply(entry, data, null);
    return;
  }
  if (entry.type !== EntryType.EntryConfChange) {
    throw new ScriptError(`entry ${entry.index} is a joint configuration change`);
  }
  const change = ConfChange.decode(data);
  storage.apply(entry, change.context ?? new Uint8Array(), raft.applyConfChange(change));
}
