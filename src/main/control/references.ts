/** Secrets and configs that services name: they must be there, and stay as long as they are named. */
import type { Service } from '../../shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import type { RpcError } from '../rpc/errors.ts';
import type { View } from '../store/view.ts';
import { invalidArgument } from './refusals.ts';

type Named = { readonly spec: { readonly annotations: { readonly name: string } } };
type Reference = { readonly id: string; readonly name: string };

/** @throws RpcError InvalidArgument when a named secret or config is missing or has another name. */
export function refuseMissingReferences(view: View, spec: ServiceSpec): void {
  const { runtime } = spec.task;
  if (runtime?.case !== 'container') return;
  const secrets = runtime.value.secrets.map((r) => ({ id: r.secretId, name: r.secretName }));
  const configs = runtime.value.configs.map((r) => ({ id: r.configId, name: r.configName }));
  refuseMissing('secret', secrets, (id) => view.secrets.get(id));
  refuseMissing('config', configs, (id) => view.configs.get(id));
}

function refuseMissing(
  kind: 'secret' | 'config',
  references: readonly Reference[],
  get: (id: string) => Named | undefined,
): void {
  const missing = references.filter(({ id, name }) => get(id)?.spec.annotations.name !== name);
  refuseNotFound(
    kind,
    missing.map(({ name }) => name),
  );
}

function refuseNotFound(kind: string, missing: readonly string[]): void {
  if (missing.length === 0) return;
  throw invalidArgument(
    `${kind}${missing.length === 1 ? '' : 's'} not found: ${missing.join(', ')}`,
  );
}

/** @throws RpcError InvalidArgument when there is no secret of one of the ids. */
export function refuseMissingSecrets(view: View, ids: readonly string[]): void {
  refuseNotFound(
    'secret',
    ids.filter((id) => view.secrets.get(id) === undefined),
  );
}

/** The refusal to remove what services still name: `secret 'a' is in use by the following service: web`. */
export function inUse(what: string, kind: string, users: readonly string[]): RpcError {
  const noun = users.length === 1 ? kind : `${kind}s`;
  return invalidArgument(`${what} is in use by the following ${noun}: ${users.join(', ')}`);
}

/** Names of the services, in order. */
export function serviceNames(services: readonly Service[]): readonly string[] {
  return services
    .map((service) => service.spec.annotations.name)
    .toSorted((a, b) => (a < b ? -1 : 1));
}
