/**
 * The way to one other member: its queue, its connection, and whether it answers (behaviour rule 3.6).
 *
 * Messages leave in order, several at a time: each in a call of its own, or many in one call once a peer
 * of Skein's own is reached (`carrier.ts`). One that fails says that the peer is not reached; what
 * waits behind it is stale by the time it could leave, and is dropped: raft sends anew.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { HealthCheckResponseServingStatus as Serving } from '../../../shared/wire/gen/health.ts';
import {
  ProcessRaftMessageRequest,
  StreamRaftMessageRequest,
} from '../../../shared/wire/gen/raft.ts';
import { type Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { CarryRequest } from '../../../shared/wire/gen/replication.ts';
import type { Log } from '../../log.ts';
import { LISTENS_AT } from '../../rpc/authorise.ts';
import { type CallOptions, type Channel, dialFailure } from '../../rpc/client.ts';
import { Code, hasCode } from '../../rpc/errors.ts';
import { Encoded } from '../../rpc/service.ts';
import { type SnapshotSource, withSnapshot } from '../snapshot-source.ts';
import { Carrier } from './carrier.ts';
import { split } from './chunks.ts';

export const PEER_LIMITS = {
  /** Messages that wait; one more, and the peer counts as not reached. */
  queueMax: 4096,
  /** Messages on their way at a time. */
  callsMax: 16,
  /** For each message, or piece of one, to be taken. */
  sendTimeoutMs: 2000,
  /** A connection that was lost is tried again this often, as long as it is broken off again. */
  redialsMax: 3,
  redialPauseMs: 20,
} as const;

/** By this text a sender learns that it was removed. */
export const REMOVED_TEXT = 'raft: member was removed from the cluster';

/** What a peer tells of its messages. */
export type PeerEvents = {
  readonly unreachable: (raftId: bigint) => void;
  readonly snapshot: (raftId: bigint, arrived: boolean) => void;
  /** Its connection ended and nobody listens there: its process has ended, most likely. */
  readonly gone: (raftId: bigint) => void;
  /** A peer says that this member was removed from the group. */
  readonly removed: () => void;
};

/** `onLost` is told when the connection has ended, unless it was closed here. */
export type Connect = (address: string, onLost: () => void) => Channel;

export type PeerOptions = {
  readonly raftId: bigint;
  readonly address: string;
  readonly connect: Connect;
  /** Where this member is reached: who does not know it yet must be able to answer. */
  readonly ownAddress: () => string;
  /** What is to be sent with a message that promises a snapshot. */
  readonly openSnapshot: () => SnapshotSource;
  readonly events: PeerEvents;
  readonly log: Log;
};

/** Whether those that come behind a message must not wait for it: who gets it asks whether its sender is there. */
const needsOwnCall = ({ type }: Message): boolean =>
  type === MessageType.MsgSnap || type === MessageType.MsgVote || type === MessageType.MsgPreVote;

export class Peer {
  readonly address: string;
  readonly #options: PeerOptions;
  #channel: Channel;
  readonly #queue: Message[] = [];
  readonly #carrier: Carrier;
  /** Whether the peer is one of Skein's own, which takes many messages in a call; unless it is not known. */
  #carries: boolean | undefined;
  #calls = 0;
  #activeSinceMs: number | undefined;
  #closed = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.address = options.address;
    this.#channel = this.#connect();
    this.#carrier = new Carrier({
      open: (signal) => this.#channel.service('Replication').Carry(this.#callOptions(signal)),
      queueMax: PEER_LIMITS.queueMax,
      timeoutMs: PEER_LIMITS.sendTimeoutMs,
      onArrived: () => this.#arrived(),
      onFailed: (error) => this.#notArrived(error),
    });
  }

  /** Whether the last message arrived. */
  get active(): boolean {
    return this.#activeSinceMs !== undefined;
  }

  /** Since when every message arrived, by the process's own clock; undefined while it is not so. */
  get activeSinceMs(): number | undefined {
    return this.#activeSinceMs;
  }

  send(message: Message): void {
    if (this.#closed) return;
    if (this.active && this.#carries === true && !needsOwnCall(message)) {
      this.#carrier.send(message);
      return;
    }
    this.#queue.push(message);
    if (this.#queue.length > PEER_LIMITS.queueMax) this.#failed(new Error('the queue is full'));
    this.#pump();
  }

  /** Whether the peer says that it takes part in raft. */
  async isHealthy(): Promise<boolean> {
    try {
      const options = { timeoutMs: PEER_LIMITS.sendTimeoutMs };
      const { status } = await this.#channel.service('Health').Check({ service: 'Raft' }, options);
      return status === Serving.SERVING;
    } catch (error) {
      this.#options.log.debug({ error, peer: this.address }, 'a member is not healthy');
      return false;
    }
  }

  /** Goes on over a new connection, with this node's identity of now. */
  reconnect(): void {
    const old = this.#channel;
    this.#channel = this.#connect();
    // A call that was cut off would say that its messages are lost.
    void this.#carrier.turnOver().then(() => old.close());
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#carrier.close();
    this.#channel.close();
  }

  #connect(): Channel {
    return this.#options.connect(this.address, () => void this.#onLost());
  }

  /** Never rejects. A member that is only slow, or whose listener is back, is not gone. */
  async #onLost(): Promise<void> {
    const { raftId, events, log } = this.#options;
    this.#carries = undefined; // whoever listens there next may be of another version
    for (let dials = 1; dials <= PEER_LIMITS.redialsMax; dials += 1) {
      const failure = await this.#redial();
      if (failure === undefined || this.#closed) return;
      if (failure === 'refused') break;
      await sleep(PEER_LIMITS.redialPauseMs);
    }
    if (this.#closed) return;
    log.info({ peer: this.address }, 'a member is gone: nobody listens at its address');
    events.gone(raftId);
  }

  /** Whether, and how, the other side turned a new connection down. */
  async #redial(): Promise<ReturnType<typeof dialFailure>> {
    try {
      const options = { timeoutMs: PEER_LIMITS.sendTimeoutMs };
      await this.#channel.service('Health').Check({ service: 'Raft' }, options);
      return undefined;
    } catch (error) {
      return dialFailure(error);
    }
  }

  #pump(): void {
    while (this.#calls < PEER_LIMITS.callsMax) {
      const message = this.#queue.shift();
      if (message === undefined) return;
      this.#calls += 1;
      void this.#deliver(message);
    }
  }

  /** Never rejects. */
  async #deliver(message: Message): Promise<void> {
    await this.#attempt(message);
    this.#calls -= 1;
    this.#pump();
  }

  async #attempt(message: Message): Promise<void> {
    const { raftId, events } = this.#options;
    const isSnapshot = message.type === MessageType.MsgSnap;
    try {
      await this.#call(message);
    } catch (error) {
      if (this.#closed) return;
      if (isSnapshot) events.snapshot(raftId, false);
      this.#notArrived(error);
      return;
    }
    this.#arrived();
    if (isSnapshot) events.snapshot(raftId, true);
  }

  #arrived(): void {
    if (!this.active) this.#options.log.info({ peer: this.address }, 'a member is reached');
    this.#activeSinceMs ??= performance.now();
  }

  #notArrived(error: unknown): void {
    const isRemoved = hasCode(error, Code.NOT_FOUND) && error.message === REMOVED_TEXT;
    if (isRemoved) this.#options.events.removed();
    this.#failed(error);
  }

  #failed(error: unknown): void {
    const { raftId, events, log } = this.#options;
    if (this.active) log.warn({ error, peer: this.address }, 'a member is not reached');
    this.#activeSinceMs = undefined;
    for (const { type } of this.#queue.splice(0)) {
      if (type === MessageType.MsgSnap) events.snapshot(raftId, false);
    }
    events.unreachable(raftId);
  }

  async #call(message: Message): Promise<void> {
    const isCarried = message.type !== MessageType.MsgSnap && (await this.#carry(message));
    if (isCarried) return;
    try {
      await this.#stream(message);
    } catch (error) {
      if (!hasCode(error, Code.UNIMPLEMENTED)) throw error;
      // A peer of before streams.
      const whole = withSnapshot(message, this.#options.openSnapshot);
      const request = new Encoded(ProcessRaftMessageRequest.encode({ message: whole }));
      const options = { timeoutMs: PEER_LIMITS.sendTimeoutMs };
      await this.#channel.service('Raft').ProcessRaftMessage(request, options);
    }
  }

  /** Sends a message in the way of Skein's own peers. @returns false when this is none */
  async #carry(message: Message): Promise<boolean> {
    if (this.#carries === false) return false;
    const late = AbortSignal.timeout(PEER_LIMITS.sendTimeoutMs);
    try {
      const call = this.#channel.service('Replication').Carry(this.#callOptions(late));
      await call.write(new Encoded(CarryRequest.encode({ message })));
      await call.finish();
    } catch (error) {
      if (!hasCode(error, Code.UNIMPLEMENTED)) throw error;
      return (this.#carries = false);
    }
    return (this.#carries = true);
  }

  #callOptions(signal: AbortSignal): CallOptions {
    return { signal, metadata: { [LISTENS_AT]: this.#options.ownAddress() } };
  }

  async #stream(message: Message): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), PEER_LIMITS.sendTimeoutMs);
    try {
      const call = this.#channel.service('Raft').StreamRaftMessage(this.#callOptions(late.signal));
      for await (const piece of this.#pieces(message)) {
        timer.refresh();
        await call.write(new Encoded(StreamRaftMessageRequest.encode({ message: piece })));
      }
      timer.refresh();
      await call.finish();
    } finally {
      clearTimeout(timer);
    }
  }

  /** What stands for a message; each piece of a snapshot in a turn of its own. */
  async *#pieces(message: Message): AsyncGenerator<Message, void> {
    if (message.type !== MessageType.MsgSnap) {
      yield message;
      return;
    }
    using source = this.#options.openSnapshot();
    for (const piece of split(message, source)) {
      yield piece;
      await nextTurn();
    }
  }
}
