/** The one timer of a thread: wakes when the next entry of the agenda is due. */
import { Agenda } from './core/agenda.ts';

/** How many entries are carried out before the event loop has its turn. */
const BITE = 1_000;

export class Ticker {
  readonly agenda: Agenda = new Agenda((dueMs) => this.#arm(dueMs));
  readonly #nowMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  #armedForMs = Infinity;
  #stopped = false;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #arm(dueMs: number): void {
    if (this.#stopped || dueMs >= this.#armedForMs) return;
    clearTimeout(this.#timer);
    this.#armedForMs = dueMs;
    const delayMs = Math.min(Math.max(dueMs - this.#nowMs(), 0), 0x7fff_ffff);
    this.#timer = setTimeout(() => {
      this.#armedForMs = Infinity;
      this.agenda.runDue(this.#nowMs(), BITE);
      const next = this.agenda.nextDueMs();
      if (next !== undefined) this.#arm(next);
    }, delayMs);
  }
}
