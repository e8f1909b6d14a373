/**
 * The one channel of a follower to its leader: made at the first call, and anew when the leader or this
 * manager's credentials change.
 *
 * New credentials leave the calls under way alone: their connection closes after the last of them. A
 * new leader ends them, since the old one may be gone without a goodbye.
 */
import { Channel, type CallOptions } from './client.ts';
import type { ChannelCall } from './channel-call.ts';
import { Code, RpcError } from './errors.ts';
import type { Credentials } from './listener.ts';

/** Who leads. */
export type Leader = {
  readonly nodeId: string;
  /** `host:port`. */
  readonly address: string;
  /** This manager itself. */
  readonly self: boolean;
};

type Entry = {
  readonly leader: Leader;
  readonly credentials: Credentials;
  readonly channel: Channel;
  calls: number;
  retired: boolean;
};

const sameLeader = (one: Leader, other: Leader): boolean =>
  one.nodeId === other.nodeId && one.address === other.address;

export class LeaderChannel {
  #current: Entry | undefined;
  /** Channels with older credentials whose calls have not ended. */
  readonly #retired = new Set<Entry>();

  /**
   * Begins a call to `leader`.
   *
   * @throws RpcError when nothing was sent.
   */
  async open(
    leader: Leader,
    credentials: Credentials,
    call: { readonly path: string; readonly options: CallOptions },
  ): Promise<ChannelCall> {
    const entry = this.#entry(leader, credentials);
    entry.calls += 1;
    try {
      const opened = await entry.channel.open(call.path, call.options);
      void opened.ended.then(() => this.#release(entry));
      return opened;
    } catch (error) {
      this.#release(entry);
      throw error;
    }
  }

  /** Ends every call that does not go to `leader`. */
  follow(leader: Leader | undefined): void {
    const isOld = ({ leader: old }: Entry): boolean =>
      leader === undefined || leader.self || !sameLeader(old, leader);
    for (const entry of this.#retired) if (isOld(entry)) this.#cut(entry);
    if (this.#current !== undefined && isOld(this.#current)) this.#cut(this.#current);
  }

  #entry(leader: Leader, credentials: Credentials): Entry {
    const current = this.#current;
    if (current !== undefined && sameLeader(current.leader, leader)) {
      if (current.credentials === credentials) return current;
      this.#retire(current);
    } else if (current !== undefined) this.#cut(current);
    const { address } = leader;
    const channel = new Channel({
      to: 'manager',
      address,
      rootPem: credentials.rootPem,
      identity: credentials,
    });
    return (this.#current = { leader, credentials, channel, calls: 0, retired: false });
  }

  #retire(entry: Entry): void {
    entry.retired = true;
    if (entry.calls === 0) entry.channel.close();
    else this.#retired.add(entry);
  }

  #release(entry: Entry): void {
    entry.calls -= 1;
    if (entry.calls > 0 || !entry.retired) return;
    this.#retired.delete(entry);
    entry.channel.close();
  }

  #cut(entry: Entry): void {
    if (this.#current === entry) this.#current = undefined;
    this.#retired.delete(entry);
    entry.channel.close(new RpcError(Code.UNAVAILABLE, 'the leader has changed'));
  }
}
