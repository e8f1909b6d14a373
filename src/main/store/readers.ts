/** The two ways to read a table of whole objects: what is committed, and the head. */
import type { IndexedSet, Entry } from './indexed-set.ts';
import type { ObjectCore } from './object-table.ts';
import type { Stored } from './schema.ts';

/** `ObjectTable` for any kind; the index names are checked where it is used. */
abstract class ObjectReader<T extends Stored> {
  abstract readonly size: number;
  abstract readonly edition: object;
  protected abstract entry(id: string): Entry<T> | undefined;
  protected abstract look(lookUp: (set: IndexedSet<T>) => Iterable<Entry<T>>): Iterable<Entry<T>>;

  get(id: string): T | undefined {
    return this.entry(id)?.object;
  }

  byName(name: string): T | undefined {
    const wanted = name.toLowerCase();
    for (const entry of this.look((set) => set.byName(wanted))) return entry.object;
    return undefined;
  }

  find(index: string, key: string): readonly T[] {
    return objects(this.look((set) => set.find(index, key)));
  }

  byIdPrefix(prefix: string): readonly T[] {
    return objects(this.look((set) => set.byIdPrefix(prefix)));
  }

  byNamePrefix(prefix: string): readonly T[] {
    const wanted = prefix.toLowerCase();
    return objects(this.look((set) => set.byNamePrefix(wanted)));
  }

  byCustom(key: string, value: string): readonly T[] {
    return objects(this.look((set) => set.byCustom(key, value)));
  }

  all(): readonly T[] {
    return objects(this.look((set) => set.values()));
  }
}

function objects<T extends Stored>(entries: Iterable<Entry<T>>): T[] {
  const found: T[] = [];
  for (const entry of entries) found.push(entry.object);
  return found;
}

export class CommittedReader<T extends Stored> extends ObjectReader<T> {
  readonly #core: ObjectCore<T>;

  constructor(core: ObjectCore<T>) {
    super();
    this.#core = core;
  }

  get size(): number {
    return this.#core.committed.size;
  }

  get edition(): object {
    return this.#core.committed.edition;
  }

  protected entry(id: string): Entry<T> | undefined {
    return this.#core.committed.get(id);
  }

  protected look(lookUp: (set: IndexedSet<T>) => Iterable<Entry<T>>): Iterable<Entry<T>> {
    return lookUp(this.#core.committed);
  }
}

export class HeadReader<T extends Stored> extends ObjectReader<T> {
  readonly #core: ObjectCore<T>;

  constructor(core: ObjectCore<T>) {
    super();
    this.#core = core;
  }

  get size(): number {
    return this.#core.headSize;
  }

  get edition(): object {
    return this.#core.headEdition;
  }

  protected entry(id: string): Entry<T> | undefined {
    return this.#core.headGet(id);
  }

  protected look(lookUp: (set: IndexedSet<T>) => Iterable<Entry<T>>): Iterable<Entry<T>> {
    return this.#core.head(lookUp);
  }
}
