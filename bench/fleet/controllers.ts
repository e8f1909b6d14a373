/**
 * Simulated controllers without threads, for many workers in one process: tasks go through the states
 * of a container at once or after a delay, and end when they are told to.
 */
import { timestampOf } from '../../src/shared/model/time.ts';
import { Task } from '../../src/shared/wire/gen/objects.ts';
import { NodeDescription, TaskState, TaskStatus } from '../../src/shared/wire/gen/types.ts';
import type { AgentControllers } from '../../src/main/agent/agent.ts';
import { TaskLogs } from '../../src/main/pools/task-logs.ts';
import type { StatusUpdate, StoredTask } from '../../src/main/pools/tasks.ts';

/** The five reports of a stock engine on the way up. */
const STEPS = [
  [TaskState.ACCEPTED, 'accepted'],
  [TaskState.PREPARING, 'preparing'],
  [TaskState.READY, 'prepared'],
  [TaskState.STARTING, 'starting'],
  [TaskState.RUNNING, 'started'],
] as const;

const nothing = (): void => undefined;

export type SimulatedOptions = {
  readonly hostname: string;
  readonly onStatuses: (updates: readonly StatusUpdate[]) => void;
  readonly onRemoved: (ids: readonly string[]) => void;
  /** `last`: only the state that a task reaches; `each`: every one on the way. */
  readonly report: 'last' | 'each';
};

export class SimulatedControllers implements AgentControllers {
  readonly #options: SimulatedOptions;
  readonly #states = new Map<string, TaskState>();

  constructor(options: SimulatedOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#states.size;
  }

  async assign(tasks: readonly StoredTask[]): Promise<void> {
    const updates = tasks.flatMap((task) => this.#steps(task));
    if (this.#options.report === 'last') this.#options.onStatuses(updates);
    else for (const update of updates) this.#options.onStatuses([update]);
  }

  /** The statuses that bring a task from where it is to where it is wanted. */
  #steps({ id, bytes }: StoredTask): StatusUpdate[] {
    const { desiredState, status } = Task.decode(bytes);
    const from = this.#states.get(id) ?? status.state;
    const timestamp = timestampOf(Date.now());
    const update = (state: TaskState, message: string): StatusUpdate => ({
      taskId: id,
      status: TaskStatus.create({ timestamp, state, message }),
    });
    if (desiredState >= TaskState.SHUTDOWN) {
      if (from > TaskState.RUNNING) return [];
      this.#states.set(id, TaskState.SHUTDOWN);
      return [update(TaskState.SHUTDOWN, 'shutdown')];
    }
    const steps = STEPS.filter(([state]) => state > from && state <= desiredState);
    const last = steps.at(-1);
    if (last === undefined) return [];
    this.#states.set(id, last[0]);
    return (this.#options.report === 'last' ? [last] : steps).map(([s, m]) => update(s, m));
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.#states.delete(id);
    this.#options.onRemoved(ids);
  }

  changeSecrets(): void {}
  changeConfigs(): void {}
  replaceDependencies(): void {}

  async describe(): Promise<NodeDescription> {
    return NodeDescription.create({
      hostname: this.#options.hostname,
      platform: { os: 'linux', architecture: 'x86_64' },
      resources: { nanoCpus: 64e9, memoryBytes: 256 * 2 ** 30 },
      engine: {
        plugins: [
          { type: 'Runtime', name: 'simulated' },
          { type: 'Network', name: 'overlay' },
          { type: 'Network', name: 'host' },
        ],
      },
    });
  }

  logs(message: Parameters<AgentControllers['logs']>[0]): TaskLogs {
    return new TaskLogs({ message, threads: 0, credit: nothing, over: nothing });
  }
}
