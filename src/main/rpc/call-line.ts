/**
 * When calls begin that have been read.
 *
 * One poll of the event loop may bring the calls of a thousand nodes, and to answer them all is one long
 * turn. So once those that began in a turn have taken their share of it, the others wait in line for the
 * next turns, and whoever comes after them stands behind them. Calls that must not be late pass the line:
 * what they cost is counted all the same, so they shorten the turn of the others.
 *
 * The line needs no limit of its own: each call in it is a stream that its connection has open, and a
 * client waits for an answer before it asks much more.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import type { Method } from './service.ts';

/** What calls may take of one turn; the one that reaches it is finished. */
export const TURN_MS = 10;

/**
 * A sign of life must not wait for the work of others, and raft's messages neither: their order counts,
 * and leadership depends on them.
 */
const PROMPT: ReadonlySet<string> = new Set([
  SERVICES.Dispatcher.Heartbeat.path,
  SERVICES.Health.Check.path,
  ...Object.values(SERVICES.Raft).map(({ path }) => path),
]);

export const isPrompt = ({ path }: Pick<Method, 'path'>): boolean => PROMPT.has(path);

/** The event loop and its clock. */
type Turns = { readonly nowMs: () => number; readonly nextTurn: (run: () => void) => unknown };

const REAL: Turns = { nowMs: () => performance.now(), nextTurn: setImmediate };

export class CallLine {
  readonly #turns: Turns;
  #waiting: (() => void)[] = [];
  #spentMs = 0;
  #turnIsBooked = false;

  constructor(turns: Turns = REAL) {
    this.#turns = turns;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Runs `begin`, which must not throw: now, or in a later turn when its time has come. */
  add(begin: () => void, prompt = false): void {
    if (!prompt && (this.#waiting.length > 0 || this.#spentMs >= TURN_MS))
      this.#waiting.push(begin);
    else this.#run(begin);
    this.#bookTurn();
  }

  #run(begin: () => void): void {
    const fromMs = this.#turns.nowMs();
    begin();
    this.#spentMs += this.#turns.nowMs() - fromMs;
  }

  #bookTurn(): void {
    if (this.#turnIsBooked) return;
    this.#turnIsBooked = true;
    this.#turns.nextTurn(() => this.#onTurn());
  }

  #onTurn(): void {
    this.#turnIsBooked = false;
    this.#spentMs = 0;
    const waiting = this.#waiting;
    let begun = 0;
    while (begun < waiting.length && this.#spentMs < TURN_MS) this.#run(waiting[begun++]!);
    if (begun === 0) return;
    // What came while they ran stands at the end of the same list.
    this.#waiting = waiting.slice(begun);
    this.#bookTurn();
  }
}
