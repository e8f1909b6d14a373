/**
 * How many active tasks of a service are on a node, for the pairs where it is not none: entries of
 * whole numbers, chained by service, so that a service's nodes can be listed. Who counts a task keeps
 * the entry. A pair is looked up along the chain while that is short; a service with a longer one
 * gets its entries into a hash table when it is first asked for a pair.
 */
import { grownInt32, grownUint8 } from '../../../shared/kit/columns.ts';

const NONE = -1;

/** An entry: the node, then these. Four words, of which none lies in two lines of the processor's cache. */
const ENTRY = 4;
const COUNT = 1;
/** Next entry of the service, or of the free list. */
const NEXT = 2;
const PREVIOUS = 3;

/** What a walk along a service does not need: the service, and the next entry of the hash bucket. */
const OWNER = 2;
const NEXT_IN_BUCKET = 1;

/** Length up to which a chain is walked. */
const WALKED_MAX = 8;

export class Tally {
  #entries = new Int32Array(64 * ENTRY);
  #owners = new Int32Array(64 * OWNER);
  /** First entry of each service, one too high; 0 for none. */
  #first = new Int32Array(64);
  /** Entries of each service. */
  #length = new Int32Array(64);
  #isHashed = new Uint8Array(64);
  /** First entry of each hash bucket, one too high; the length is a power of two. */
  #buckets = new Int32Array(256);
  #hashed = 0;
  #used = 0;
  #live = 0;
  #free = NONE;

  /** Makes room at once for all services up to the given one. */
  reserveServices(service: number): void {
    if (service < this.#first.length) return;
    this.#first = grownInt32(this.#first, service);
    this.#length = grownInt32(this.#length, service);
    this.#isHashed = grownUint8(this.#isHashed, service);
  }

  /** Makes room at once for so many pairs more. */
  reservePairs(count: number): void {
    // Entries that are free again are taken first.
    this.#entries = grownInt32(this.#entries, (this.#live + count) * ENTRY - 1);
    this.#owners = grownInt32(this.#owners, (this.#live + count) * OWNER - 1);
  }

  /** Number of pairs that have a task. */
  get pairs(): number {
    return this.#live;
  }

  get(service: number, node: number): number {
    const entry = this.#find(service, node);
    return entry === NONE ? 0 : this.countAt(entry);
  }

  /** Counts a task. @returns its entry */
  count(service: number, node: number): number {
    const entry = this.#find(service, node);
    if (entry === NONE) return this.insert(service, node);
    this.add(entry, 1);
    return entry;
  }

  /** Counts the first task of a pair. @returns its entry */
  insert(service: number, node: number): number {
    if (service >= this.#first.length) this.reserveServices(service);
    const entry = this.#newEntry();
    const entries = this.#entries;
    const at = entry * ENTRY;
    const first = (this.#first[service] ?? 0) - 1;
    this.#owners[entry * OWNER] = service;
    entries[at] = node;
    entries[at + COUNT] = 1;
    entries[at + NEXT] = first;
    entries[at + PREVIOUS] = NONE;
    if (first !== NONE) entries[first * ENTRY + PREVIOUS] = entry;
    this.#first[service] = entry + 1;
    this.#length[service] = (this.#length[service] ?? 0) + 1;
    this.#live++;
    if (this.#isHashed[service] === 1) this.#hash(entry);
    return entry;
  }

  /** Changes the count of an entry; one that comes to 0 is no more. */
  add(entry: number, change: number): void {
    const at = entry * ENTRY + COUNT;
    const count = (this.#entries[at] ?? 0) + change;
    this.#entries[at] = count;
    if (count === 0) this.#remove(entry);
  }

  /** Walks the nodes of a service: an entry to begin with, or -1. */
  first(service: number): number {
    return (this.#first[service] ?? 0) - 1;
  }

  /** The entry after this one, or -1. */
  next(entry: number): number {
    return this.#entries[entry * ENTRY + NEXT] ?? NONE;
  }

  /** How many nodes a service has. */
  nodes(service: number): number {
    return this.#length[service] ?? 0;
  }

  /**
   * Lists the nodes of a service, newest pair first; and writes for each, into a column of two words by
   * node, the count and the entry. The list and the column must have room.
   */
  list(service: number, nodes: Int32Array, counted: Int32Array): void {
    const entries = this.#entries;
    let entry = this.first(service);
    for (let i = 0; entry !== NONE; i++) {
      const at = entry * ENTRY;
      const node = entries[at]!;
      nodes[i] = node;
      counted[2 * node] = entries[at + COUNT]!;
      counted[2 * node + 1] = entry;
      entry = entries[at + NEXT]!;
    }
  }

  nodeAt(entry: number): number {
    return this.#entries[entry * ENTRY] ?? 0;
  }

  countAt(entry: number): number {
    return this.#entries[entry * ENTRY + COUNT] ?? 0;
  }

  #find(service: number, node: number): number {
    const length = this.#length[service] ?? 0;
    if (length === 0) return NONE;
    if (this.#isHashed[service] !== 1) {
      if (length <= WALKED_MAX) return this.#walk(service, node);
      this.#hashService(service);
    }
    const owners = this.#owners;
    let entry = (this.#buckets[this.#bucket(service, node)] ?? 0) - 1;
    while (entry !== NONE) {
      const at = entry * OWNER;
      if (owners[at] === service && this.nodeAt(entry) === node) return entry;
      entry = owners[at + NEXT_IN_BUCKET] ?? NONE;
    }
    return NONE;
  }

  #walk(service: number, node: number): number {
    let entry = this.first(service);
    while (entry !== NONE && this.nodeAt(entry) !== node) entry = this.next(entry);
    return entry;
  }

  #newEntry(): number {
    if (this.#free !== NONE) {
      const entry = this.#free;
      this.#free = this.next(entry);
      return entry;
    }
    if ((this.#used + 1) * ENTRY > this.#entries.length) this.reservePairs(1);
    return this.#used++;
  }

  #remove(entry: number): void {
    const entries = this.#entries;
    const at = entry * ENTRY;
    const service = this.#owners[entry * OWNER] ?? 0;
    if (this.#isHashed[service] === 1) this.#unhash(entry);
    const next = entries[at + NEXT] ?? NONE;
    const previous = entries[at + PREVIOUS] ?? NONE;
    if (next !== NONE) entries[next * ENTRY + PREVIOUS] = previous;
    if (previous === NONE) this.#first[service] = next + 1;
    else entries[previous * ENTRY + NEXT] = next;
    const length = (this.#length[service] ?? 0) - 1;
    this.#length[service] = length;
    if (length === 0) this.#isHashed[service] = 0;
    this.#live--;
    entries[at + NEXT] = this.#free;
    this.#free = entry;
  }

  #hashService(service: number): void {
    this.#isHashed[service] = 1;
    for (let entry = this.first(service); entry !== NONE; entry = this.next(entry)) {
      this.#hash(entry);
    }
  }

  #hash(entry: number): void {
    if (this.#hashed * 2 >= this.#buckets.length) this.#rehash();
    this.#hashed++;
    this.#link(entry);
  }

  #bucket(service: number, node: number): number {
    const mixed = Math.imul(service, 0x9e3779b1) ^ Math.imul(node, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & (this.#buckets.length - 1);
  }

  #link(entry: number): void {
    const bucket = this.#bucketOf(entry);
    this.#owners[entry * OWNER + NEXT_IN_BUCKET] = (this.#buckets[bucket] ?? 0) - 1;
    this.#buckets[bucket] = entry + 1;
  }

  #unhash(entry: number): void {
    this.#hashed--;
    const owners = this.#owners;
    const bucket = this.#bucketOf(entry);
    const after = owners[entry * OWNER + NEXT_IN_BUCKET] ?? NONE;
    let at = (this.#buckets[bucket] ?? 0) - 1;
    if (at === entry) {
      this.#buckets[bucket] = after + 1;
      return;
    }
    while (owners[at * OWNER + NEXT_IN_BUCKET] !== entry) {
      at = owners[at * OWNER + NEXT_IN_BUCKET] ?? NONE;
    }
    owners[at * OWNER + NEXT_IN_BUCKET] = after;
  }

  #bucketOf(entry: number): number {
    return this.#bucket(this.#owners[entry * OWNER] ?? 0, this.nodeAt(entry));
  }

  #rehash(): void {
    const before = this.#buckets;
    const owners = this.#owners;
    this.#buckets = new Int32Array(before.length * 2);
    for (const first of before) {
      for (let entry = first - 1; entry !== NONE;) {
        const next = owners[entry * OWNER + NEXT_IN_BUCKET] ?? NONE;
        this.#link(entry);
        entry = next;
      }
    }
  }
}
