/**
 * The addresses of one network in one family: its subnets in order, and those that wait for one.
 */
import assert from 'node:assert/strict';
import type { Address, AddressFamily } from '../../../shared/model/addresses.ts';
import type { AddressPool } from './address-pool.ts';
import type { Agenda } from './agenda.ts';
import { type Waiter, WaitList, WaitQueue } from './wait-list.ts';

/** An address that somebody holds. */
export type Held = {
  readonly space: AddressSpace;
  readonly pool: AddressPool;
  readonly value: bigint;
};

export class AddressSpace {
  readonly family: AddressFamily;
  readonly networkName: string;
  readonly pools: readonly AddressPool[];
  /** Those who wait for any address. */
  readonly queue = new WaitQueue();
  /** Those who wait for one address in particular. */
  readonly #wanted = new Map<bigint, WaitList>();
  readonly #agenda: Agenda;

  constructor(networkName: string, pools: readonly AddressPool[], agenda: Agenda) {
    const family = pools[0]?.family;
    assert.ok(family !== undefined, 'a space has a subnet');
    this.family = family;
    this.networkName = networkName;
    this.pools = pools;
    this.#agenda = agenda;
  }

  get total(): number {
    return this.pools.reduce((sum, pool) => sum + pool.total, 0);
  }

  get used(): number {
    return this.pools.reduce((sum, pool) => sum + pool.used, 0);
  }

  get hasFree(): boolean {
    return this.pools.some((pool) => pool.used < pool.total);
  }

  /** Why there is none to be had. */
  describeFull(): string {
    return `no free address in network ${this.networkName} (${this.used} of ${this.total} in use)`;
  }

  /** The pool whose subnet the address lies in. */
  poolOf(address: Address): AddressPool | undefined {
    return this.pools.find((pool) => pool.contains(address));
  }

  /** Takes the next free address; there must be one. */
  take(): Held {
    const pool = this.pools.find(({ used, total }) => used < total);
    const value = pool?.take();
    assert.ok(pool !== undefined && value !== undefined, `${this.networkName} has a free address`);
    return { space: this, pool, value };
  }

  release(held: Held): void {
    const { pool, value } = held;
    if (!pool.release(value)) return;
    this.#agenda.roomy.add(this);
    const list = this.#wanted.get(value);
    if (list !== undefined) this.#agenda.singles.push({ isFree: () => !pool.has(value), list });
  }

  /** The list of those who wait for this address. */
  wantedList(value: bigint): WaitList {
    let list = this.#wanted.get(value);
    if (list === undefined) {
      list = new WaitList();
      this.#wanted.set(value, list);
    }
    return list;
  }

  /** Lets go of the list of an address that nobody waits for any more. */
  forgetWanted(value: bigint): void {
    if (this.#wanted.get(value)?.first === undefined) this.#wanted.delete(value);
  }

  /** Takes all waiters out, for a network that goes away. */
  *drain(): Generator<Waiter> {
    yield* this.queue.drain();
    for (const list of this.#wanted.values()) yield* list.drain();
    this.#wanted.clear();
  }
}

/** An address as it stands in the store; `held` is undefined when it lies in none of our subnets. */
export type Holding = { readonly text: string; readonly held: Held | undefined };

/** The address in CIDR form. */
export function holdingOf(held: Held): Holding {
  return { text: held.pool.format(held.value), held };
}
