/** The ways to all other members, kept in step with the membership. */
import type { RaftMember } from '../../../shared/wire/gen/raft.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { Peer, type PeerOptions } from './peer.ts';

/** For how long a member that was removed may still be told so. */
const RETIRED_MS = 8000;

export type TransportOptions = Omit<PeerOptions, 'raftId' | 'address'>;

export class RaftTransport {
  readonly #options: TransportOptions;
  readonly #peers = new Map<bigint, Peer>();
  readonly #retired = new Map<Peer, NodeJS.Timeout>();
  #stopped = false;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** The members to reach from now on, without this one. */
  setPeers(members: readonly RaftMember[]): void {
    if (this.#stopped) return;
    const wanted = new Map(members.map(({ raftId, addr }) => [raftId, addr]));
    for (const [raftId, peer] of this.#peers) {
      if (wanted.get(raftId) === peer.address) continue;
      this.#peers.delete(raftId);
      this.#retire(peer);
    }
    for (const [raftId, address] of wanted) {
      if (this.#peers.has(raftId)) continue;
      this.#peers.set(raftId, new Peer({ ...this.#options, raftId, address }));
    }
  }

  /** Messages to members that are not known are dropped: raft sends anew. */
  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const peer = this.#peers.get(message.to);
      if (peer === undefined) this.#options.events.unreachable(message.to);
      else peer.send(message);
    }
  }

  /** Whether the last message to this member arrived. */
  isActive(raftId: bigint): boolean {
    return this.#peers.get(raftId)?.active ?? false;
  }

  /** Since when all messages to this member arrived. */
  activeSinceMs(raftId: bigint): number | undefined {
    return this.#peers.get(raftId)?.activeSinceMs;
  }

  /** Asks the member itself. False for one that is not known. */
  async isHealthy(raftId: bigint): Promise<boolean> {
    return (await this.#peers.get(raftId)?.isHealthy()) ?? false;
  }

  /** This node has another certificate. */
  reconnect(): void {
    for (const peer of this.#peers.values()) peer.reconnect();
  }

  stop(): void {
    this.#stopped = true;
    for (const peer of this.#peers.values()) peer.close();
    for (const [peer, timer] of this.#retired) {
      clearTimeout(timer);
      peer.close();
    }
    this.#peers.clear();
    this.#retired.clear();
  }

  #retire(peer: Peer): void {
    const timer = setTimeout(() => {
      this.#retired.delete(peer);
      peer.close();
    }, RETIRED_MS);
    this.#retired.set(peer, timer);
  }
}
