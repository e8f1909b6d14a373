/**
 * How many active tasks of a service are on a node, for the pairs where it is not none: a hash table
 * in typed arrays whose entries of one service are chained, so that a service's nodes can be listed.
 */
import { grownInt32 } from '../../../shared/kit/columns.ts';

const NONE = -1;

export class Tally {
  /** First entry of each hash bucket; the length is a power of two. */
  #buckets = new Int32Array(256).fill(NONE);
  #service = new Int32Array(64);
  #node = new Int32Array(64);
  #count = new Int32Array(64);
  /** Next entry of the same bucket, or of the free list. */
  #nextInBucket = new Int32Array(64);
  #nextOfService = new Int32Array(64);
  #previousOfService = new Int32Array(64);
  #firstOfService = new Int32Array(64).fill(NONE);
  #used = 0;
  #live = 0;
  #free = NONE;

  /** Number of pairs that have a task. */
  get pairs(): number {
    return this.#live;
  }

  get(service: number, node: number): number {
    const entry = this.#find(service, node);
    return entry === NONE ? 0 : (this.#count[entry] ?? 0);
  }

  /** Sets the count of a pair; 0 forgets the pair. */
  set(service: number, node: number, count: number): void {
    const entry = this.#find(service, node);
    if (entry === NONE) {
      if (count > 0) this.#insert(service, node, count);
    } else if (count === 0) {
      this.#remove(entry);
    } else {
      this.#count[entry] = count;
    }
  }

  add(service: number, node: number, change: number): void {
    this.set(service, node, this.get(service, node) + change);
  }

  /** Walks the nodes of a service: an entry to begin with, or -1. */
  first(service: number): number {
    return this.#firstOfService[service] ?? NONE;
  }

  /** The entry after this one, or -1. Setting counts while walking is allowed above 0 only. */
  next(entry: number): number {
    return this.#nextOfService[entry] ?? NONE;
  }

  nodeAt(entry: number): number {
    return this.#node[entry] ?? 0;
  }

  countAt(entry: number): number {
    return this.#count[entry] ?? 0;
  }

  #bucket(service: number, node: number): number {
    const mixed = Math.imul(service, 0x9e3779b1) ^ Math.imul(node, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & (this.#buckets.length - 1);
  }

  #find(service: number, node: number): number {
    let entry = this.#buckets[this.#bucket(service, node)] ?? NONE;
    while (entry !== NONE && (this.#service[entry] !== service || this.#node[entry] !== node)) {
      entry = this.#nextInBucket[entry] ?? NONE;
    }
    return entry;
  }

  #insert(service: number, node: number, count: number): void {
    if (this.#live * 2 >= this.#buckets.length) this.#rehash(this.#buckets.length * 2);
    const entry = this.#newEntry();
    this.#live++;
    this.#service[entry] = service;
    this.#node[entry] = node;
    this.#count[entry] = count;
    this.#link(entry);
    this.#firstOfService = grownInt32(this.#firstOfService, service, NONE);
    const first = this.#firstOfService[service] ?? NONE;
    this.#nextOfService[entry] = first;
    this.#previousOfService[entry] = NONE;
    if (first !== NONE) this.#previousOfService[first] = entry;
    this.#firstOfService[service] = entry;
  }

  #newEntry(): number {
    if (this.#free !== NONE) {
      const entry = this.#free;
      this.#free = this.#nextInBucket[entry] ?? NONE;
      return entry;
    }
    const entry = this.#used++;
    if (entry === this.#service.length) {
      this.#service = grownInt32(this.#service, entry);
      this.#node = grownInt32(this.#node, entry);
      this.#count = grownInt32(this.#count, entry);
      this.#nextInBucket = grownInt32(this.#nextInBucket, entry);
      this.#nextOfService = grownInt32(this.#nextOfService, entry);
      this.#previousOfService = grownInt32(this.#previousOfService, entry);
    }
    return entry;
  }

  #link(entry: number): void {
    const bucket = this.#bucket(this.#service[entry] ?? 0, this.#node[entry] ?? 0);
    this.#nextInBucket[entry] = this.#buckets[bucket] ?? NONE;
    this.#buckets[bucket] = entry;
  }

  #remove(entry: number): void {
    this.#live--;
    this.#unlink(entry);
    const next = this.#nextOfService[entry] ?? NONE;
    const previous = this.#previousOfService[entry] ?? NONE;
    if (next !== NONE) this.#previousOfService[next] = previous;
    if (previous === NONE) this.#firstOfService[this.#service[entry] ?? 0] = next;
    else this.#nextOfService[previous] = next;
    this.#count[entry] = 0;
    this.#nextInBucket[entry] = this.#free;
    this.#free = entry;
  }

  #unlink(entry: number): void {
    const bucket = this.#bucket(this.#service[entry] ?? 0, this.#node[entry] ?? 0);
    const after = this.#nextInBucket[entry] ?? NONE;
    let at = this.#buckets[bucket] ?? NONE;
    if (at === entry) {
      this.#buckets[bucket] = after;
      return;
    }
    while (this.#nextInBucket[at] !== entry) at = this.#nextInBucket[at] ?? NONE;
    this.#nextInBucket[at] = after;
  }

  #rehash(length: number): void {
    this.#buckets = new Int32Array(length).fill(NONE);
    for (let entry = 0; entry < this.#used; entry++) {
      if ((this.#count[entry] ?? 0) > 0) this.#link(entry);
    }
  }
}
