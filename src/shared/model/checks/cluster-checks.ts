/** Checks of a cluster spec that need nothing but the spec itself (behaviour rule 9.3). */
import type { ClusterSpec } from '../../wire/gen/specs.ts';
import { invalid, malformedSpan, notNegative, type Problems, spanNanos } from './problem.ts';

/** The one cluster of a store is called so. */
const CLUSTER_NAME = 'default';

const CERTIFICATE_EXPIRY_MIN_NANOS = 3_600_000_000_000n;

/** What is wrong with the spec, in SwarmKit's order. */
export function* clusterProblems(spec: ClusterSpec): Problems {
  const expiry = spec.caConfig.nodeCertExpiry;
  const nanos = expiry && spanNanos(expiry);
  if (expiry !== undefined && nanos === undefined) {
    yield malformedSpan(['caConfig', 'nodeCertExpiry'], expiry);
  }
  if (nanos !== undefined && nanos < CERTIFICATE_EXPIRY_MIN_NANOS) {
    yield invalid(['caConfig', 'nodeCertExpiry'], 'minimum certificate expiry time is: 1h0m0s');
  }
  for (const [index, { secret }] of spec.acceptancePolicy.policies.entries()) {
    if (secret === undefined || secret.alg.toLowerCase() === 'bcrypt') continue;
    yield invalid(
      ['acceptancePolicy', 'policies', index, 'secret', 'alg'],
      `hashing algorithm is not supported: ${secret.alg}`,
    );
  }
  yield* notNegative(
    ['dispatcher', 'heartbeatPeriod'],
    spec.dispatcher.heartbeatPeriod,
    'heartbeat time period cannot be a negative duration',
  );
  if (spec.annotations.name !== CLUSTER_NAME) {
    yield invalid(['annotations', 'name'], 'modification of cluster name is not allowed');
  }
}
