/**
 * The ports that services publish in ingress mode, one space for each protocol.
 *
 * A port between 1 and 65535 belongs to one service. A service that names none gets the next one of
 * the dynamic range, and keeps it for as long as it publishes the same port under the same name.
 */
import assert from 'node:assert/strict';
import type { PublishedPort } from '../../../shared/lanes/allocation.ts';
import { SerialPool } from './serial-pool.ts';

/** The ports given to those who name none. */
export const DYNAMIC_PORTS = { first: 30_000, last: 32_767 } as const;

const PORTS = 65_536;
const PROTOCOL_NAMES = ['tcp', 'udp', 'sctp'] as const;

/** A protocol and a port as one number; port 0 stands for any port of the dynamic range. */
export type PortKey = number;

export function portKey(protocol: number, port: number): PortKey {
  return protocol * PORTS + port;
}

/** `8080/tcp`. */
function formatPort(key: PortKey): string {
  return `${key % PORTS}/${PROTOCOL_NAMES[Math.floor(key / PORTS)] ?? 'unknown'}`;
}

/** What a service would publish: a number for each of its ports, in order. */
export type PortPlan =
  | { readonly ok: true; readonly published: readonly number[] }
  /** `key` is what would have to be freed first. */
  | { readonly ok: false; readonly key: PortKey; readonly text: string };

export class PortBook {
  readonly #spaces = PROTOCOL_NAMES.map(
    () => new SerialPool({ size: PORTS, low: DYNAMIC_PORTS.first, high: DYNAMIC_PORTS.last + 1 }),
  );
  readonly #owners = new Map<PortKey, string>();

  /** Whether the port, or any dynamic one for port 0, is to be had. */
  isFree(key: PortKey): boolean {
    const space = this.#space(key);
    return key % PORTS === 0 ? space.free > 0 : !space.has(key % PORTS);
  }

  /** Takes a port for a service that has it already; false when another has it too. */
  hold(key: PortKey, owner: string): boolean {
    const alone = this.#space(key).hold(key % PORTS);
    if (alone) this.#owners.set(key, owner);
    return alone;
  }

  /** Gives a port back; true when no service holds it any more. */
  release(key: PortKey): boolean {
    const free = this.#space(key).release(key % PORTS);
    if (free) this.#owners.delete(key);
    return free;
  }

  /** What the service would publish, given what it holds; `published` is 0 where a port is due. */
  plan(ports: readonly PublishedPort[], held: readonly PublishedPort[]): PortPlan {
    const wrong = ports.find((port) => !port.host && !isPossible(port));
    // It waits among those who wait for any port: only a change of its spec helps it.
    if (wrong !== undefined) return { ok: false, key: portKey(0, 0), text: describeWrong(wrong) };
    const mine = new Set(held.map((port) => portKey(port.protocol, port.published)));
    const named = new Set<PortKey>();
    for (const port of ports) {
      if (port.host || port.published === 0) continue;
      const key = portKey(port.protocol, port.published);
      if (!mine.has(key) && !this.isFree(key)) return this.#taken(key);
      named.add(key);
    }
    const published = keepPublished(ports, held, named);
    return this.#dynamicShortage(ports, published, named) ?? { ok: true, published };
  }

  /** Takes what a plan asks for; gives the number of each port. What was held is not given back. */
  commit(
    ports: readonly PublishedPort[],
    plan: readonly number[],
    holder: { readonly mine: ReadonlySet<PortKey>; readonly owner: string },
  ): number[] {
    const { owner } = holder;
    const taken = new Set(holder.mine);
    const take = (key: PortKey): void => {
      if (taken.has(key)) return;
      taken.add(key);
      this.#space(key).claim(key % PORTS);
      this.#owners.set(key, owner);
    };
    for (const [i, port] of ports.entries()) {
      const number = plan[i] ?? 0;
      if (!port.host && number !== 0) take(portKey(port.protocol, number));
    }
    return ports.map((port, i) => {
      const number = plan[i] ?? 0;
      if (port.host || number !== 0) return number;
      const dynamic = this.#space(portKey(port.protocol, 0)).take() ?? 0;
      this.#owners.set(portKey(port.protocol, dynamic), owner);
      return dynamic;
    });
  }

  #space(key: PortKey): SerialPool {
    const space = this.#spaces[Math.floor(key / PORTS)];
    assert.ok(space !== undefined, `${key} is a port of a protocol`);
    return space;
  }

  #taken(key: PortKey): PortPlan {
    const owner = this.#owners.get(key) ?? 'another';
    const text = `port ${formatPort(key)} is already in use by service ${owner}`;
    return { ok: false, key, text };
  }

  #dynamicShortage(
    ports: readonly PublishedPort[],
    published: readonly number[],
    named: ReadonlySet<PortKey>,
  ): PortPlan | undefined {
    for (const [protocol, space] of this.#spaces.entries()) {
      const due = ports.filter(
        (port, i) => port.protocol === protocol && !port.host && published[i] === 0,
      ).length;
      const claimed = [...named].filter(
        (key) => Math.floor(key / PORTS) === protocol && isDynamic(key) && this.isFree(key),
      ).length;
      if (due === 0 || due + claimed <= space.free) continue;
      const text =
        `no free port between ${DYNAMIC_PORTS.first} and ${DYNAMIC_PORTS.last} ` +
        `(${space.used} of ${space.total} ${PROTOCOL_NAMES[protocol] ?? ''} ports in use)`;
      return { ok: false, key: portKey(protocol, 0), text };
    }
    return undefined;
  }
}

/** The key under which a service waits that would also be served by this port being freed. */
export function dynamicKeyOf(key: PortKey): PortKey | undefined {
  return isDynamic(key) ? key - (key % PORTS) : undefined;
}

/** Whether there is such a protocol, and such a port of it. */
export function isPossible(port: PublishedPort): boolean {
  return PROTOCOL_NAMES[port.protocol] !== undefined && port.published < PORTS;
}

function describeWrong({ protocol, published }: PublishedPort): string {
  const name = PROTOCOL_NAMES[protocol];
  if (name === undefined) return `no protocol has number ${protocol}`;
  return `port ${published}/${name} is not between 1 and ${PORTS - 1}`;
}

function isDynamic(key: PortKey): boolean {
  const port = key % PORTS;
  return port >= DYNAMIC_PORTS.first && port <= DYNAMIC_PORTS.last;
}

/** For each port the number it names, or had before, or 0. */
function keepPublished(
  ports: readonly PublishedPort[],
  held: readonly PublishedPort[],
  named: ReadonlySet<PortKey>,
): number[] {
  const before = held.filter((port) => !named.has(portKey(port.protocol, port.published)));
  return ports.map((port) => {
    if (port.host || port.published !== 0) return port.published;
    const index = before.findIndex(
      (old) =>
        old.protocol === port.protocol && old.target === port.target && old.name === port.name,
    );
    return index < 0 ? 0 : (before.splice(index, 1)[0]?.published ?? 0);
  });
}
