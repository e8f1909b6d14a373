/**
 * What clients were told, held against what a manager knows after it was killed: an acknowledged write
 * is there, one that was cut off is there or not, and nothing else is.
 */
import assert from 'node:assert/strict';

/** An object as a manager tells it; `text` is its content, `version` the index of its last change. */
export type Item = {
  readonly id: string;
  readonly name: string;
  readonly text: string;
  readonly version: number;
};

/** One kind of object. */
export type Shelf = {
  readonly kind: string;
  readonly create: (name: string, text: string) => Promise<Item>;
  readonly update: (id: string, text: string) => Promise<Item>;
  readonly remove: (id: string) => Promise<void>;
  readonly list: () => Promise<readonly Item[]>;
};

/** One object of which somebody has been told, or may have been. */
type Line = {
  readonly name: string;
  id: string | undefined;
  version: number;
  /** The contents that it may have; `undefined` stands for its absence. */
  texts: readonly (string | undefined)[];
};

export class Ledger {
  readonly #shelf: Shelf;
  readonly #lines = new Map<string, Line>();
  /** The highest version that anybody was told. */
  #highest = 0;
  #acknowledged = 0;

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
  }

  get kind(): string {
    return this.#shelf.kind;
  }

  /** Writes that were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  async create(name: string, text: string): Promise<void> {
    const line: Line = { name, id: undefined, version: 0, texts: [undefined, text] };
    this.#lines.set(name, line);
    await this.#written(line, text, () => this.#shelf.create(name, text));
  }

  async update(name: string, text: string): Promise<void> {
    const { line, id } = this.#known(name);
    line.texts = [...line.texts, text];
    await this.#written(line, text, () => this.#shelf.update(id, text));
  }

  async remove(name: string): Promise<void> {
    const { line, id } = this.#known(name);
    line.texts = [...line.texts, undefined];
    await this.#shelf.remove(id);
    this.#acknowledged += 1;
    line.texts = [undefined];
  }

  /** The names, among those that `mine` accepts, of objects that are there. */
  present(mine: (name: string) => boolean): string[] {
    const lines = [...this.#lines.values()].filter((line) => mine(line.name));
    return lines.filter((line) => line.texts[0] !== undefined).map((line) => line.name);
  }

  /** Compares with what the manager knows, and from here on knows what became of each write. */
  async check(): Promise<void> {
    const items = await this.#shelf.list();
    const byName = new Map(items.map((item) => [item.name, item]));
    assert.equal(byName.size, items.length, `two ${this.kind}s share a name`);
    for (const { name } of items) assert.ok(this.#lines.has(name), `nobody created ${name}`);
    for (const line of this.#lines.values()) this.#checkLine(line, byName.get(line.name));
  }

  #checkLine(line: Line, item: Item | undefined): void {
    const { name, texts, version, id } = line;
    const what = `${this.kind} ${name} (version ${version})`;
    const may = texts.map((text) => text ?? 'absent').join(' or ');
    const is = item === undefined ? 'absent' : `${item.text} at version ${item.version}`;
    assert.ok(texts.includes(item?.text), `${what} is ${is}, but was told to be ${may}`);
    line.texts = [item?.text];
    if (item === undefined) return;
    assert.ok(item.version >= version, `${what} went back: ${is}`);
    if (id !== undefined) assert.equal(item.id, id, `${what} has another id`);
    line.id = item.id;
    line.version = item.version;
  }

  async #written(line: Line, text: string, write: () => Promise<Item>): Promise<void> {
    const floor = this.#highest;
    const { id, version } = await write();
    assert.ok(version > floor, `${line.name}: version ${version} follows version ${floor}`);
    this.#acknowledged += 1;
    this.#highest = Math.max(this.#highest, version);
    line.id = id;
    line.version = version;
    line.texts = [text];
  }

  #known(name: string): { readonly line: Line; readonly id: string } {
    const line = this.#lines.get(name);
    assert.ok(line?.id !== undefined, `${this.kind} ${name} is not known to be there`);
    return { line, id: line.id };
  }
}
