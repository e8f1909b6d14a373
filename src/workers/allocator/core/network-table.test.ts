import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NetworkInit } from '../testing/world.ts';
import { World } from '../testing/world.ts';

/** Subnets with gateways, and VXLAN ids, as one text. */
function grantOf(world: World, network: number): string | undefined {
  const grant = world.networks.get(network)?.grant;
  const configs = grant?.configs.map(({ subnet, gateway }) => `${subnet} via ${gateway}`);
  return configs === undefined ? undefined : `${configs.join(' ')} vxlan ${grant?.vxlans}`;
}

/** Why a network that asks for this has nothing, next to one that has 10.7.0.0/16. */
function refusal(init: NetworkInit): string {
  const world = new World();
  world.network({ name: 'taken', subnet: '10.7.0.0/16', vxlans: '5000' });
  const network = world.network({ name: 'web', ...init });
  world.turn();
  return world.reasons.get(`network ${network}`) ?? `granted ${grantOf(world, network)}`;
}

test('[AL5] [AL8] networks get blocks, gateways and VXLAN ids in order', () => {
  const world = new World();
  const networks = [world.network({ ingress: true, name: 'ingress' }), world.network()];
  world.turn();
  assert.deepEqual(
    networks.map((network) => grantOf(world, network)),
    ['10.0.0.0/24 via 10.0.0.1 vxlan 4096', '10.0.1.0/24 via 10.0.1.1 vxlan 4097'],
  );
});

test('[AL5] the pools of the cluster are honoured', () => {
  const world = new World({ pools: ['172.20.0.0/16', '10.9.0.0/16'], subnetSize: 17 });
  const networks = Array.from({ length: 5 }, () => world.network({ name: 'n' }));
  world.turn();
  assert.deepEqual(
    networks.map((network) => world.networks.get(network)?.grant?.configs[0]?.subnet),
    ['172.20.0.0/17', '172.20.128.0/17', '10.9.0.0/17', '10.9.128.0/17', undefined],
  );
  assert.equal(
    world.reasons.get(`network ${networks[4]}`),
    'failed allocating pools and gateway IP for network n: no free /17 subnet in the default ' +
      'address pools (172.20.0.0/16, 10.9.0.0/16)',
  );
});

test('[AL6] what the user names is honoured', () => {
  const world = new World();
  const network = world.network({
    subnet: '192.168.5.0/24',
    range: '192.168.5.64/29',
    gateway: '192.168.5.254',
    reserved: ['192.168.5.64', '192.168.5.66'],
  });
  const tasks = world.request(7, { networks: [network] });
  world.turn();
  assert.deepEqual(
    tasks.map((task) => world.addressesOf(task)?.[0]),
    [65, 67, 68, 69, 70, 71, undefined].map((n) =>
      n === undefined ? undefined : `192.168.5.${n}/24`,
    ),
  );
});

test('[AL6] the edges of a subnet are not given, but for subnets that have none', () => {
  for (const [subnet, want] of [
    ['10.1.0.0/29', ['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.0.5', '10.1.0.6']],
    ['10.1.0.0/30', ['10.1.0.2']],
    ['10.1.0.0/31', ['10.1.0.1']],
    ['10.1.0.0/32', []],
    ['fd00::/126', ['fd00::2', 'fd00::3']],
    ['fd00::/127', ['fd00::1']],
  ] as const) {
    const world = new World();
    const network = world.network({ subnet });
    world.request(6, { networks: [network] });
    world.turn();
    assert.deepEqual(
      [...world.tasks.values()].flatMap(({ held }) => (held ?? []).map((h) => h.address)),
      want.map((address) => `${address}/${subnet.split('/')[1]}`),
    );
  }
});

test('[AL7] [AL9] what cannot be had is refused in words', () => {
  const prefix = 'failed allocating pools and gateway IP for network web: ';
  for (const [init, want] of [
    [
      { subnet: '10.7.5.0/24' },
      'subnet 10.7.5.0/24 overlaps with subnet 10.7.0.0/16 of network taken',
    ],
    [
      { subnet: '10.0.0.0/8' },
      'subnet 10.0.0.0/8 overlaps with subnet 10.7.0.0/16 of network taken',
    ],
    [
      { configs: ['10.1.0.0/16', '10.1.2.0/24'] },
      'subnet 10.1.2.0/24 overlaps with subnet 10.1.0.0/16 of network web',
    ],
    [{ subnet: '10.1.0.0' }, 'invalid subnet 10.1.0.0'],
    [{ subnet: '10.1.0.0/16', range: 'x' }, 'invalid range x'],
    [{ subnet: '10.1.0.0/16', gateway: 'x' }, 'invalid gateway x'],
    [{ subnet: '10.1.0.0/16', reserved: ['x'] }, 'invalid reserved address x'],
    [
      { subnet: '10.1.0.0/16', range: '10.2.0.0/24' },
      'subnet 10.1.0.0/16 does not contain range 10.2.0.0/24',
    ],
    [
      { subnet: '10.1.0.0/16', gateway: '10.2.0.1' },
      'subnet 10.1.0.0/16 does not contain gateway 10.2.0.1',
    ],
    [
      { subnet: '10.1.0.0/16', reserved: ['10.2.0.1'] },
      'subnet 10.1.0.0/16 does not contain address 10.2.0.1',
    ],
    [{ vxlans: '5000' }, 'VXLAN id 5000 is already in use'],
    [{ vxlans: '1.5' }, 'invalid VXLAN id list "1.5"'],
    [{ vxlans: 'abc' }, 'invalid VXLAN id list "abc"'],
    [{ vxlans: '16777216' }, 'invalid VXLAN id list "16777216"'],
  ] as const) {
    assert.equal(refusal(init), prefix + want);
  }
});

test('a refused network keeps nothing of what it tried', () => {
  const world = new World();
  const first = world.network({ subnet: '10.9.0.0/24' });
  world.network({ configs: ['10.8.0.0/24', '10.9.0.0/16'] });
  world.network({ configs: ['', '10.9.0.0/16'] });
  world.turn();
  const second = world.network({ subnet: '10.8.0.0/24' });
  world.turn();
  assert.equal(grantOf(world, first), '10.9.0.0/24 via 10.9.0.1 vxlan 4096');
  assert.equal(grantOf(world, second), '10.8.0.0/24 via 10.8.0.1 vxlan 4097');
});

test('[AL7] [AL11] a refused network is tried again when another goes, with those who wait', () => {
  const world = new World();
  const first = world.network({ subnet: '10.5.0.0/16', vxlans: '9000' });
  const second = world.network({ name: 'web', subnet: '10.5.1.0/24', vxlans: '9000' });
  const [task] = world.request(1, { networks: [second] });
  world.turn();
  assert.equal(
    world.reasons.get(`task ${task}`),
    'network web is not allocated yet: failed allocating pools and gateway IP for network web: ' +
      'VXLAN id 9000 is already in use',
  );
  world.removeNetwork(first);
  world.turn();
  assert.equal(grantOf(world, second), '10.5.1.0/24 via 10.5.1.1 vxlan 9000');
  assert.deepEqual(world.addressesOf(task ?? 0), ['10.5.1.2/24']);
});

test('[AL11] who waited for a network that goes has the others', () => {
  const world = new World();
  const full = world.network({ subnet: '10.5.0.0/31' });
  const other = world.network();
  world.request(1, { networks: [full] });
  const [task] = world.request(1, { networks: [full, other] });
  world.turn();
  assert.equal(world.addressesOf(task ?? 0), undefined);
  world.removeNetwork(full);
  world.turn();
  assert.deepEqual(world.addressesOf(task ?? 0), ['10.0.0.2/24']);
});

test('[AL8] ids that the user names are used, and one is added for each IPv4 subnet without', () => {
  const world = new World();
  const network = world.network({
    configs: ['10.5.0.0/24', '10.6.0.0/24', 'fd00::/64'],
    vxlans: '300',
  });
  world.turn();
  assert.equal(world.networks.get(network)?.grant?.vxlans, '300,4096');
});

test('[AL10] a second ingress network waits until the first is gone', () => {
  const world = new World();
  const first = world.network({ name: 'ingress', ingress: true });
  world.turn();
  const second = world.network({ name: 'other', ingress: true });
  const node = world.node();
  world.turn();
  assert.equal(
    world.reasons.get(`network ${second}`),
    'ingress network (ingress) is already present',
  );
  world.removeNetwork(first);
  world.turn();
  assert.deepEqual(world.nodes.get(node), [{ network: second, address: '10.0.1.2/24' }]);
});

test('[AL1] [AL2] what the store holds is kept, right or not', () => {
  const world = new World();
  const a = world.network({ name: 'a', subnet: '10.5.0.0/24' });
  const b = world.network({ name: 'b', subnet: '10.6.0.0/24' });
  const [one, two] = world.request(2, { networks: [a] });
  world.turn();
  const config = { subnet: '10.5.0.0/16', range: '', gateway: '', reserved: [] };
  const broken = world.networks.get(b);
  assert.ok(broken !== undefined);
  broken.grant = { configs: [config, { ...config, subnet: 'x' }], vxlans: '4096' };
  const record = world.tasks.get(two ?? 0);
  assert.ok(record !== undefined);
  record.held = [{ network: a, address: '10.5.0.2/24', addresses: [] }];
  const [stray] = world.request(1, { networks: [a] });
  const strayed = world.tasks.get(stray ?? 0);
  assert.ok(strayed !== undefined);
  strayed.held = [{ network: a, address: '10.99.0.2/24', addresses: [] }];
  world.restart();
  const before = world.holdings();
  world.turn(false);
  assert.equal(world.holdings(), before);
  assert.deepEqual(world.notices, [
    'subnet 10.5.0.0/16 of network b overlaps with subnet 10.5.0.0/24 of network a',
    'network b has subnet "x"',
    'VXLAN id 4096 has two networks',
    'address 10.5.0.2/24 of network a has more than one holder',
    'address 10.99.0.2/24 lies in no subnet of network a',
  ]);
  world.removeNetwork(b);
  world.end(one ?? 0, stray ?? 0);
  const [next] = world.request(1, { networks: [a], wanted: ['10.5.0.2'] });
  world.turn();
  assert.equal(
    world.reasons.get(`task ${next}`),
    'could not find an available IP: address 10.5.0.2 of network a is already in use',
  );
  world.end(two ?? 0);
  world.turn();
  assert.deepEqual(world.addressesOf(next ?? 0), ['10.5.0.2/24']);
});

test('property: any mix of networks has its own subnets, or none and a reason', () => {
  const text = fc
    .tuple(fc.nat(3), fc.nat(255), fc.integer({ min: 14, max: 32 }))
    .map(([a, b, prefix]) => `10.${a}.${b}.0/${prefix}`);
  const init = fc.record({
    configs: fc.array(fc.oneof(fc.constant(''), text), { maxLength: 3 }),
    vxlans: fc.constantFrom('', '', '4096', '4098,4099', '7'),
    gone: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(init, { maxLength: 12 }), (inits) => {
      const world = new World({ pools: ['10.0.0.0/15', '10.2.0.0/15'], subnetSize: 17 });
      const handles = inits.map(({ gone, ...rest }) => {
        const handle = world.network(rest);
        world.turn();
        if (gone) world.removeNetwork(handle);
        return handle;
      });
      world.turn();
      for (const handle of handles) {
        const record = world.networks.get(handle);
        if (record === undefined) continue;
        assert.equal(record.grant === undefined, world.reasons.has(`network ${handle}`));
      }
      const before = world.holdings();
      world.restart();
      world.turn();
      assert.equal(world.holdings(), before);
    }),
  );
});
