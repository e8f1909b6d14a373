/** The bridges on this engine that stand for networks of the cluster. */
import type Docker from 'dockerode';
import type { NetworkAttachment, Task } from '../../../../shared/wire/gen/objects.ts';
import type { Cancellation } from '../cancellation.ts';
import type { ExecutorLog } from '../executor.ts';
import { call, callOptional, EngineError, ignoring } from './calls.ts';
import {
  bridgeName,
  bridgeSettings,
  endpointSettings,
  networkSettings,
} from './network-settings.ts';

export class EngineNetworks {
  readonly #docker: Docker;
  readonly #log: ExecutorLog;
  /** Bridges that are being made: two tasks must not make one twice. */
  readonly #making = new Map<string, Promise<void>>();

  constructor(docker: Docker, log: ExecutorLog) {
    this.#docker = docker;
    this.#log = log;
  }

  /** Sees to it that the task's bridges are there. */
  async ensure(task: Task, cancellation: Cancellation): Promise<void> {
    for (const attachment of networkSettings(task).bridges) {
      const name = bridgeName(attachment);
      const making = this.#making.get(name) ?? this.#make(attachment, cancellation);
      this.#making.set(name, making);
      try {
        await making;
      } finally {
        this.#making.delete(name);
      }
    }
  }

  /** Connects a created container to its second and further bridges. */
  async connect(task: Task, containerId: string, cancellation: Cancellation): Promise<void> {
    for (const attachment of networkSettings(task).bridges.slice(1)) {
      const network = this.#docker.getNetwork(bridgeName(attachment));
      const options = {
        Container: containerId,
        EndpointConfig: endpointSettings(task, attachment),
      };
      await ignoring(
        [403],
        call(() => network.connect(options), cancellation),
      );
    }
  }

  /** Removes the task's bridges, but those that others use. */
  async release(task: Task): Promise<void> {
    for (const attachment of networkSettings(task).bridges) {
      const network = this.#docker.getNetwork(bridgeName(attachment));
      await ignoring(
        [403, 404, 409],
        call(() => network.remove()),
      );
    }
  }

  async #make(attachment: NetworkAttachment, cancellation: Cancellation): Promise<void> {
    const name = bridgeName(attachment);
    const network = this.#docker.getNetwork(name);
    const found = await callOptional(async () => network.inspect(), cancellation);
    if (found !== undefined) return;
    try {
      await call(() => this.#docker.createNetwork(bridgeSettings(attachment)), cancellation);
    } catch (error) {
      if (error instanceof EngineError && error.statusCode === 409) return;
      throw error;
    }
    this.#log.info({ network: name }, 'made a bridge of this engine for a network of the cluster');
  }
}
