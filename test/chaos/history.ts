/**
 * What the clients asked and were answered, with when: for the checker of linearizability, for the check
 * of the final state, and for counting.
 */
import { Code, RpcError } from '../../src/main/rpc/errors.ts';
import type { Operation, State, Step } from '../support/linearizability.ts';
import type { Content } from './cells.ts';

export type Outcome =
  | { readonly kind: 'done'; readonly content: Content | null }
  /** Surely nothing was done. */
  | { readonly kind: 'refused' }
  /** It was done, or will be, or not. */
  | { readonly kind: 'lost' };

/** Who asks for what. */
export type Ask = { readonly client: string; readonly key: string };

export type Write = Exclude<Step, { readonly kind: 'read' }>;

export type Counts = {
  writes: number;
  reads: number;
  refused: number;
  lost: number;
  /** The longest time without an accepted write. */
  gapMs: number;
};

const REFUSALS: ReadonlySet<string> = new Set([
  'update out of sequence',
  'object already exists',
  'object does not exist',
  'name conflicts with an existing object',
]);

/** No fault of the network and no kill explains these. */
const NEVER: ReadonlySet<Code> = new Set<Code>([
  Code.PERMISSION_DENIED,
  Code.OUT_OF_RANGE,
  Code.UNIMPLEMENTED,
  Code.INTERNAL,
  Code.DATA_LOSS,
  Code.UNAUTHENTICATED,
]);

function isRefusal({ code, message }: RpcError): boolean {
  if (code === Code.NOT_FOUND || code === Code.ALREADY_EXISTS) return true;
  // Nothing was sent without a connection.
  return message.startsWith('cannot connect to ') || REFUSALS.has(message);
}

/** Texts of one kind count as one. */
const gist = ({ code, message }: RpcError): string =>
  `${code} ${message.replaceAll(/(?:config|service)-\S+|[0-9a-z]{25}|\d[\d.:]+|\/\S+/g, '…')}`;

export class History {
  readonly operations: Operation[] = [];
  /** Failures by their text. */
  readonly failures = new Map<string, number>();
  /** What no answer may say. */
  readonly wrong: string[] = [];
  readonly #waiting = new Set<{ sinceMs: number; done: (atMs: number) => void }>();
  #counts: Counts = noCounts();
  #highestVersion = 0;
  #lastWriteMs = performance.now();

  /** Counts from zero. @returns what is counted from now on */
  count(): Counts {
    this.#closeGap(performance.now());
    return (this.#counts = noCounts());
  }

  /** Resolves with the time of the first accepted write that was asked for at `sinceMs` or later. */
  accepted(sinceMs: number): Promise<number> {
    return new Promise((done) => void this.#waiting.add({ sinceMs, done }));
  }

  async read(ask: Ask, call: () => Promise<Content | null>): Promise<Outcome> {
    const calledAt = performance.now();
    const outcome = await this.#outcome(call);
    if (outcome.kind !== 'done') return outcome;
    this.#counts.reads += 1;
    const found: State = outcome.content?.text ?? null;
    this.#add(ask, { kind: 'read', found }, calledAt, performance.now());
    return outcome;
  }

  async write(ask: Ask, step: Write, call: () => Promise<Content | null>): Promise<Outcome> {
    const calledAt = performance.now();
    const floor = this.#highestVersion;
    const outcome = await this.#outcome(call);
    if (outcome.kind === 'refused') return outcome;
    const isDone = outcome.kind === 'done';
    const answeredAt = isDone ? performance.now() : Infinity;
    this.#add(ask, step, calledAt, answeredAt);
    if (isDone) {
      this.#version(ask.key, floor, outcome.content);
      this.#counts.writes += 1;
      this.#closeGap(answeredAt);
      this.#tellWaiting(calledAt, answeredAt);
    }
    return outcome;
  }

  /** Versions are indexes of one log: what is written later has a higher one. */
  #version(key: string, floor: number, content: Content | null): void {
    if (content === null) return;
    const { version } = content;
    if (version <= floor) this.wrong.push(`${key}: version ${version} follows version ${floor}`);
    this.#highestVersion = Math.max(this.#highestVersion, version);
  }

  #closeGap(nowMs: number): void {
    this.#counts.gapMs = Math.max(this.#counts.gapMs, nowMs - this.#lastWriteMs);
    this.#lastWriteMs = nowMs;
  }

  #tellWaiting(calledAt: number, answeredAt: number): void {
    for (const waiting of this.#waiting) {
      if (calledAt < waiting.sinceMs) continue;
      this.#waiting.delete(waiting);
      waiting.done(answeredAt);
    }
  }

  #add({ client, key }: Ask, step: Step, calledAt: number, answeredAt: number): void {
    this.operations.push({ key, client, step, calledAt, answeredAt });
  }

  async #outcome(call: () => Promise<Content | null>): Promise<Outcome> {
    try {
      return { kind: 'done', content: await call() };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const text = gist(error);
      this.failures.set(text, (this.failures.get(text) ?? 0) + 1);
      if (NEVER.has(error.code)) this.wrong.push(`an answer with status ${text}`);
      const kind = isRefusal(error) ? 'refused' : 'lost';
      this.#counts[kind] += 1;
      return { kind };
    }
  }
}

const noCounts = (): Counts => ({ writes: 0, reads: 0, refused: 0, lost: 0, gapMs: 0 });
