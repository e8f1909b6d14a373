/** Finds what a spec names: its networks, secrets and configs get the ids that the cluster gave them. */
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import type { Control } from '../connection.ts';
import { findConfig, findNetwork, findSecret } from '../lookup.ts';
import { containerOf, withContainer, withTask } from './edit.ts';

/** @throws CommandError for a name that means nothing, or more than one thing */
export async function withReferences(control: Control, spec: ServiceSpec): Promise<ServiceSpec> {
  const container = containerOf(spec);
  const networks = await Promise.all(
    spec.task.networks.map(async (network) => ({
      ...network,
      target: (await findNetwork(control, network.target)).id,
    })),
  );
  const secrets = await Promise.all(
    container.secrets.map(async (item) => {
      if (item.secretId !== '') return item;
      const { id, spec: found } = await findSecret(control, item.secretName);
      return { ...item, secretId: id, secretName: found.annotations.name };
    }),
  );
  const configs = await Promise.all(
    container.configs.map(async (item) => {
      if (item.configId !== '') return item;
      const { id, spec: found } = await findConfig(control, item.configName);
      return { ...item, configId: id, configName: found.annotations.name };
    }),
  );
  const withNetworks = withTask(spec, { networks });
  return secrets.length + configs.length === 0
    ? withNetworks
    : withContainer(withNetworks, { secrets, configs });
}
