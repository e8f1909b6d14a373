/** Objects by what users call them: a whole id, a name, or the beginning of one id. */
import type {
  Cluster as ClusterObject,
  Config,
  Network,
  Node,
  Secret,
  Service,
  Task,
} from '../../shared/wire/gen/objects.ts';
import { CommandError } from './command-error.ts';
import type { Control } from './connection.ts';

type Filters = { readonly names?: readonly string[]; readonly idPrefixes?: readonly string[] };
type Found = { readonly id: string };

/** Fewer letters than this begin too many ids to be meant as one. */
const NAME_FIRST_THEN_ID = 1;

async function find<T extends Found>(
  kind: string,
  reference: string,
  list: (filters: Filters) => Promise<readonly T[]>,
): Promise<T> {
  if (reference.length < NAME_FIRST_THEN_ID) throw new CommandError(`the ${kind} has no name`);
  const byId = await list({ idPrefixes: [reference] });
  const exact = byId.find(({ id }) => id === reference);
  if (exact !== undefined) return exact;
  const byName = await list({ names: [reference] });
  const found = byName.length > 0 ? byName : byId;
  const only = found[0];
  if (only === undefined) throw new CommandError(`${kind} ${reference} not found`);
  if (found.length > 1) {
    throw new CommandError(`${kind} ${reference} is ambiguous (${found.length} matches found)`);
  }
  return only;
}

export const findService = (control: Control, reference: string): Promise<Service> =>
  find('service', reference, async (filters) => (await control.ListServices({ filters })).services);

export const findNode = (control: Control, reference: string): Promise<Node> =>
  find('node', reference, async (filters) => (await control.ListNodes({ filters })).nodes);

export const findTask = (control: Control, reference: string): Promise<Task> =>
  find('task', reference, async (filters) => (await control.ListTasks({ filters })).tasks);

export const findNetwork = (control: Control, reference: string): Promise<Network> =>
  find('network', reference, async (filters) => (await control.ListNetworks({ filters })).networks);

export const findSecret = (control: Control, reference: string): Promise<Secret> =>
  find('secret', reference, async (filters) => (await control.ListSecrets({ filters })).secrets);

export const findConfig = (control: Control, reference: string): Promise<Config> =>
  find('config', reference, async (filters) => (await control.ListConfigs({ filters })).configs);

/** The one cluster that a manager serves. */
export async function theCluster(control: Control): Promise<ClusterObject> {
  const { clusters } = await control.ListClusters({});
  const [cluster] = clusters;
  if (cluster === undefined) throw new CommandError('the manager serves no cluster yet');
  return cluster;
}
