/**
 * Clients in closed loops: each writes an object of its own anew, waits for the commit, and writes again.
 * So the store keeps its size however long it takes, and it is known what has to stand in it.
 */
import { realEnv } from '../../src/main/env.ts';
import type { ReplicatedStore } from '../../src/main/store/store.ts';
import { Config } from '../../src/shared/wire/gen/objects.ts';
import type { RawFile } from './disk.ts';
import { digestOf, numberedBytes, type Contents } from './member.ts';

const PAYLOAD_BYTES = 200;

/** Milliseconds of commits, and of the disk's own synced writes where those take turns with them. */
export type Times = { readonly commits: number[]; readonly raw: number[] };

export class Clients {
  readonly #store: ReplicatedStore;
  /** Of each client's object: its id and the last number in it that was acknowledged. */
  readonly #objects: { readonly id: string; acknowledged: number }[] = [];

  constructor(store: ReplicatedStore) {
    this.#store = store;
  }

  /** What has to stand in the log, when nothing is in flight. */
  get acknowledged(): Contents {
    const written = this.#objects.filter(({ acknowledged }) => acknowledged > 0);
    return digestOf(written.map(({ id, acknowledged }) => ({ id, number: acknowledged })));
  }

  /** So many clients for some time. A single one takes turns with the disk itself, which has its moods. */
  async run(count: number, ms: number, file: RawFile): Promise<Times> {
    while (this.#objects.length < count)
      this.#objects.push({ id: realEnv.newId(), acknowledged: 0 });
    const commits: number[] = [];
    const raw: number[] = [];
    const endMs = performance.now() + ms;
    const client = async (index: number): Promise<void> => {
      while (performance.now() < endMs) {
        if (count === 1) raw.push(file.sync());
        const startMs = performance.now();
        await this.#write(index);
        commits.push(performance.now() - startMs);
      }
    };
    await Promise.all(Array.from({ length: count }, (_, index) => client(index)));
    return { commits, raw };
  }

  /** Writes the next number; resolves when it is committed. */
  async #write(index: number): Promise<void> {
    const object = this.#objects[index];
    if (object === undefined) throw new RangeError(`there is no client ${index}`);
    const number = object.acknowledged + 1;
    const data = numberedBytes(number, PAYLOAD_BYTES);
    await this.#store.update(({ configs }) => {
      const known = configs.get(object.id);
      const spec = { annotations: { name: object.id }, data };
      const written = Config.create({ id: object.id, spec });
      if (known === undefined) configs.create(written);
      else configs.update({ ...known, spec: written.spec });
    });
    object.acknowledged = number;
  }
}
