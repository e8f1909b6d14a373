/**
 * Everything at once, at random, on networks too small for it: the twin in testing/world.ts checks
 * after every turn that nothing is given twice and nobody waits in vain.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type NetworkInit, World } from '../testing/world.ts';

type Action = {
  readonly what: string;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly flag: boolean;
};

const action: fc.Arbitrary<Action> = fc.record({
  what: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('request', 'end', 'place') },
    { weight: 2, arbitrary: fc.constantFrom('turn', 'service', 'change') },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'node',
        'endNode',
        'endService',
        'restart',
        'network',
        'endNetwork',
      ),
    },
  ),
  a: fc.nat(),
  b: fc.nat(),
  c: fc.nat(3),
  flag: fc.boolean(),
});

const NETWORKS: readonly NetworkInit[] = [
  { name: 'ingress', ingress: true, subnet: '10.0.0.0/28' },
  { name: 'tiny', subnet: '10.1.0.0/29' },
  { name: 'dual', configs: ['10.2.0.0/28', 'fd00::/125'] },
  { name: 'two', configs: ['10.3.0.0/30', '10.3.1.0/29'] },
  { name: 'late', configs: [{ subnet: '10.1.0.0/24', range: '10.1.0.8/30' }] },
];

/** A member of the list, chosen by a number. */
function pick<T>(items: Iterable<T>, n: number): T | undefined {
  const list = [...items];
  return list[n % Math.max(1, list.length)];
}

/** What an action asks of the world; numbers that name nobody ask for nothing. */
class Churn {
  readonly world = new World();

  constructor() {
    for (const init of NETWORKS.slice(0, 4)) this.world.network(init);
  }

  run(one: Action): void {
    const { world } = this;
    const { what, a, b, c, flag } = one;
    const service = pick(world.services.keys(), a);
    const node = pick(world.nodes.keys(), b);
    if (what === 'turn') world.turn();
    if (what === 'restart') {
      world.turn();
      const before = world.holdings();
      world.restart();
      world.turn();
      assert.equal(world.holdings(), before);
    }
    if (what === 'network') this.#addNetwork(a);
    if (what === 'endNetwork') {
      const network = pick(world.networks.keys(), a);
      if (network !== undefined) world.removeNetwork(network);
    }
    if (what === 'node') world.node();
    if (what === 'endNode' && node !== undefined) world.removeNode(node);
    if (what === 'service') world.service(this.#spec(one));
    if (what === 'change' && service !== undefined) world.change(service, this.#spec(one));
    if (what === 'endService' && service !== undefined) world.removeService(service);
    if (what === 'request') this.#request(one, flag ? service : undefined);
    if (what === 'end') this.#end(b, c);
    if (what === 'place') this.#place(a, node);
  }

  /** The networks that the bits of a number choose. */
  #networks(bits: number): number[] {
    return [...this.world.networks].flatMap(([handle, { ingress }], i) =>
      !ingress && ((bits >> i) & 1) === 1 ? [handle] : [],
    );
  }

  /** Adds a network of the list that is not there. */
  #addNetwork(n: number): void {
    const there = new Set([...this.world.networks.values()].map(({ name }) => name));
    const init = pick(
      NETWORKS.filter(({ name }) => name !== undefined && !there.has(name)),
      n,
    );
    if (init !== undefined) this.world.network(init);
  }

  #spec({ b, c, flag }: Action): { vips: boolean; networks: number[]; ports: object[] } {
    const ports = [{}, { published: 80 }, { published: 81, protocol: 1 }, { host: true }];
    return { vips: flag || c > 1, networks: this.#networks(b), ports: ports.slice(c, c + (b % 3)) };
  }

  #request({ a, b, c }: Action, service: number | undefined): void {
    const networks = this.#networks(a);
    const wanted = networks.map((network) => {
      if (b % 7 !== 0) return '';
      return `10.${network % 4}.0.${2 + (b % 5)}`;
    });
    const node = a % 5 === 0 ? pick(this.world.nodes.keys(), b) : undefined;
    this.world.request(1 + c * 2, {
      networks,
      wanted,
      ...(service === undefined ? {} : { service }),
      ...(node === undefined ? {} : { node }),
    });
  }

  #end(n: number, count: number): void {
    for (let i = 0; i <= count; i++) {
      const task = pick(this.world.tasks.keys(), n + i);
      if (task !== undefined) this.world.end(task);
    }
  }

  #place(n: number, node: number | undefined): void {
    const free = [...this.world.tasks].filter(([, task]) => task.node === 0 && task.held);
    const chosen = pick(free, n);
    if (chosen !== undefined && node !== undefined) this.world.place(chosen[0], node);
  }

  /** Ends everything, and counts what is left. */
  end(): void {
    const { world } = this;
    for (const task of world.tasks.keys()) world.end(task);
    for (const service of world.services.keys()) world.removeService(service);
    for (const node of world.nodes.keys()) world.removeNode(node);
    world.turn();
    for (const [network, { grant }] of world.networks) {
      if (grant === undefined) continue;
      const gateways = grant.configs.filter(({ range }) => range === '').length;
      assert.equal(world.used(network), gateways, 'only gateways are left');
    }
    // All blocks are free again: a network over all of them is granted.
    for (const network of world.networks.keys()) world.removeNetwork(network);
    const all = world.network({ configs: ['10.0.0.0/8', 'fd00::/16'] });
    world.turn();
    assert.ok(world.networks.get(all)?.grant);
  }
}

test('[AL1] [AL3] [AL12] [AL17] [AL18] [AL20] [AL29] property: churn never doubles, starves or leaks', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 120 }), (actions) => {
      const churn = new Churn();
      for (const one of actions) churn.run(one);
      churn.world.turn();
      churn.end();
    }),
    { numRuns: 150 },
  );
});
