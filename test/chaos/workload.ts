/**
 * Services whose tasks are watched: one that stays as it is, so that none of its tasks may move, one
 * that is scaled and one that is updated all the time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, hasCode, RpcError } from '../../src/main/rpc/errors.ts';
import type { Random } from '../../src/shared/kit/random.ts';
import { durationOf } from '../../src/shared/model/time.ts';
import type { Task } from '../../src/shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import { RestartPolicyRestartCondition, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import type { ManagerProcess, Managers } from '../support/managers.ts';
import type { Control } from './cells.ts';
import { isMeantToRun, type Pair, pairsIn } from './slots.ts';

const CALL = { timeoutMs: 5000 } as const;
/** Between two changes of the services, and between two looks at all tasks. */
const PERIOD_MS = 2000;
const SCALE_MAX = 100;
const ROLLED = 20;

/** By their ids. */
type Services = { readonly steady: string; readonly scaled: string; readonly rolled: string };

function specOf(name: string, replicas: number, image: string): Init<ServiceSpec> {
  return {
    annotations: { name: `watched-${name}` },
    task: {
      runtime: { case: 'container', value: { image } },
      restart: { condition: RestartPolicyRestartCondition.ANY, delay: durationOf(1000) },
    },
    mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
    update: { parallelism: 5 },
  };
}

async function create(managers: Managers, spec: Init<ServiceSpec>): Promise<string> {
  const { service } = await managers.anyRunning().control.CreateService({ spec }, CALL);
  if (service === undefined) throw new Error('an answer without its service');
  return service.id;
}

const isWanted = ({ desiredState }: Task): boolean => desiredState <= TaskState.RUNNING;

export class Workload {
  readonly #managers: Managers;
  readonly #random: Random;
  readonly #services: Services;
  /** The tasks of the service that stays, with their nodes. */
  readonly #steady: ReadonlyMap<string, string>;
  /** Two tasks of a slot, and whatever else tasks must never do. */
  readonly wrong = new Set<string>();
  /** Accepted changes of the services. */
  changes = 0;
  /** Looks at all tasks. */
  looks = 0;

  private constructor(
    managers: Managers,
    random: Random,
    services: Services,
    steady: readonly Task[],
  ) {
    this.#managers = managers;
    this.#random = random;
    this.#services = services;
    this.#steady = new Map(steady.map(({ id, nodeId }) => [id, nodeId]));
  }

  /** Creates the services; resolves when the one that stays runs in full. */
  static async start(managers: Managers, random: Random, replicas: number): Promise<Workload> {
    const services = {
      steady: await create(managers, specOf('steady', replicas, 'steady')),
      scaled: await create(managers, specOf('scaled', 10, 'scaled')),
      rolled: await create(managers, specOf('rolled', ROLLED, 'rolled')),
    };
    const { steady } = services;
    const tasks = await managers.until(`${replicas} tasks run`, async () => {
      const running = await runningOf(managers.anyRunning().control, steady);
      return running.length === replicas && running;
    });
    return new Workload(managers, random, services, tasks);
  }

  /** Changes the services, each now and then. */
  async change(isOver: () => boolean): Promise<void> {
    for (let turn = 1; !isOver(); turn += 1) {
      await sleep(PERIOD_MS);
      const isRoll = turn % 4 === 0;
      const { rolled, scaled } = this.#services;
      try {
        await (isRoll ? this.#roll(rolled, turn) : this.#scale(scaled));
        this.changes += 1;
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
      }
    }
  }

  /** Looks at all tasks again and again. */
  async watch(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await sleep(PERIOD_MS);
      try {
        await this.#look(this.#anyOne().control);
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
      }
    }
  }

  async #look(control: Control): Promise<void> {
    const { tasks } = await control.ListTasks({}, CALL);
    this.looks += 1;
    for (const pair of pairsIn(tasks)) {
      if (pair.isSure || (await areBothMeant(control, pair))) this.wrong.add(pair.text);
    }
  }

  /** What became of the tasks that were to stay: they run where they ran, and no other does. */
  async moved(control: Control): Promise<string[]> {
    const tasks = await runningOf(control, this.#services.steady);
    const now = new Map(tasks.map(({ id, nodeId }) => [id, nodeId]));
    const gone = [...this.#steady].filter(([id, nodeId]) => now.get(id) !== nodeId);
    const added = tasks.filter(({ id }) => !this.#steady.has(id));
    return [
      ...gone.map(([id, nodeId]) => `task ${id} runs on node ${nodeId} no more`),
      ...added.map(({ id, slot }) => `task ${id} took slot ${slot} of another`),
    ];
  }

  /** Resolves when every service has its replicas, all running. */
  async settles(): Promise<void> {
    for (const serviceId of Object.values(this.#services)) {
      await this.#managers.until(`the tasks of ${serviceId} run`, async () => {
        const { control } = this.#managers.anyRunning();
        const { service } = await control.GetService({ serviceId }, CALL);
        const mode = service?.spec.mode;
        const replicas = mode?.case === 'replicated' ? Number(mode.value.replicas) : -1;
        const { tasks } = await control.ListTasks({ filters: { serviceIds: [serviceId] } }, CALL);
        const meant = tasks.filter(isWanted);
        const slots = new Set(meant.map(({ slot }) => slot));
        const isRunning = meant.every(({ status }) => status.state === TaskState.RUNNING);
        return isRunning && meant.length === replicas && slots.size === replicas;
      });
    }
  }

  async #scale(serviceId: string): Promise<void> {
    const { control } = this.#anyOne();
    const { service } = await control.GetService({ serviceId }, CALL);
    const spec = specOf('scaled', 1 + this.#random.below(SCALE_MAX), 'scaled');
    await control.UpdateService({ serviceId, serviceVersion: service?.meta.version, spec }, CALL);
  }

  async #roll(serviceId: string, turn: number): Promise<void> {
    const { control } = this.#anyOne();
    const { service } = await control.GetService({ serviceId }, CALL);
    const spec = specOf('rolled', ROLLED, `rolled:${turn}`);
    await control.UpdateService({ serviceId, serviceVersion: service?.meta.version, spec }, CALL);
  }

  #anyOne(): ManagerProcess {
    const running = this.#managers.all.filter(({ daemon }) => daemon.isRunning);
    const manager = running[this.#random.below(Math.max(1, running.length))];
    return manager ?? this.#managers.anyRunning();
  }
}

async function runningOf(control: Control, serviceId: string): Promise<readonly Task[]> {
  const { tasks } = await control.ListTasks({ filters: { serviceIds: [serviceId] } }, CALL);
  return tasks.filter((task) => isWanted(task) && task.status.state === TaskState.RUNNING);
}

/** Whether there is a moment, now, at which both tasks are meant to run. */
async function areBothMeant(control: Control, { first, second }: Pair): Promise<boolean> {
  const look = async (taskId: string): Promise<Task | undefined> => {
    try {
      return (await control.GetTask({ taskId }, CALL)).task;
    } catch (error) {
      if (hasCode(error, Code.NOT_FOUND)) return undefined;
      throw error;
    }
  };
  const before = await look(first);
  const beside = await look(second);
  const after = await look(first);
  if (before === undefined || beside === undefined || after === undefined) return false;
  return [before, beside, after].every(isMeantToRun);
}
