/** Three managers in one process that lead in turn, over and over. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Config } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { until } from '../../../test/support/until.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Node, type NodeOptions } from '../node/node.ts';
import type { LeaderPools, Manager } from './manager.ts';

const PATIENCE_MS = 30_000;
const TURNS = 7;

let directory: string;
const nodes: Node[] = [];

async function start(name: string, joins?: NodeOptions['join']): Promise<Node> {
  const loopback = { host: '127.0.0.1', port: 0 };
  const node = await Node.start({
    stateDir: join(directory, name),
    hostname: name,
    join: joins,
    availability: NodeSpecAvailability.DRAIN,
    executor: undefined,
    taskThreads: 1,
    manager: {
      listen: loopback,
      advertise: loopback,
      controlSocket: join(directory, `${name}.sock`),
      tickMs: 50,
    },
    env: realEnv,
    log: silentLog,
    onFatal: (error) => assert.fail(String(error)),
  });
  nodes.push(node);
  return node;
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-leadership-'));
  const founder = (await start('one')).manager ?? assert.fail();
  const [cluster] = founder.store.view((view) => [...view.clusters.all()]);
  const token = cluster?.rootCa.joinTokens?.manager ?? assert.fail();
  for (const name of ['two', 'three']) await start(name, { address: founder.address, token });
});
after(async () => {
  for (const node of nodes) await node.stop();
  await rm(directory, { recursive: true });
});

const managers = (): Manager[] => nodes.map(({ manager }) => manager ?? assert.fail());

/** Whether the threads of a leader, of now or before, run. */
const run = ({ allocator, placement }: LeaderPools): boolean =>
  placement.stats().running || allocator.engine.stats().some(({ running }) => running);

/** Resolves with who leads and takes writes, once nobody else runs what only a leader runs. */
function leader(): Promise<Manager> {
  return until('one manager leads', PATIENCE_MS, async () => {
    const leading = managers().filter(({ pools }) => pools !== undefined && run(pools));
    const [manager] = leading;
    if (manager === undefined || leading.length > 1) return undefined;
    const id = realEnv.newId();
    const config = Config.create({ id, spec: { annotations: { name: id } } });
    await manager.store.update((tx) => tx.configs.create(config));
    return manager;
  });
}

/** Of this process, beside the main one. */
function threads(): number {
  const report: unknown = process.report.getReport();
  const workers: unknown = Reflect.get(Object(report), 'workers');
  return Array.isArray(workers) ? workers.length : assert.fail('no workers in the report');
}

test('[MGR5] leadership that goes round leaves nothing of an earlier term running', async () => {
  const led = new Set<Manager>();
  let leading = await leader();
  for (let turn = 0; turn < TURNS; turn += 1) {
    const pools = leading.pools ?? assert.fail();
    await leading.handOver(AbortSignal.timeout(PATIENCE_MS));
    led.add(leading);
    leading = await leader();
    await until('the threads of the term before are gone', PATIENCE_MS, () => !run(pools));
    const one = 'one for placement and one for the allocator are left, in all of the cluster';
    await until(one, PATIENCE_MS, () => threads() === 2);
  }
  assert.ok(led.size > 1);
});

test('[MGR3] a manager that stops leaves leadership to another before it stops listening', async () => {
  const old = await leader();
  const index = managers().indexOf(old);
  const [node] = nodes.splice(index, 1);
  await Promise.all([node?.stop(), leader()]);
  assert.notEqual(await leader(), old);
});
