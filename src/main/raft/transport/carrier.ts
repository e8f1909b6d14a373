/**
 * Messages to a member that is reached, many in one call: a call for each costs both sides far more than
 * all that raft does with it.
 *
 * A call is ended soon after it began, however much there is to send, since its answer is what tells that
 * the messages have arrived. They leave when the turn that sent them has done all else, as to begin the
 * write of what they carry, or to apply what they tell of.
 */
import { type Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { CarryRequest } from '../../../shared/wire/gen/replication.ts';
import type { ServiceClient } from '../../rpc/client.ts';
import { Encoded } from '../../rpc/service.ts';

export const CARRIER_LIMITS = {
  /** How long a call takes messages. */
  callMs: 250,
  /** How long a commit mark may wait for an append to ride on. */
  markMs: 2,
} as const;

type Call = ReturnType<ServiceClient<'Replication'>['Carry']>;

export type CarrierOptions = {
  /** Begins a call, which ends when `signal` is aborted. */
  readonly open: (signal: AbortSignal) => Call;
  /** Messages that wait; one more, and the member counts as not reached. */
  readonly queueMax: number;
  /** For each message to be taken, and for the answer. */
  readonly timeoutMs: number;
  /** All messages of a call have arrived. */
  readonly onArrived: () => void;
  /** A call failed, and what waited is dropped. */
  readonly onFailed: (error: unknown) => void;
};

/** Whether a message only says how far the leader has committed. */
const isMark = ({ type, entries }: Message): boolean =>
  type === MessageType.MsgApp && entries.length === 0;

/** Whether a follower that gets `next` needs `mark` no more. */
const tellsToo = (next: Message, mark: Message): boolean =>
  next.type === MessageType.MsgApp && next.term === mark.term && next.commit >= mark.commit;

export class Carrier {
  readonly #options: CarrierOptions;
  readonly #queue: Message[] = [];
  /** Waits for an append to ride on. */
  #mark: Message | undefined;
  #markTimer: NodeJS.Timeout | undefined;
  /** A call is taking messages. */
  #taking = false;
  /** It has done so for long enough. */
  #isOver = false;
  #wake: (() => void) | undefined;
  /** Calls whose answer has not come. */
  readonly #calls = new Set<Promise<void>>();
  #closed = false;

  constructor(options: CarrierOptions) {
    this.#options = options;
  }

  send(message: Message): void {
    const mark = this.#mark;
    this.#mark = undefined;
    if (mark !== undefined && !tellsToo(message, mark)) this.#push(mark);
    if (isMark(message)) this.#hold(message, mark !== undefined);
    else this.#push(message);
  }

  /** The call under way takes no more messages; resolves when all calls until now have had their answer, or failed. */
  async turnOver(): Promise<void> {
    this.#isOver = true;
    this.#wake?.();
    await Promise.all(this.#calls);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#markTimer);
    this.#drop();
    this.#wake?.();
  }

  #hold(mark: Message, alreadyWaits: boolean): void {
    this.#mark = mark;
    this.#markTimer ??= setTimeout(() => this.#release(), CARRIER_LIMITS.markMs);
    if (!alreadyWaits) this.#markTimer.refresh();
  }

  #release(): void {
    const mark = this.#mark;
    this.#mark = undefined;
    if (mark !== undefined) this.#push(mark);
  }

  #push(message: Message): void {
    this.#queue.push(message);
    if (this.#queue.length > this.#options.queueMax) this.#fail(new Error('the queue is full'));
    if (this.#wake !== undefined) process.nextTick(this.#wake);
    if (this.#taking) return;
    this.#taking = true;
    process.nextTick(() => this.#begin());
  }

  #begin(): void {
    if (this.#closed) return;
    const call = this.#carry().finally(() => this.#calls.delete(call));
    this.#calls.add(call);
  }

  /** One call. Never rejects. */
  async #carry(): Promise<void> {
    const late = new AbortController();
    const patience = setTimeout(() => late.abort(), this.#options.timeoutMs);
    try {
      const call = this.#options.open(late.signal);
      await this.#fill(call, patience);
      patience.refresh();
      await call.finish();
      if (!this.#closed) this.#options.onArrived();
    } catch (error) {
      if (!this.#closed) this.#fail(error);
    } finally {
      clearTimeout(patience);
    }
  }

  /** Sends what there is until the call has taken messages for long enough. */
  async #fill(call: Call, patience: NodeJS.Timeout): Promise<void> {
    this.#isOver = false;
    const end = setTimeout(() => {
      this.#isOver = true;
      this.#wake?.();
    }, CARRIER_LIMITS.callMs);
    try {
      while (!this.#isOver && !this.#closed) {
        const message = this.#queue.shift();
        if (message === undefined) {
          await new Promise<void>((resolve) => (this.#wake = resolve));
          this.#wake = undefined;
          continue;
        }
        patience.refresh();
        await call.write(new Encoded(CarryRequest.encode({ message })));
      }
    } finally {
      clearTimeout(end);
      this.#taking = false;
    }
    if (this.#queue.length > 0 && !this.#closed) {
      this.#taking = true;
      this.#begin();
    }
  }

  #fail(error: unknown): void {
    this.#drop();
    this.#options.onFailed(error);
  }

  #drop(): void {
    this.#mark = undefined;
    this.#queue.length = 0;
  }
}
