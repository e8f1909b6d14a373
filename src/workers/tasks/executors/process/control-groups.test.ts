import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ControlGroups } from './control-groups.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'skein-cgroup-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const LIMITS = { memoryBytes: 1 << 20, nanoCpus: 5e8, processes: 10 };
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8');

test('[PRC8] version 1: each controller has its own hierarchy', () => {
  for (const name of ['memory', 'cpu,cpuacct']) mkdirSync(join(root, name));
  const mounts = [
    `cgroup ${root}/memory cgroup rw,relatime,memory 0 0`,
    `cgroup ${root}/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0`,
    `cgroup2 ${root}/unified cgroup2 rw 0 0`,
  ].join('\n');
  const groups = new ControlGroups('node1', mounts);
  assert.equal(groups.version, 1);
  assert.deepEqual(groups.missing(LIMITS), ['pids']);
  assert.deepEqual(groups.missing({ ...LIMITS, processes: 0 }), []);
  groups.create('t1', LIMITS);
  assert.equal(read('memory/skein-node1/t1/memory.limit_in_bytes'), '1048576');
  assert.equal(read('cpu,cpuacct/skein-node1/t1/cpu.cfs_quota_us'), '50000');
  groups.add('t1', 42);
  assert.deepEqual(groups.members('t1'), [42]);
  assert.deepEqual(groups.taskIds(), ['t1']);
  assert.equal(groups.ranOutOfMemory('t1'), false);
  const control = join(root, 'memory/skein-node1/t1/memory.oom_control');
  writeFileSync(control, 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n');
  assert.equal(groups.ranOutOfMemory('t1'), true);
  assert.equal(groups.remove('t1'), false, 'a group that is in use stays');
});

test('[PRC8] version 2: one hierarchy, whose controllers are handed down', () => {
  writeFileSync(join(root, 'cgroup.subtree_control'), '');
  const groups = new ControlGroups('node1', `cgroup2 ${root} cgroup2 rw 0 0`);
  assert.equal(groups.version, 2);
  assert.equal(read('cgroup.subtree_control'), '+pids');
  groups.create('t1', LIMITS);
  assert.equal(read('skein-node1/t1/memory.max'), '1048576');
  assert.equal(read('skein-node1/t1/cpu.max'), '50000 100000');
  assert.equal(read('skein-node1/t1/pids.max'), '10');
  groups.create('t2', { memoryBytes: 0, nanoCpus: 0, processes: 0 });
  assert.equal(existsSync(join(root, 'skein-node1/t2/memory.max')), false);
  assert.equal(groups.remove('t2'), true);
});

test('[PRC8] a machine without groups says what it cannot enforce', () => {
  for (const mounts of ['', 'cgroup2 /proc/no/such/place cgroup2 rw 0 0']) {
    const groups = new ControlGroups('node1', mounts);
    assert.equal(groups.version, undefined);
    assert.deepEqual(groups.missing(LIMITS), ['memory', 'cpu', 'pids']);
    groups.create('t1', LIMITS);
    groups.add('t1', 1);
    assert.deepEqual([groups.members('t1'), groups.taskIds(), groups.remove('t1')], [[], [], true]);
  }
});
