/** What a node offers beside what its machine has: the operator's labels and resources. */
import type { GenericResource, NodeDescription } from '../../shared/wire/gen/types.ts';
import type { AgentControllers } from '../agent/agent.ts';

export type NodeOffer = {
  /** Engine labels, for constraints on `engine.labels`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly generic: readonly GenericResource[];
  /** Instead of what the machine has. */
  readonly nanoCpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
};

/** The description with the offer in it; the offer's labels stand above the machine's. */
export function described(description: NodeDescription, offer: NodeOffer): NodeDescription {
  const { resources, engine } = description;
  const { nanoCpus, memoryBytes, generic, labels } = offer;
  return {
    ...description,
    resources: {
      nanoCpus: nanoCpus ?? resources?.nanoCpus ?? 0,
      memoryBytes: memoryBytes ?? resources?.memoryBytes ?? 0,
      generic: [...(resources?.generic ?? []), ...generic],
    },
    engine: {
      engineVersion: engine?.engineVersion ?? '',
      plugins: engine?.plugins ?? [],
      labels: { ...engine?.labels, ...labels },
    },
  };
}

/** The same controllers, which describe the node with its offer. */
export function withOffer(controllers: AgentControllers, offer: NodeOffer): AgentControllers {
  return {
    assign: (tasks) => controllers.assign(tasks),
    remove: (ids) => controllers.remove(ids),
    changeSecrets: (...change) => controllers.changeSecrets(...change),
    changeConfigs: (...change) => controllers.changeConfigs(...change),
    replaceDependencies: (...all) => controllers.replaceDependencies(...all),
    logs: (...request) => controllers.logs(...request),
    describe: async () => described(await controllers.describe(), offer),
  };
}
