/**
 * Reads that wait until what this member has applied is new enough for them (raft thesis section 6.4).
 *
 * A request to the leader covers every read that began before it was sent, and so do all that are
 * sent later. One is under way at a time: reads that begin meanwhile share the next. A request or its
 * answer may be lost, also with a leader that falls; another one with a new context follows then.
 */

/** The member stopped before the read could be answered. */
export class ReadsEnded extends Error {
  override readonly name = 'ReadsEnded';

  constructor() {
    super('this member takes no more part in the group');
  }
}

export type ReadsOptions = {
  /** Not asked before the first request. */
  readonly raftId: () => bigint;
  /** Requests are counted from here; a member's lives must not share their counts. */
  readonly firstRequest: bigint;
  /** A request without an answer for this many ticks is followed by another. */
  readonly retryTicks: number;
  /** Asks the leader, if there is one. */
  readonly ask: (context: Uint8Array) => void;
};

type Waiter = {
  /** The first request that covers it. */
  readonly request: bigint;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

export class Reads {
  readonly #options: ReadsOptions;
  /** Not covered by an answer yet; in order of their requests. */
  readonly #waiting = new Set<Waiter>();
  /** What must be applied before each of them goes on. */
  readonly #granted = new Map<Waiter, number>();
  /** The last that was sent. */
  #request: bigint;
  /** Ticks since then; undefined once it was answered. */
  #unansweredTicks: number | undefined;
  #ended = false;

  constructor(options: ReadsOptions) {
    this.#options = options;
    this.#request = options.firstRequest;
  }

  /** Whether {@link ask} would send a request. */
  get due(): boolean {
    return this.#waiting.size > 0 && this.#unansweredTicks === undefined;
  }

  /**
   * Resolves when all is applied that was committed before this call.
   * @throws ReadsEnded; the signal's reason
   */
  wait(signal: AbortSignal): Promise<void> {
    if (this.#ended) return Promise.reject(new ReadsEnded());
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.delete(waiter);
        this.#granted.delete(waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        request: this.#request + 1n,
        resolve: () => {
          signal.removeEventListener('abort', giveUp);
          resolve();
        },
        reject: (error) => {
          signal.removeEventListener('abort', giveUp);
          reject(error);
        },
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** Sends a request for the reads that no request covers, unless one is under way. */
  ask(): void {
    if (this.due) this.#askAnew();
  }

  tick(): void {
    if (this.#unansweredTicks === undefined) return;
    this.#unansweredTicks += 1;
    if (this.#unansweredTicks >= this.#options.retryTicks) this.askAgain();
  }

  /** The request under way is lost, or as good as lost: another leader would not know of it. */
  askAgain(): void {
    if (this.#unansweredTicks === undefined) return;
    if (this.#waiting.size > 0) this.#askAnew();
    else this.#unansweredTicks = undefined;
  }

  /** An answer came: reads that its request covers may go on once `index` is applied. */
  grant(context: Uint8Array, index: number): void {
    const request = requestIn(context, this.#options.raftId());
    if (request === undefined || request > this.#request) return;
    for (const waiter of this.#waiting) {
      if (waiter.request > request) break;
      this.#waiting.delete(waiter);
      this.#granted.set(waiter, index);
    }
    const isAnswered = request === this.#request || this.#waiting.size === 0;
    if (isAnswered) this.#unansweredTicks = undefined;
  }

  /** The state of now has everything up to `applied`. */
  applied(applied: number): void {
    for (const [waiter, index] of this.#granted) {
      if (index > applied) continue;
      this.#granted.delete(waiter);
      waiter.resolve();
    }
  }

  /** No read will be answered any more. */
  end(): void {
    this.#ended = true;
    const left = [...this.#waiting, ...this.#granted.keys()];
    this.#waiting.clear();
    this.#granted.clear();
    for (const { reject } of left) reject(new ReadsEnded());
  }

  #askAnew(): void {
    this.#request += 1n;
    this.#unansweredTicks = 0;
    this.#options.ask(contextOf(this.#options.raftId(), this.#request));
  }
}

/** A leader keeps requests apart by their contexts, whichever member they come from. */
function contextOf(raftId: bigint, request: bigint): Uint8Array {
  const context = Buffer.alloc(16);
  context.writeBigUInt64BE(raftId, 0);
  context.writeBigUInt64BE(request, 8);
  return context;
}

/** Undefined when another asked. */
function requestIn(context: Uint8Array, raftId: bigint): bigint | undefined {
  const { buffer, byteOffset, length } = context;
  if (length !== 16) return undefined;
  const bytes = new DataView(buffer, byteOffset, length);
  return bytes.getBigUint64(0) === raftId ? bytes.getBigUint64(8) : undefined;
}
