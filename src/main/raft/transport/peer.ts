/**
 * The way to one other member: its queue, its connection, and whether it answers (behaviour rule 3.6).
 *
 * Messages leave in order, several at a time. One that fails says that the peer is not reached; what
 * waits behind it is stale by the time it could leave, and is dropped: raft sends anew.
 */
import { HealthCheckResponseServingStatus as Serving } from '../../../shared/wire/gen/health.ts';
import {
  ProcessRaftMessageRequest,
  StreamRaftMessageRequest,
} from '../../../shared/wire/gen/raft.ts';
import { type Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Log } from '../../log.ts';
import type { Channel } from '../../rpc/client.ts';
import { Code, hasCode } from '../../rpc/errors.ts';
import { Encoded } from '../../rpc/service.ts';
import { split } from './chunks.ts';

export const PEER_LIMITS = {
  /** Messages that wait; one more, and the peer counts as not reached. */
  queueMax: 4096,
  /** Messages on their way at a time. */
  callsMax: 16,
  /** For each message, or piece of one, to be taken. */
  sendTimeoutMs: 2000,
} as const;

/** By this text a sender learns that it was removed. */
export const REMOVED_TEXT = 'raft: member was removed from the cluster';

/** What a peer tells of its messages. */
export type PeerEvents = {
  readonly unreachable: (raftId: bigint) => void;
  readonly snapshot: (raftId: bigint, arrived: boolean) => void;
  /** A peer says that this member was removed from the group. */
  readonly removed: () => void;
};

export type PeerOptions = {
  readonly raftId: bigint;
  readonly address: string;
  readonly connect: (address: string) => Channel;
  readonly events: PeerEvents;
  readonly log: Log;
};

export class Peer {
  readonly address: string;
  readonly #options: PeerOptions;
  #channel: Channel;
  readonly #queue: Message[] = [];
  #calls = 0;
  #active = false;
  #closed = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.address = options.address;
    this.#channel = options.connect(options.address);
  }

  /** Whether the last message arrived. */
  get active(): boolean {
    return this.#active;
  }

  send(message: Message): void {
    if (this.#closed) return;
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
    this.#channel = this.#options.connect(this.address);
    old.close();
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#channel.close();
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
    const { raftId, events, log } = this.#options;
    try {
      await this.#call(message);
    } catch (error) {
      if (this.#closed) return;
      if (hasCode(error, Code.NOT_FOUND) && error.message === REMOVED_TEXT) events.removed();
      if (message.type === MessageType.MsgSnap) events.snapshot(raftId, false);
      this.#failed(error);
      return;
    }
    if (!this.#active) log.info({ peer: this.address }, 'a member is reached');
    this.#active = true;
    if (message.type === MessageType.MsgSnap) events.snapshot(raftId, true);
  }

  #failed(error: unknown): void {
    const { raftId, events, log } = this.#options;
    if (this.#active) log.warn({ error, peer: this.address }, 'a member is not reached');
    this.#active = false;
    for (const { type } of this.#queue.splice(0)) {
      if (type === MessageType.MsgSnap) events.snapshot(raftId, false);
    }
    events.unreachable(raftId);
  }

  async #call(message: Message): Promise<void> {
    try {
      await this.#stream(message);
    } catch (error) {
      if (!hasCode(error, Code.UNIMPLEMENTED)) throw error;
      // A peer of before streams.
      const request = new Encoded(ProcessRaftMessageRequest.encode({ message }));
      const options = { timeoutMs: PEER_LIMITS.sendTimeoutMs };
      await this.#channel.service('Raft').ProcessRaftMessage(request, options);
    }
  }

  async #stream(message: Message): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), PEER_LIMITS.sendTimeoutMs);
    try {
      const call = this.#channel.service('Raft').StreamRaftMessage({ signal: late.signal });
      for (const piece of split(message)) {
        timer.refresh();
        await call.write(new Encoded(StreamRaftMessageRequest.encode({ message: piece })));
      }
      timer.refresh();
      await call.finish();
    } finally {
      clearTimeout(timer);
    }
  }
}
