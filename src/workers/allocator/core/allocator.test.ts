import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FromAllocator, ToAllocator } from '../../../shared/lanes/allocation.ts';
import { World } from '../testing/world.ts';
import { Allocator } from './allocator.ts';

function lastByte(world: World, task: number | undefined): number {
  const address = world.addressesOf(task ?? 0)?.at(-1) ?? '';
  return Number(/\.(\d+)\/\d+$/.exec(address)?.[1] ?? -1);
}

function vipsOf(world: World, service: number): string[] {
  return (world.services.get(service)?.vips ?? []).map(({ network, address }) => {
    return `${world.networks.get(network)?.name} ${address}`;
  });
}

function publishedOf(world: World, service: number): readonly number[] | undefined {
  return world.services.get(service)?.published;
}

test('[AL12] [AL13] addresses are given serially, and one just freed comes last', () => {
  const world = new World();
  const network = world.network({ subnet: '10.5.0.0/29' });
  const tasks = world.request(4, { networks: [network] });
  world.turn();
  assert.deepEqual(
    tasks.map((task) => lastByte(world, task)),
    [2, 3, 4, 5],
  );
  world.end(...tasks.slice(0, 2));
  const next = world.request(3, { networks: [network] });
  world.turn();
  assert.deepEqual(
    next.map((task) => lastByte(world, task)),
    [6, 2, 3],
  );
});

test('[AL14] a task has an address in each family of each network, or none at all', () => {
  const world = new World();
  const dual = world.network({ configs: ['10.5.0.0/29', 'fd00:5::/64'] });
  const small = world.network({ subnet: '10.6.0.0/30' });
  const [one, two] = world.request(2, { networks: [dual, small] });
  world.turn();
  assert.deepEqual(world.addressesOf(one ?? 0), ['10.5.0.2/29,fd00:5::2/64', '10.6.0.2/30']);
  assert.equal(world.addressesOf(two ?? 0), undefined);
  assert.equal(world.used(dual), 4, 'two gateways and one task');
  world.end(one ?? 0);
  world.turn();
  assert.deepEqual(world.addressesOf(two ?? 0), ['10.5.0.3/29,fd00:5::3/64', '10.6.0.2/30']);
});

test('a second subnet of the same family is used when the first is full', () => {
  const world = new World();
  const network = world.network({ configs: ['10.5.0.0/30', '10.6.0.0/29'] });
  const tasks = world.request(3, { networks: [network] });
  world.turn();
  assert.deepEqual(
    tasks.map((task) => world.addressesOf(task)?.[0]),
    ['10.5.0.2/30', '10.6.0.2/29', '10.6.0.3/29'],
  );
});

test('[AL17] a task that waits on ingress goes on when its service has left it, though it is full still', () => {
  const world = new World();
  world.network({ name: 'ingress', ingress: true, subnet: '10.0.0.0/28' });
  const service = world.service({ ports: [{ published: 80 }] });
  const tasks = world.request(14, { service });
  world.turn();
  const waiting = tasks.filter((task) => world.addressesOf(task) === undefined);
  assert.equal(waiting.length, 2, 'the gateway and the VIP');
  // The address that the service gives back goes to a node.
  world.node();
  world.change(service, { ports: [] });
  world.turn();
  for (const task of waiting) assert.deepEqual(world.addressesOf(task), []);
});

test('[AL15] an address asked for is had, or waited for and nothing else', () => {
  const world = new World();
  const network = world.network({ name: 'web', subnet: '10.5.0.0/24' });
  const [one, two] = world.request(2, { networks: [network], wanted: ['10.5.0.2'] });
  const [other] = world.request(1, { networks: [network] });
  world.turn();
  assert.equal(lastByte(world, one), 2);
  assert.equal(lastByte(world, other), 3);
  assert.equal(
    world.reasons.get(`task ${two}`),
    'could not find an available IP: address 10.5.0.2 of network web is already in use',
  );
  world.end(other ?? 0);
  world.turn();
  assert.equal(world.addressesOf(two ?? 0), undefined);
  world.end(one ?? 0);
  world.turn();
  assert.equal(lastByte(world, two), 2);
});

test('[AL15] an address that can never be had is refused in words', () => {
  const world = new World();
  const network = world.network({ name: 'web', subnet: '10.5.0.0/24' });
  for (const [wanted, why] of [
    ['10.6.0.2', 'address 10.6.0.2 is not one of network web (10.5.0.0/24)'],
    ['10.5.0.255', 'address 10.5.0.255 is not one of network web (10.5.0.0/24)'],
    ['fd00::1', 'address fd00::1 is not one of network web (10.5.0.0/24)'],
    ['nonsense', '"nonsense" is not an IP address'],
    ['10.5.0.1', 'address 10.5.0.1 of network web is already in use'],
  ] as const) {
    const [task] = world.request(1, { networks: [network], wanted: [wanted] });
    world.turn();
    assert.equal(world.reasons.get(`task ${task}`), `could not find an available IP: ${why}`);
  }
});

test('[AL15] an address outside the range may be asked for; so may one in each family', () => {
  const world = new World();
  const configs = [{ subnet: '10.5.0.0/24', range: '10.5.0.8/30' }, 'fd00::/64'];
  const network = world.network({ configs });
  const [one] = world.request(1, { networks: [network], wanted: ['10.5.0.77/24,fd00::1:0:0:1'] });
  const [two] = world.request(1, { networks: [network], wanted: ['fd00::9'] });
  world.turn();
  assert.deepEqual(world.addressesOf(one ?? 0), ['10.5.0.77/24,fd00::1:0:0:1/64']);
  assert.deepEqual(world.addressesOf(two ?? 0), ['10.5.0.8/24,fd00::9/64']);
  const before = world.holdings();
  world.restart();
  world.turn();
  assert.equal(world.holdings(), before);
});

test('[AL16] [AL18] a full /28 says so on each waiting task, and 10,000 tasks leak nothing', () => {
  const world = new World();
  const network = world.network({ name: 'web', subnet: '10.5.0.0/28' });
  const service = world.service({ name: 'db', networks: [network] });
  world.turn();
  const second = world.service({ name: 'late', networks: [network] });
  const tasks = world.request(14, { service, networks: [network] });
  world.turn();
  assert.equal(tasks.filter((task) => world.addressesOf(task) !== undefined).length, 11);
  const full = 'no free address in network web (14 of 14 in use)';
  assert.equal(
    world.reasons.get(`task ${tasks.at(-1)}`),
    `could not find an available IP: ${full}`,
  );
  world.end(...tasks);
  world.removeService(second);
  assert.equal(world.used(network), 2, 'the gateway and the VIP');

  let live: number[] = [];
  for (let round = 0; round < 1000; round++) {
    world.end(...live.splice(0, 5));
    live = [...live, ...world.request(10, { service, networks: [network] })];
    world.turn(false);
    world.end(...live.splice(3, 5));
  }
  world.end(...live);
  assert.equal(world.used(network), 2);
  world.removeService(service);
  assert.equal(world.used(network), 1, 'the gateway');
});

test('[AL16] a VIP that is not to be had says so, and so do the tasks that wait for it', () => {
  const world = new World();
  const network = world.network({ name: 'web', subnet: '10.5.0.0/30' });
  const [blocker] = world.request(1, { networks: [network] });
  world.turn();
  const service = world.service({ name: 'db', networks: [network] });
  const [task] = world.request(1, { service, networks: [network] });
  world.turn();
  const why =
    'could not find an available IP while allocating VIP: ' +
    'no free address in network web (2 of 2 in use)';
  assert.equal(world.reasons.get(`service ${service}`), why);
  assert.equal(world.reasons.get(`task ${task}`), `service db has pending allocations: ${why}`);
  world.end(blocker ?? 0);
  world.turn();
  assert.deepEqual(vipsOf(world, service), ['web 10.5.0.2/30']);
  assert.equal(
    world.reasons.get(`task ${task}`),
    'could not find an available IP: no free address in network web (2 of 2 in use)',
  );
});

test('[AL17] what is freed goes to nodes, then services, then tasks, then those who ask anew', () => {
  const world = new World();
  const network = world.network({ subnet: '10.5.0.0/29' });
  const node = world.node();
  const tasks = world.request(5, { networks: [network] });
  world.turn();
  const [first, second] = world.request(2, { networks: [network] });
  const service = world.service({ networks: [network] });
  world.turn();
  world.place(tasks[0] ?? 0, node);
  world.turn();
  assert.deepEqual(world.nodes.get(node), []);

  world.end(tasks[1] ?? 0);
  world.request(1, { networks: [network] });
  world.turn();
  assert.deepEqual(world.nodes.get(node), [{ network, address: '10.5.0.3/29' }]);
  world.end(tasks[2] ?? 0);
  world.turn();
  assert.deepEqual(vipsOf(world, service), [`net${network} 10.5.0.4/29`]);
  world.end(tasks[3] ?? 0);
  world.turn();
  assert.equal(lastByte(world, first), 5);
  world.end(tasks[4] ?? 0);
  world.turn();
  assert.equal(lastByte(world, second), 6);
});

test('[AL17] a waiter of two full networks does not keep others from what is free', () => {
  const world = new World();
  const a = world.network({ subnet: '10.5.0.0/30' });
  const b = world.network({ subnet: '10.6.0.0/30' });
  const [onA] = world.request(1, { networks: [a] });
  const [onB] = world.request(1, { networks: [b] });
  world.turn();
  const [both] = world.request(1, { networks: [a, b] });
  const [late] = world.request(1, { networks: [a] });
  world.turn();
  world.end(onA ?? 0);
  world.turn();
  assert.equal(world.addressesOf(both ?? 0), undefined);
  assert.equal(lastByte(world, late), 2);
  world.end(onB ?? 0, late ?? 0);
  world.turn();
  assert.deepEqual(world.addressesOf(both ?? 0), ['10.5.0.2/30', '10.6.0.2/30']);
});

test('[AL19] VIPs in VIP mode; in DNSRR only the one of published ports', () => {
  const world = new World();
  world.network({ name: 'ingress', ingress: true });
  const web = world.network({ name: 'web' });
  const dual = world.network({ name: 'dual', configs: ['fd00::/64', '10.5.0.0/24'] });
  const service = world.service({ networks: [web, dual], ports: [{ published: 80 }] });
  world.turn();
  assert.deepEqual(vipsOf(world, service), [
    'ingress 10.0.0.2/24',
    'web 10.0.1.2/24',
    'dual 10.5.0.2/24',
  ]);
  const [task] = world.request(1, { service, networks: [web] });
  world.turn();
  assert.deepEqual(world.addressesOf(task ?? 0), ['10.0.0.3/24', '10.0.1.3/24']);
  world.change(service, { vips: false });
  world.turn();
  assert.deepEqual(vipsOf(world, service), ['ingress 10.0.0.2/24']);
  world.change(service, { ports: [] });
  world.turn();
  assert.deepEqual(vipsOf(world, service), []);
  assert.equal(world.used(web), 2, 'the gateway and the task');
});

test('[AL20] [AL3] VIPs and ports stay through changes and restarts', () => {
  const world = new World();
  world.network({ name: 'ingress', ingress: true });
  const networks = [world.network(), world.network()];
  const ports = [{ target: 80 }, { target: 81, published: 8080 }];
  const service = world.service({ networks, ports });
  const other = world.service({ networks });
  world.turn();
  const vips = vipsOf(world, service);
  assert.deepEqual(publishedOf(world, service), [30_000, 8080]);
  world.removeService(other);
  world.change(service, { networks: networks.slice(1), ports: [...ports, { target: 82 }] });
  world.turn();
  assert.deepEqual(vipsOf(world, service), [vips[0], vips[2]]);
  assert.deepEqual(publishedOf(world, service), [30_000, 8080, 30_001]);
  for (let i = 0; i < 3; i++) {
    world.restart();
    world.turn();
    assert.deepEqual(vipsOf(world, service), [vips[0], vips[2]]);
    assert.deepEqual(publishedOf(world, service), [30_000, 8080, 30_001]);
  }
});

test('[AL21] a service that cannot have all keeps what it has', () => {
  const world = new World();
  world.network({ name: 'ingress', ingress: true });
  const web = world.network({ name: 'web' });
  const full = world.network({ name: 'full', subnet: '10.5.0.0/31' });
  world.service({ name: 'owner', ports: [{ published: 80 }] });
  const [blocker] = world.request(1, { networks: [full] });
  const service = world.service({ name: 'mine', networks: [web], ports: [{ published: 90 }] });
  world.turn();
  const vips = vipsOf(world, service);
  world.change(service, { networks: [full], ports: [{ published: 91 }] });
  const third = world.service({ name: 'third', ports: [{ published: 90 }] });
  world.turn();
  assert.deepEqual([vipsOf(world, service), publishedOf(world, service)], [vips, [90]]);
  assert.equal(
    world.reasons.get(`service ${third}`),
    'port 90/tcp is already in use by service mine',
  );
  world.end(blocker ?? 0);
  world.turn();
  assert.deepEqual(publishedOf(world, service), [91]);
  assert.deepEqual(publishedOf(world, third), [90]);
});

test('[AL22] tasks wait for their service, say so, and go on with it', () => {
  const world = new World();
  world.network({ name: 'ingress', ingress: true });
  const owner = world.service({ name: 'owner', ports: [{ published: 80 }] });
  const service = world.service({ name: 'mine', ports: [{ published: 80 }] });
  const tasks = world.request(3, { service });
  world.turn();
  assert.equal(
    world.reasons.get(`task ${tasks[0]}`),
    'service mine has pending allocations: port 80/tcp is already in use by service owner',
  );
  world.change(service, { ports: [{ published: 80 }, { published: 81, protocol: 1 }] });
  world.service({ name: 'third', ports: [{ published: 81, protocol: 1 }] });
  world.removeService(owner);
  world.turn();
  assert.deepEqual(
    tasks.map((task) => world.addressesOf(task)?.length),
    [1, 1, 1],
  );
});

test('[AL22] a task whose service is gone waits, and says so', () => {
  const world = new World();
  const network = world.network();
  const service = world.service({ networks: [network], ports: [{ published: 80 }] });
  const [task] = world.request(1, { service, networks: [network] });
  world.turn();
  assert.match(world.reasons.get(`task ${task}`) ?? '', /ingress network is missing/);
  world.removeService(service);
  world.turn();
  assert.equal(world.reasons.get(`task ${task}`), 'could not find service for task');
  world.end(task ?? 0);
  assert.equal(world.used(network), 1);
});

test('[AL23] published ports wait for an ingress network', () => {
  const world = new World();
  const service = world.service({ ports: [{ published: 80 }] });
  const [task] = world.request(1, { service });
  world.turn();
  assert.equal(world.reasons.get(`service ${service}`), 'ingress network is missing');
  world.network({ name: 'ingress', ingress: true });
  world.turn();
  assert.deepEqual(publishedOf(world, service), [80]);
  assert.deepEqual(world.addressesOf(task ?? 0), ['10.0.0.3/24']);
});

test('[AL28] [AL29] nodes are on the ingress network, and on others while a task needs it', () => {
  const world = new World();
  const web = world.network({ name: 'web', subnet: '10.5.0.0/29' });
  const nodes = [world.node(), world.node()];
  const ingress = world.network({ name: 'ingress', ingress: true });
  const [a, b] = world.request(2, { networks: [web] });
  const [preset] = world.request(1, { networks: [web], node: nodes[1] ?? 0 });
  world.turn();
  assert.deepEqual(world.nodes.get(nodes[0] ?? 0), [{ network: ingress, address: '10.0.0.2/24' }]);
  world.place(a ?? 0, nodes[0] ?? 0);
  world.place(b ?? 0, nodes[0] ?? 0);
  world.turn();
  assert.deepEqual(world.nodes.get(nodes[0] ?? 0), [
    { network: ingress, address: '10.0.0.2/24' },
    { network: web, address: '10.5.0.6/29' },
  ]);
  assert.equal(world.nodes.get(nodes[1] ?? 0)?.length, 2);
  world.end(a ?? 0);
  world.turn();
  assert.equal(world.nodes.get(nodes[0] ?? 0)?.length, 2);
  const before = world.holdings();
  world.restart();
  world.turn();
  assert.equal(world.holdings(), before);
  // The last task leaves: its node's address goes to one that waits, and is taken from the node first.
  world.request(3, { networks: [web] });
  world.turn();
  world.end(b ?? 0, preset ?? 0);
  world.turn();
  assert.equal(world.nodes.get(nodes[0] ?? 0)?.length, 1);
  world.removeNode(nodes[0] ?? 0);
  world.removeNode(nodes[1] ?? 0);
  assert.equal(world.used(ingress), 1);
});

test('a node that is used again in the same turn keeps its attachment', () => {
  const world = new World();
  const web = world.network();
  const node = world.node();
  const [old] = world.request(1, { networks: [web], node });
  const [next] = world.request(1, { networks: [web] });
  world.turn();
  const before = world.nodes.get(node);
  world.end(old ?? 0);
  world.place(next ?? 0, node);
  world.turn();
  assert.equal(world.nodes.get(node), before, 'nothing was answered for it');
});

test('[AL4] after a restart the next address is above the highest one held', () => {
  const world = new World();
  const network = world.network();
  const tasks = world.request(5, { networks: [network] });
  world.turn();
  world.end(tasks[1] ?? 0);
  world.restart();
  const [next] = world.request(1, { networks: [network] });
  const second = world.network();
  world.turn();
  assert.equal(lastByte(world, next), 7);
  assert.equal(world.networks.get(second)?.grant?.vxlans, '4097');
});

test('[AL30] however the messages are cut, the answers are the same', () => {
  const world = new World();
  const web = world.network({ subnet: '10.5.0.0/28' });
  world.network({ ingress: true });
  const node = world.node();
  const service = world.service({ networks: [web], ports: [{}, { published: 80 }] });
  const tasks = world.request(12, { service, networks: [web] });
  world.turn();
  world.place(tasks[0] ?? 0, node);
  world.end(...tasks.slice(1, 6));
  world.turn();
  const whole = new Allocator().step(world.said);
  const cut = new Allocator();
  const pieces: FromAllocator[] = world.said.flatMap((message: ToAllocator) => cut.step([message]));
  assert.ok(whole.length > 6);
  assert.deepEqual(pieces, whole);
});

test('[AL31] a reason is told once, and again when it changes', () => {
  const world = new World();
  const network = world.network({ name: 'web', subnet: '10.5.0.0/31' });
  world.request(3, { networks: [network] });
  const told = (): number => world.answers.filter(({ t }) => t === 'waiting').length;
  world.turn();
  assert.equal(told(), 1, 'one message for all who wait for the same reason');
  const [task] = world.request(1, { networks: [network] });
  world.turn();
  assert.equal(told(), 1);
  world.turn();
  assert.equal(told(), 0);
  world.removeNetwork(network);
  world.turn();
  assert.deepEqual(world.addressesOf(task ?? 0), []);
});
