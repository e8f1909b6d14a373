/**
 * Changes of the root certificate authority by an update of the cluster (behaviour rule 4.7). None is
 * carried out yet: whatever would start one is turned down, and whatever means "as it is" passes.
 */
import { deepEqual } from '../../shared/kit/deep-equal.ts';
import type { Cluster } from '../../shared/wire/gen/objects.ts';
import type { CAConfig } from '../../shared/wire/gen/types.ts';
import { invalidArgument, unimplemented } from './refusals.ts';

/** @throws RpcError InvalidArgument or Unimplemented when the update asks for another root. */
export function refuseRootChange({ rootCa, spec }: Cluster, wish: CAConfig): void {
  if (wish.signingCaKey.length > 0 && wish.signingCaCert.length === 0) {
    throw invalidArgument(
      'if a signing CA key is provided, the signing CA cert must also be provided',
    );
  }
  if (wish.signingCaCert.length > 0) {
    throw unimplemented(
      'changing the root CA certificate is not supported yet: leave signing_ca_cert and signing_ca_key empty',
    );
  }
  if (wish.forceRotate !== rootCa.lastForcedRotation) {
    throw unimplemented(
      `root CA rotation is not supported yet: leave force_rotate at ${rootCa.lastForcedRotation}`,
    );
  }
  if (!deepEqual(wish.externalCas, spec.caConfig.externalCas)) {
    throw unimplemented(
      'changing external CAs is not supported yet: leave external_cas as they are',
    );
  }
}
