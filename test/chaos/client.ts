/** A client: does one thing after the other, at any manager or always at one, and forgets what it is unsure of. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../src/shared/kit/random.ts';
import type { ManagerProcess } from '../support/managers.ts';
import { type Content, shelfOf } from './cells.ts';
import type { History, Outcome } from './history.ts';

/** The longest time between an answer and the next request. */
const THINK_MS = 100;
/** After a failure. */
const FAILED_MS = 200;

type Action = 'read' | 'create' | 'update' | 'remove';

export type ClientOptions = {
  readonly name: string;
  readonly history: History;
  readonly random: Random;
  /** A reader writes nothing, and thinks little. */
  readonly kind: 'writer' | 'reader';
  /** Those that it asks. */
  readonly managers: readonly ManagerProcess[];
  /** The cells for which clients contend at present. */
  readonly contended: () => readonly string[];
};

export class ChaosClient {
  readonly #options: ClientOptions;
  readonly #known = new Map<string, Content | null>();
  #count = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  async run(isOver: () => boolean): Promise<void> {
    const { kind } = this.#options;
    const thinkMs = kind === 'reader' ? THINK_MS / 4 : THINK_MS;
    while (!isOver()) {
      const outcome = await (kind === 'reader' ? this.#look() : this.#one());
      await sleep(outcome.kind === 'lost' ? FAILED_MS : this.#below(thinkMs));
    }
  }

  #look(): Promise<Outcome> {
    return this.#ask(this.#pick(this.#options.contended()), 'read');
  }

  async #one(): Promise<Outcome> {
    this.#count += 1;
    const { name } = this.#options;
    // Some cells are written once, and stay as they are.
    if (this.#below(8) === 0) return this.#ask(`config-${name}-${this.#count}`, 'create');
    const key = this.#pick(this.#options.contended());
    const outcome = await this.#ask(key, this.#choose(key));
    // Whatever was accepted shows at once, at every other manager.
    if (outcome.kind === 'done' && this.#below(2) === 0) await this.#ask(key, 'read');
    return outcome;
  }

  #choose(key: string): Action {
    const known = this.#known.get(key);
    if (known === undefined || this.#below(10) < 3) return 'read';
    if (known === null) return 'create';
    return this.#below(10) === 0 ? 'remove' : 'update';
  }

  async #ask(key: string, kind: Action): Promise<Outcome> {
    const outcome = await this.#call(key, kind, this.#pick(this.#options.managers));
    if (outcome.kind === 'done') this.#known.set(key, outcome.content);
    else this.#known.delete(key);
    return outcome;
  }

  #call(key: string, kind: Action, { control }: ManagerProcess): Promise<Outcome> {
    const { name, history } = this.#options;
    const ask = { client: name, key };
    const shelf = shelfOf(key);
    const value = `${name}.${this.#count}`;
    const before = this.#known.get(key) ?? undefined;
    if (kind === 'create') {
      return history.write(ask, { kind, value }, () => shelf.create(control, key, value));
    }
    if (kind === 'read' || before === undefined) {
      return history.read(ask, () => shelf.read(control, key));
    }
    if (kind === 'remove') {
      return history.write(ask, { kind }, async () => {
        await shelf.remove(control, before.id);
        return null;
      });
    }
    const step = { kind, expected: before.text, value } as const;
    return history.write(ask, step, () => shelf.update(control, key, { before, text: value }));
  }

  #below(limit: number): number {
    return this.#options.random.below(limit);
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[this.#below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}
