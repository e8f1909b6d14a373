/** Clients that ask one manager for writes until one is accepted. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagerProcess } from '../support/managers.ts';
import { shelfOf } from './cells.ts';
import type { History, Outcome } from './history.ts';

/** Between two calls of a probe: what is told is as exact as this. */
const PERIOD_MS = 20;
const PATIENCE_MS = 60_000;

export class Probes {
  readonly #history: History;
  #count = 0;

  constructor(history: History) {
    this.#history = history;
  }

  /**
   * The moment at which the first write was accepted of those asked for since `sinceMs`, at any of
   * these managers. @throws Error when none is for a minute
   */
  async firstWrite(managers: readonly ManagerProcess[], sinceMs: number): Promise<number> {
    let firstMs: number | undefined;
    const first = this.#history.accepted(sinceMs).then((atMs) => (firstMs = atMs));
    const late = Promise.all(
      managers.map((manager) => this.#until(manager, () => firstMs !== undefined)),
    );
    await Promise.race([first, late]);
    if (firstMs === undefined) throw new Error(`no write was accepted for ${PATIENCE_MS} ms`);
    return firstMs;
  }

  /** Resolves once each of these managers accepts writes. @throws Error when one does not for a minute */
  async allAccept(managers: readonly ManagerProcess[]): Promise<void> {
    const accepted = await Promise.all(managers.map((one) => this.#until(one, () => false)));
    const silent = managers.filter((_, i) => accepted[i] === false);
    if (silent.length === 0) return;
    const tails = silent.map(({ daemon }) => daemon.tail());
    throw new Error([`no write is accepted by these:`, ...tails].join('\n'));
  }

  /** Asks for writes until one is accepted. @returns false when none was */
  async #until(manager: ManagerProcess, isOver: () => boolean): Promise<boolean> {
    const giveUpMs = performance.now() + PATIENCE_MS;
    while (!isOver() && performance.now() < giveUpMs) {
      const { kind } = await this.#write(manager);
      if (kind === 'done') return true;
      await sleep(PERIOD_MS);
    }
    return false;
  }

  #write({ name, control }: ManagerProcess): Promise<Outcome> {
    this.#count += 1;
    const key = `config-probe-${this.#count}`;
    const value = `probe.${this.#count}`;
    const step = { kind: 'create', value } as const;
    return this.#history.write({ client: `probe-at-${name}`, key }, step, () =>
      shelfOf(key).create(control, key, value),
    );
  }
}
