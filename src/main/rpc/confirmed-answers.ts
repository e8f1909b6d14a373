/**
 * Answers that this manager gives from its own state. A read, by the leader or not, waits until that
 * state has everything that was acknowledged, by whichever manager, before the read came. A write that
 * the leader refuses was a read too: the refusal waits until what it was judged by is decided, and a
 * majority has confirmed who leads.
 */
import { cancelled } from './client.ts';
import { Code, hasCode } from './errors.ts';
import type { Relay, RelayContext } from './service.ts';
import { noLeader, stopping } from './unavailable.ts';

export type ConfirmOptions = {
  /**
   * Resolves when this manager's state has all that was acknowledged at the time of the call; rejects
   * with the signal's reason, or with an RpcError when that will never be.
   */
  readonly readIndex: (signal: AbortSignal) => Promise<void>;
  /**
   * Notes this manager's leadership of now. What it returns resolves when all that was proposed in it
   * so far is committed, and a majority has confirmed that it goes on; rejects with what a write is
   * told whose fate is unknown when it does not.
   */
  readonly leadership: () => (signal: AbortSignal) => Promise<void>;
  /** How long a read waits for a leader that a majority confirms. */
  readonly patienceMs: number;
};

type Kind = 'reads' | 'writes';

export class ConfirmedAnswers {
  readonly #options: ConfirmOptions;
  readonly #waiting = new Set<AbortController>();
  #closed = false;

  constructor(options: ConfirmOptions) {
    this.#options = options;
  }

  /** For a listener: one that answers each kind of call here. */
  readonly relays: Readonly<Record<Kind, Relay>> = {
    reads: { relay: (_method, _requests, context) => this.answer('reads', context) },
    writes: { relay: (_method, _requests, context) => this.answer('writes', context) },
  };

  answer(kind: Kind, context: RelayContext): Promise<Uint8Array | undefined> {
    return kind === 'reads' ? this.#read(context) : this.#write(context);
  }

  /** Takes no more calls, and ends those that wait. */
  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.abort(stopping());
  }

  async #read(context: RelayContext): Promise<Uint8Array | undefined> {
    await this.#wait(this.#options.readIndex, context.signal);
    return context.here();
  }

  async #write(context: RelayContext): Promise<Uint8Array | undefined> {
    const goesOn = this.#options.leadership();
    try {
      return await context.here();
    } catch (error) {
      // Who may not call was told nothing of the state.
      if (!hasCode(error, Code.PERMISSION_DENIED)) await this.#wait(goesOn, context.signal);
      throw error;
    }
  }

  /** @throws RpcError when the caller is gone, this manager stops, or no leader was confirmed in time */
  async #wait(
    confirmed: (signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#closed) throw stopping();
    const { patienceMs } = this.#options;
    const waiting = new AbortController();
    const callerGone = (): void => waiting.abort(cancelled());
    if (signal.aborted) callerGone();
    signal.addEventListener('abort', callerGone, { once: true });
    const timer = setTimeout(() => waiting.abort(noLeader()), patienceMs);
    this.#waiting.add(waiting);
    try {
      await confirmed(waiting.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', callerGone);
      this.#waiting.delete(waiting);
    }
  }
}
