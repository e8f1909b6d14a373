/** Secrets: their data comes in, and never out of this API (behaviour rule 9.3). */
import { bytesEqual } from '../../shared/kit/deep-equal.ts';
import { secretProblems } from '../../shared/model/checks/payload-checks.ts';
import {
  type CreateSecretRequest,
  type GetSecretRequest,
  type ListSecretsRequest,
  type RemoveSecretRequest,
  RemoveSecretResponse,
  type UpdateSecretRequest,
} from '../../shared/wire/gen/control.ts';
import { Secret } from '../../shared/wire/gen/objects.ts';
import type { SecretSpec } from '../../shared/wire/gen/specs.ts';
import { EMPTY_BYTES } from '../../shared/wire/runtime.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import type { ControlContext } from './context.ts';
import { ANNOTATIONS, listUnion } from './filters.ts';
import { inUse, serviceNames } from './references.ts';
import { found, invalidArgument, inWords, refuseProblems, required } from './refusals.ts';

type SecretHandlers = Pick<
  Handlers<'Control'>,
  'CreateSecret' | 'GetSecret' | 'ListSecrets' | 'UpdateSecret' | 'RemoveSecret'
>;

export function secretHandlers(context: ControlContext): SecretHandlers {
  return {
    CreateSecret: async (request) => ({ secret: redacted(await create(context, request)) }),
    GetSecret: (request) => ({ secret: redacted(get(context, request)) }),
    ListSecrets: (request) => ({ secrets: list(context, request).map(redacted) }),
    UpdateSecret: async (request) => ({ secret: redacted(await update(context, request)) }),
    RemoveSecret: async (request) => remove(context, request),
  };
}

function redacted(secret: Secret): Secret {
  return { ...secret, spec: { ...secret.spec, data: EMPTY_BYTES } };
}

function create(context: ControlContext, request: CreateSecretRequest): Promise<Secret> {
  const spec = required(request.spec, 'the secret spec');
  refuseProblems(secretProblems(spec));
  refuseUnknownDriver(context, spec);
  const id = context.env.newId();
  const { name } = spec.annotations;
  const taken = new RpcError(Code.ALREADY_EXISTS, `secret ${name} already exists`);
  return context.store.update((tx) => {
    inWords({ NAME_CONFLICT: taken }, () => tx.secrets.create(Secret.create({ id, spec })));
    return found(tx.secrets.get(id), 'secret', id);
  });
}

function refuseUnknownDriver({ hasSecretDriver }: ControlContext, { driver }: SecretSpec): void {
  if (driver === undefined || hasSecretDriver(driver.name)) return;
  throw invalidArgument(
    `plugin "${driver.name}" not found: this manager has no secret driver of that name`,
  );
}

function get({ store }: ControlContext, { secretId }: GetSecretRequest): Secret {
  if (secretId === '') throw invalidArgument('secret ID must be provided');
  return found(
    store.view((view) => view.secrets.get(secretId)),
    'secret',
    secretId,
  );
}

/** Internal secrets are the dispatcher's own. */
function list({ store }: ControlContext, { filters }: ListSecretsRequest): readonly Secret[] {
  const secrets = store.view((view) => listUnion(view.secrets, filters, ANNOTATIONS.labels));
  return secrets.filter((secret) => !secret.internal);
}

function update({ store }: ControlContext, request: UpdateSecretRequest): Promise<Secret> {
  const id = required(request.secretId, 'the secret ID');
  const version = required(request.secretVersion, 'the secret version');
  const { annotations, data } = required(request.spec, 'the secret spec');
  return store.update((tx) => {
    const stored = found(tx.secrets.get(id), 'secret', id);
    const { spec } = stored;
    const isSame =
      annotations.name === spec.annotations.name &&
      (data.length === 0 || bytesEqual(data, spec.data));
    if (!isSame) throw invalidArgument('only updates to Labels are allowed');
    tx.secrets.update({
      ...stored,
      meta: { ...stored.meta, version },
      spec: { ...spec, annotations: { ...spec.annotations, labels: annotations.labels } },
    });
    return found(tx.secrets.get(id), 'secret', id);
  });
}

async function remove(
  { store }: ControlContext,
  { secretId }: RemoveSecretRequest,
): Promise<RemoveSecretResponse> {
  if (secretId === '') throw invalidArgument('secret ID must be provided');
  await store.update((tx) => {
    const secret = tx.secrets.get(secretId);
    if (secret === undefined) {
      throw new RpcError(Code.NOT_FOUND, `could not find secret ${secretId}`);
    }
    const users = serviceNames(tx.services.find('secret', secretId));
    const { name } = secret.spec.annotations;
    if (users.length > 0) throw inUse(`secret '${name}'`, 'service', users);
    tx.secrets.remove(secretId);
  });
  return RemoveSecretResponse.create();
}
