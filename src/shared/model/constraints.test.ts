/** Placement constraints: what parses, with which words it is refused, and what matches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  constraintSubject,
  matchesConstraints,
  parseConstraints,
  subjectLabel,
  type ConstraintSubject,
} from './constraints.ts';
import { Node } from '../wire/gen/objects.ts';
import { NodeRole } from '../wire/gen/types.ts';

const subject: ConstraintSubject = {
  id: 'n1',
  hostname: 'Alpha',
  address: '10.0.7.9',
  role: 'manager',
  os: 'linux',
  architecture: 'x86_64',
  labels: new Map([
    ['zone', 'East'],
    ['Disk', 'ssd'],
  ]),
  engineLabels: new Map([['gpu', 'no thanks']]),
};

function match(expression: string, node: ConstraintSubject = subject): boolean {
  const parsed = parseConstraints([expression]);
  assert.ok(parsed.ok, `${expression} must parse`);
  return matchesConstraints(parsed.constraints, node);
}

test('constraints that do not parse say why', () => {
  for (const [expression, error] of [
    ['', 'constraint expected one operator from ==, !='],
    ['node.id', 'constraint expected one operator from ==, !='],
    ['node.id=x', 'constraint expected one operator from ==, !='],
    ['==x', "key '' is invalid"],
    ['a==x', "key 'a' is invalid"],
    ['1ab==x', "key '1ab' is invalid"],
    ['no de==x', "key 'no de' is invalid"],
    ['ab!=c==d', "key 'ab!=c' is invalid"],
    ['node.id==', "value '' is invalid"],
    ['node.id==  ', "value '' is invalid"],
    ['node.id==é', "value 'é' is invalid"],
    ['node.id==a&b', "value 'a&b' is invalid"],
    ['node.id==a==b', "value 'a==b' is invalid"],
  ] as const) {
    assert.deepEqual(parseConstraints([expression]), { ok: false, error }, expression);
  }
});

test('constraints that parse keep their parts, trimmed', () => {
  assert.deepEqual(parseConstraints([' node.labels.a-b_c.D != x: (y)*?+[]\\^$|/z ', '_a==B']), {
    ok: true,
    constraints: [
      { key: 'node.labels.a-b_c.D', operator: '!=', value: 'x: (y)*?+[]\\^$|/z' },
      { key: '_a', operator: '==', value: 'B' },
    ],
  });
  assert.deepEqual(parseConstraints([]), { ok: true, constraints: [] });
});

test('the first bad constraint is the one reported', () => {
  assert.deepEqual(parseConstraints(['node.id==a', 'b==c', 'node.id']), {
    ok: false,
    error: "key 'b' is invalid",
  });
});

test('keys and values compare without case, label names with it', () => {
  for (const [expression, want] of [
    ['node.id==n1', true],
    ['NODE.ID==N1', true],
    ['node.id!=n1', false],
    ['node.hostname==alpha', true],
    ['node.hostname!=beta', true],
    ['node.role==MANAGER', true],
    ['node.role==worker', false],
    ['node.role!=worker', true],
    ['node.platform.os==Linux', true],
    ['node.platform.arch==amd64', false],
    ['node.labels.zone==east', true],
    ['Node.Labels.zone==east', true],
    ['node.labels.Zone==east', false],
    ['node.labels.disk!=ssd', true],
    ['node.labels.zone==e*', false],
    ['engine.labels.gpu==No Thanks', true],
    ['engine.labels.none!=x', true],
    ['engine.labels.none==x', false],
  ] as const) {
    assert.equal(match(expression), want, expression);
  }
});

test('a key that nobody knows matches no node, whatever the operator', () => {
  for (const key of ['node.color', 'labels.zone', 'node.labels.', 'engine.id']) {
    assert.equal(match(`${key}==x`), false, key);
    assert.equal(match(`${key}!=x`), false, key);
  }
});

test('node.ip takes an address or a block, and nothing else', () => {
  for (const [expression, want] of [
    ['node.ip==10.0.7.9', true],
    ['node.ip!=10.0.7.9', false],
    ['node.ip==10.0.0.0/16', true],
    ['node.ip==10.1.0.0/16', false],
    ['node.ip!=10.1.0.0/16', true],
    ['node.ip==::ffff:10.0.7.9', true],
    ['node.ip==fd00::/8', false],
    ['node.ip==10.0.7', false],
    ['node.ip!=10.0.7', false],
    ['node.ip!=10.0.0.0/33', false],
  ] as const) {
    assert.equal(match(expression), want, expression);
  }
  const unseen = { ...subject, address: '' };
  assert.equal(match('node.ip==10.0.7.9', unseen), false);
  assert.equal(match('node.ip!=10.0.7.9', unseen), true);
});

test('all constraints must hold', () => {
  const parsed = parseConstraints(['node.role==manager', 'node.labels.zone==west']);
  assert.ok(parsed.ok);
  assert.equal(matchesConstraints(parsed.constraints, subject), false);
  assert.equal(matchesConstraints(parsed.constraints.slice(0, 1), subject), true);
});

test('a stored node without a description is seen with empty values', () => {
  const bare = constraintSubject(Node.create({ id: 'x' }));
  assert.equal(bare.role, 'worker');
  assert.equal(match('node.hostname!=a', bare), true);
  assert.equal(match('node.platform.os==linux', bare), false);
  const full = constraintSubject(
    Node.create({
      id: 'y',
      role: NodeRole.MANAGER,
      status: { addr: '10.0.0.1' },
      spec: { annotations: { labels: { a: '1' } } },
      description: {
        hostname: 'h',
        platform: { os: 'linux', architecture: 'arm64' },
        engine: { labels: { b: '2' } },
      },
    }),
  );
  for (const expression of [
    'node.id==y',
    'node.role==manager',
    'node.ip==10.0.0.1',
    'node.labels.a==1',
    'node.hostname==h',
    'node.platform.arch==arm64',
    'engine.labels.b==2',
  ]) {
    assert.equal(match(expression, full), true, expression);
  }
});

test('a label descriptor names a value, an empty one or nothing', () => {
  assert.equal(subjectLabel('node.labels.zone', subject), 'East');
  assert.equal(subjectLabel('engine.labels.zone', subject), '');
  assert.equal(subjectLabel('node.hostname', subject), undefined);
});
