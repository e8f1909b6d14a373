/** Managers that come and go as real processes: promotion, demotion, removal, another address. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { KeyFiles } from '../../src/main/ca/key-files.ts';
import { Code, RpcError } from '../../src/main/rpc/errors.ts';
import type { Node } from '../../src/shared/wire/gen/objects.ts';
import {
  NodeRole,
  NodeStatusState,
  RaftMemberStatusReachability,
  TaskState,
} from '../../src/shared/wire/gen/types.ts';
import { type ManagerProcess, Managers } from '../support/managers.ts';
import { killMarked, programsWith } from '../support/programs.ts';
import { removeTraces } from '../support/traces.ts';
import { Undo } from '../support/undo.ts';

const CALL = { timeoutMs: 20_000 } as const;
const TASKS = 3;
const MARK = 'SKEIN_TEST_ROLES';
const { MANAGER, WORKER } = NodeRole;

/** The cluster of one test, and what is asked of it again and again. */
class Stage {
  readonly managers: Managers;
  readonly mark = `${MARK}=${process.pid}`;

  constructor(undo: Undo) {
    this.managers = new Managers(undo);
    undo.add('end the tasks', () => killMarked(this.mark));
  }

  async node(name: string): Promise<Node> {
    const nodes = await this.managers.nodes();
    return nodes.find(({ description }) => description?.hostname === name) ?? assert.fail(name);
  }

  /** @throws RpcError when the cluster refuses */
  async want(name: string, desiredRole: NodeRole): Promise<void> {
    const refused = await this.managers.until(`${name} is asked to change`, async () => {
      const { id, meta, spec } = await this.node(name);
      const request = { nodeId: id, nodeVersion: meta.version, spec: { ...spec, desiredRole } };
      try {
        await this.managers.anyRunning().control.UpdateNode(request, CALL);
        return { error: undefined };
      } catch (error) {
        // The version may be old by now; whatever else is refused is refused for good.
        if (error instanceof RpcError && error.code === Code.FAILED_PRECONDITION) return { error };
        throw error;
      }
    });
    if (refused.error !== undefined) throw refused.error;
  }

  /** The node has its role, works, and takes part in raft or not. */
  becomes(name: string, role: NodeRole, state = NodeStatusState.READY): Promise<Node> {
    return this.managers.until(`${name} has role ${role}`, async () => {
      const node = await this.node(name);
      const { REACHABLE } = RaftMemberStatusReachability;
      const reached = node.managerStatus?.reachability === REACHABLE;
      const takesPart = role === MANAGER ? reached : node.managerStatus === undefined;
      return node.role === role && takesPart && node.status.state === state && node;
    });
  }

  /** The process goes on, and neither log nor data key are left of the manager that it was. */
  async isMereWorker({ name, stateDir, daemon }: ManagerProcess): Promise<void> {
    const keys = new KeyFiles(join(stateDir, 'certificates'));
    await this.managers.until(`${name} has wiped its log`, async () => {
      const stored = await keys.load();
      const gone = !existsSync(join(stateDir, 'raft'));
      return gone && Object.keys(stored?.headers ?? {}).join() === 'skein-raft-ids';
    });
    const text = readFileSync(join(stateDir, 'certificates', 'swarm-node.key'), 'utf8');
    assert.doesNotMatch(text, /raft-dek/);
    assert.equal(daemon.isRunning, true, daemon.tail());
  }

  /** Demotes it, and waits until the process itself is a worker. */
  async demote(manager: ManagerProcess): Promise<void> {
    await this.want(manager.name, WORKER);
    // Whoever is no manager any more answers nothing.
    this.managers.all.splice(this.managers.all.indexOf(manager), 1);
    await this.becomes(manager.name, WORKER);
    await this.isMereWorker(manager);
  }

  async createTasks(): Promise<void> {
    const [name = '', value = ''] = this.mark.split('=');
    await this.managers.anyRunning().control.CreateService(
      {
        spec: {
          annotations: { name: 'sleepers' },
          task: {
            runtime: {
              case: 'container',
              value: { image: 'none', command: ['sleep', '1000'], env: [`${name}=${value}`] },
            },
          },
          mode: { case: 'replicated', value: { replicas: BigInt(TASKS) } },
        },
      },
      CALL,
    );
  }

  /** The tasks that run, each with its process. */
  running(): Promise<ReadonlyMap<string, number>> {
    return this.managers.until(`${TASKS} tasks run`, async () => {
      const { tasks } = await this.managers.anyRunning().control.ListTasks({}, CALL);
      const ids = tasks.filter((t) => t.status.state === TaskState.RUNNING).map(({ id }) => id);
      const programs = programsWith(this.mark);
      return ids.length === TASKS && ids.every((id) => programs.has(id)) && programs;
    });
  }
}

/** What a command says that is run on a node's machine. */
async function skein(at: ManagerProcess, ...words: readonly string[]): Promise<string> {
  const args = ['bin/skein.ts', ...words, '--socket', at.socketPath];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return stdout;
}

test('managers come and go while the cluster runs, and its tasks never hear of it', async () => {
  using undo = new Undo();
  const stage = new Stage(undo);
  const { managers } = stage;
  await managers.start(3);
  const env = { [MARK]: String(process.pid) };
  const worker = await managers.addWorker('w1', { executor: 'process', env });
  const workerId = (await stage.node('w1')).id;
  undo.add('remove what the worker keeps elsewhere', () => {
    killMarked(stage.mark);
    removeTraces(workerId);
  });
  await stage.createTasks();
  const tasks = await stage.running();
  assert.equal(tasks.size, TASKS);
  const tasksRunOn = async (): Promise<void> => assert.deepEqual(await stage.running(), tasks);

  // A worker is promoted.
  await stage.want('w1', MANAGER);
  await stage.becomes('w1', MANAGER);
  managers.all.push(worker);
  assert.equal(
    (await worker.control.ListNodes({}, CALL)).nodes.length,
    4,
    'it answers as a manager',
  );
  await tasksRunOn();

  // The leader is demoted: another leads, and it goes on as a worker.
  const leader = await managers.leader();
  await stage.demote(leader);
  assert.notEqual((await managers.leader()).name, leader.name);
  await tasksRunOn();

  // With one of three gone nobody else may go, and the refusal says who is missing.
  const [dead = assert.fail(), other = assert.fail()] = managers.all.filter((m) => m !== worker);
  await dead.daemon.kill();
  await managers.until(`${dead.name} is not reached`, async () => {
    const { managerStatus } = await stage.node(dead.name);
    return managerStatus?.reachability === RaftMemberStatusReachability.UNREACHABLE;
  });
  await assert.rejects(stage.want(other.name, WORKER), (error) => {
    assert.ok(error instanceof RpcError);
    const text = "can't remove member from the raft: this would result in a loss of quorum";
    assert.equal(error.message, `${text}: managers not reached: ${dead.name} (${dead.address})`);
    return true;
  });

  // The one that is gone can be removed; when it starts again it hears so, and is a worker.
  await stage.want(dead.name, WORKER);
  managers.all.splice(managers.all.indexOf(dead), 1);
  await managers.until(`${dead.name} is no member`, async () => {
    const { role, managerStatus } = await stage.node(dead.name);
    return role === WORKER && managerStatus === undefined;
  });
  dead.daemon.start();
  await stage.becomes(dead.name, WORKER);
  await stage.isMereWorker(dead);
  await tasksRunOn();

  // Demoted nodes start again as workers, with the command line of a manager, and can be promoted.
  assert.deepEqual(await leader.daemon.stop(), { code: 0, signal: null });
  leader.daemon.start();
  await stage.becomes(leader.name, WORKER);
  const promoted = await skein(worker, 'node', 'promote', leader.name);
  assert.equal(promoted, `${leader.name}\n`);
  const back = (await stage.node(leader.name)).managerStatus;
  assert.equal(back?.reachability, RaftMemberStatusReachability.REACHABLE, 'it waited');
  managers.all.push(leader);

  // A manager starts at another address, and all learn of it: the leader too.
  for (const manager of [leader, await managers.leader()]) {
    if (manager === worker) continue;
    await manager.daemon.stop();
    const moved = await managers.moved(manager);
    moved.daemon.start();
    await managers.until(`the managers know where ${moved.name} is`, async () => {
      const { managerStatus } = await stage.node(moved.name);
      return managerStatus?.addr === moved.address && managerStatus.addr !== manager.address;
    });
    await stage.becomes(moved.name, MANAGER);
  }
  await managers.until('the worker knows where its managers are', async () => {
    const known = readFileSync(join(dead.stateDir, 'state.json'), 'utf8');
    return managers.all.every(({ address }) => known.includes(address));
  });
  await tasksRunOn();

  // A worker leaves on the word of somebody on its machine.
  assert.match(await skein(dead, 'leave'), /has left the cluster/);
  assert.deepEqual(await dead.daemon.ended, { code: 0, signal: null });
  assert.equal(existsSync(join(dead.stateDir, 'certificates')), false);
});
