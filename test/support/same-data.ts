/** Whether several managers hold the same, object by object and version by version. */
import { createHash } from 'node:crypto';
import type { ServiceClient } from '../../src/main/rpc/client.ts';
import {
  Cluster,
  Config,
  Network,
  Node,
  Secret,
  Service,
  Task,
  Volume,
} from '../../src/shared/wire/gen/objects.ts';
import type { ManagerProcess, Managers } from './managers.ts';

const CALL = { timeoutMs: 15_000 } as const;

type Held = {
  readonly id: string;
  readonly meta: { readonly version: { readonly index: number } };
};
type Codec<T> = { readonly name: string; readonly encode: (object: T) => Uint8Array };

/** What tells each from any other, and from what it was before. */
const lines = <T extends Held>({ name, encode }: Codec<T>, objects: readonly T[]): string[] =>
  objects.map((object) => {
    const digest = createHash('sha256').update(encode(object)).digest('hex');
    return `${name} ${object.id} at version ${object.meta.version.index}, ${digest}`;
  });

/** Everything that a manager tells of its own store. */
async function told(control: ServiceClient<'Control'>): Promise<string[]> {
  const { nodes } = await control.ListNodes({}, CALL);
  return [
    ...lines(Cluster, (await control.ListClusters({}, CALL)).clusters),
    // Whether a member is reached differs from member to member.
    ...lines(
      Node,
      nodes.map((node) => ({ ...node, managerStatus: undefined })),
    ),
    ...lines(Service, (await control.ListServices({}, CALL)).services),
    ...lines(Task, (await control.ListTasks({}, CALL)).tasks),
    ...lines(Network, (await control.ListNetworks({}, CALL)).networks),
    ...lines(Secret, (await control.ListSecrets({}, CALL)).secrets),
    ...lines(Config, (await control.ListConfigs({}, CALL)).configs),
    ...lines(Volume, (await control.ListVolumes({}, CALL)).volumes),
  ];
}

/** Resolves when all of these managers hold the same. */
export async function holdTheSame(
  managers: Managers,
  these: readonly ManagerProcess[],
): Promise<void> {
  const names = these.map(({ name }) => name).join(', ');
  let differences = '';
  const what = (): string => `${names} hold the same; ${differences}`;
  await managers.until(what, async () => {
    const all = await Promise.all(these.map(({ control }) => told(control)));
    const [first, ...others] = all.map((held) => new Set(held));
    if (first === undefined) return true;
    const only = others.flatMap((other) => [
      ...first.difference(other),
      ...other.difference(first),
    ]);
    differences = only.slice(0, 4).join('\n');
    return only.length === 0;
  });
}
