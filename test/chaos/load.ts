/** Clients at work on managers, until they are stopped. */
import { Random } from '../../src/shared/kit/random.ts';
import type { ManagerProcess } from '../support/managers.ts';
import { contended } from './cells.ts';
import { ChaosClient } from './client.ts';
import type { History } from './history.ts';

/** Clients that ask any manager; besides, each manager has a writer and a reader that ask no other. */
const ROAMING = 5;
/** For as long the clients contend for the same cells. */
const GENERATION_MS = 15_000;

let loads = 0;

export class Load {
  #isOver = false;
  readonly #working: Promise<unknown>;

  constructor(managers: readonly ManagerProcess[], history: History, random: Random) {
    // Names of clients stand in what they write: no text may come twice.
    loads += 1;
    const client = (
      name: string,
      kind: 'writer' | 'reader',
      asks: readonly ManagerProcess[],
    ): ChaosClient =>
      new ChaosClient({
        name: `${loads}-${name}`,
        kind,
        managers: asks,
        history,
        random: new Random(BigInt(random.next())),
        contended: () => contended(Math.floor(performance.now() / GENERATION_MS)),
      });
    const clients = [
      ...managers.map((manager) => client(`at-${manager.name}`, 'writer', [manager])),
      ...managers.map((manager) => client(`looks-at-${manager.name}`, 'reader', [manager])),
      ...Array.from({ length: ROAMING }, (_, i) => client(`any-${i}`, 'writer', managers)),
    ];
    this.#working = Promise.all(clients.map((one) => one.run(() => this.#isOver)));
  }

  /** Resolves when the last call has been answered. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#working;
  }
}
