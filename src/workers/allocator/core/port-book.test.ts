import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { World } from '../testing/world.ts';
import { DYNAMIC_PORTS } from './port-book.ts';

function withIngress(): World {
  const world = new World();
  world.network({ name: 'ingress', subnet: '10.0.0.0/12', ingress: true });
  world.turn();
  return world;
}

function publishedOf(world: World, service: number): readonly number[] {
  return world.services.get(service)?.published ?? [];
}

/** So many ports without a number. */
function targets(count: number): { target: number }[] {
  return Array.from({ length: count }, (_, target) => ({ target }));
}

test('[AL24] a port has one service in each protocol, and goes to who waits for it', () => {
  const world = withIngress();
  const first = world.service({ name: 'a', ports: [{ published: 53 }] });
  const udp = world.service({ name: 'b', ports: [{ published: 53, protocol: 1 }] });
  const second = world.service({ name: 'c', ports: [{ published: 53, target: 1 }, {}] });
  const third = world.service({ name: 'd', ports: [{ published: 53 }] });
  world.turn();
  assert.deepEqual(publishedOf(world, udp), [53]);
  assert.equal(
    world.reasons.get(`service ${second}`),
    'port 53/tcp is already in use by service a',
  );
  world.removeService(first);
  world.turn();
  assert.deepEqual(publishedOf(world, second), [53, 30_000]);
  assert.equal(world.reasons.get(`service ${third}`), 'port 53/tcp is already in use by service c');
});

test('[AL24] a port that cannot be is refused in words, and others are served', () => {
  const world = withIngress();
  const high = world.service({ ports: [{ published: 70_000 }] });
  const odd = world.service({ ports: [{ protocol: 9 }] });
  const good = world.service({ ports: [{ published: 65_535 }, { published: 70_000, host: true }] });
  world.turn(false);
  assert.equal(world.reasons.get(`service ${high}`), 'port 70000/tcp is not between 1 and 65535');
  assert.equal(world.reasons.get(`service ${odd}`), 'no protocol has number 9');
  assert.deepEqual(publishedOf(world, good), [65_535, 70_000]);
  const record = world.services.get(high);
  assert.ok(record !== undefined);
  record.publishedFor = record.spec.ports;
  record.published = [70_000];
  world.restart();
  world.turn(false);
  assert.deepEqual(publishedOf(world, good), [65_535, 70_000]);
});

test('[AL25] ports without a number come serially from the dynamic range', () => {
  const world = withIngress();
  const first = world.service({ ports: [{ target: 1 }, { target: 2 }] });
  const named = world.service({ ports: [{ published: 30_003 }] });
  world.turn();
  world.removeService(first);
  const second = world.service({ ports: [{}, { protocol: 2 }, { target: 3 }] });
  world.turn();
  assert.deepEqual(publishedOf(world, named), [30_003]);
  assert.deepEqual(publishedOf(world, second), [30_002, 30_000, 30_004]);
});

test('[AL25] when the dynamic range is used up the next service says so, and waits', () => {
  const world = withIngress();
  const size = DYNAMIC_PORTS.last - DYNAMIC_PORTS.first + 1;
  const most = world.service({ ports: targets(size - 2) });
  const late = world.service({ name: 'late', ports: targets(3) });
  const two = world.service({ name: 'two', ports: targets(2) });
  world.turn(false);
  assert.equal(
    world.reasons.get(`service ${late}`),
    'no free port between 30000 and 32767 (2766 of 2768 tcp ports in use)',
  );
  assert.deepEqual(publishedOf(world, two), [32_766, 32_767]);
  world.removeService(two);
  world.turn(false);
  assert.deepEqual(publishedOf(world, late), [], 'two are not three');
  world.change(most, { ports: targets(5) });
  world.turn(false);
  assert.deepEqual(publishedOf(world, late), [30_005, 30_006, 30_007]);
});

test('[AL26] a port without a number keeps the one it had', () => {
  const world = withIngress();
  const service = world.service({
    ports: [
      { name: 'a', target: 80 },
      { name: 'b', target: 80 },
    ],
  });
  world.turn();
  assert.deepEqual(publishedOf(world, service), [30_000, 30_001]);
  for (const [ports, want] of [
    // The order does not matter, nor does another port.
    [[{ name: 'b', target: 80 }], [30_001]],
    [
      [
        { name: 'c', target: 80 },
        { name: 'b', target: 80 },
      ],
      [30_002, 30_001],
    ],
    // A port that names the number has claimed it.
    [
      [
        { name: 'b', target: 80 },
        { name: 'x', target: 9, published: 30_001 },
      ],
      [30_003, 30_001],
    ],
    // One that had a number named keeps it when the name goes.
    [[{ name: 'x', target: 9 }], [30_001]],
    // Another protocol is another port.
    [[{ name: 'x', target: 9, protocol: 1 }], [30_000]],
  ] as const) {
    world.change(service, { ports });
    world.turn();
    assert.deepEqual(publishedOf(world, service), want);
  }
});

test('[AL27] host ports are handed back and collide with nothing', () => {
  const world = withIngress();
  const a = world.service({ ports: [{ published: 80 }, { published: 80, host: true }] });
  const b = world.service({ ports: [{ published: 80, host: true }, { host: true }] });
  world.turn();
  assert.deepEqual(publishedOf(world, a), [80, 80]);
  assert.deepEqual(publishedOf(world, b), [80, 0]);
  assert.deepEqual(world.services.get(b)?.vips, [], 'host ports need no ingress address');
});

test('[AL1] [AL2] a port that two services hold is free when both are gone', () => {
  const world = withIngress();
  const a = world.service({ name: 'a', ports: [{ published: 80 }] });
  const b = world.service({ name: 'b', ports: [{ published: 81 }] });
  world.turn();
  const record = world.services.get(b);
  assert.ok(record !== undefined);
  record.published = [80];
  record.spec = { ...record.spec, ports: record.spec.ports.map((p) => ({ ...p, published: 80 })) };
  record.publishedFor = record.spec.ports;
  world.restart();
  world.turn(false);
  assert.deepEqual(world.notices, ['port 80 is published by more than one service']);
  world.removeService(a);
  const c = world.service({ name: 'c', ports: [{ published: 80 }] });
  world.turn();
  assert.deepEqual(publishedOf(world, c), []);
  world.removeService(b);
  world.turn();
  assert.deepEqual(publishedOf(world, c), [80]);
});

test('property: ports have one owner, stick, and come back', () => {
  const port = fc.record({
    name: fc.constantFrom('', 'x'),
    protocol: fc.nat(2),
    target: fc.nat(2),
    published: fc.constantFrom(0, 0, 80, 81, 30_000, 30_001),
    host: fc.boolean(),
  });
  const ports = fc.uniqueArray(port, {
    maxLength: 4,
    // Control refuses a number that is named twice.
    selector: (p) => (p.published === 0 || p.host ? {} : `${p.published}/${p.protocol}`),
    comparator: (a, b) => typeof a === 'string' && a === b,
  });
  const action = fc.record({ which: fc.nat(4), ports, gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 25 }), (actions) => {
      const world = withIngress();
      const services: (number | undefined)[] = [];
      for (const { which, ports: own, gone } of actions) {
        const service = services[which];
        if (service === undefined) services[which] = world.service({ ports: own });
        else if (gone) world.removeService(service);
        else world.change(service, { ports: own });
        if (gone) services[which] = undefined;
        world.turn();
      }
      const before = world.holdings();
      world.restart();
      world.turn();
      assert.equal(world.holdings(), before);
      for (const service of world.services.keys()) world.removeService(service);
      const all = world.service({
        ports: [80, 81, 30_000, 30_001].flatMap((published) =>
          [0, 1, 2].map((protocol) => ({ published, protocol })),
        ),
      });
      world.turn();
      assert.equal(publishedOf(world, all).length, 12, 'every port is free again');
    }),
  );
});
