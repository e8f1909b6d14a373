/** The cluster as clients may see it: no key of any kind leaves a manager through this API. */
import { Cluster } from '../../shared/wire/gen/objects.ts';
import type { RootCA } from '../../shared/wire/gen/types.ts';
import { EMPTY_BYTES } from '../../shared/wire/runtime.ts';

/** What a cluster that says nothing uses. */
const DEFAULT_ADDRESS_POOL = ['10.0.0.0/8'];
const DEFAULT_SUBNET_SIZE = 24;
const DEFAULT_VXLAN_PORT = 4789;

/** Built from what may be shown, so that a new field is hidden until somebody decides otherwise. */
export function redactedCluster(cluster: Cluster): Cluster {
  const { spec, defaultAddressPool } = cluster;
  return Cluster.create({
    id: cluster.id,
    meta: cluster.meta,
    spec: {
      ...spec,
      caConfig: { ...spec.caConfig, signingCaCert: EMPTY_BYTES, signingCaKey: EMPTY_BYTES },
    },
    rootCa: redactedRoot(cluster.rootCa),
    blacklistedCertificates: cluster.blacklistedCertificates,
    defaultAddressPool: defaultAddressPool.length > 0 ? defaultAddressPool : DEFAULT_ADDRESS_POOL,
    subnetSize: cluster.subnetSize || DEFAULT_SUBNET_SIZE,
    vxlanUdpPort: cluster.vxlanUdpPort || DEFAULT_VXLAN_PORT,
  });
}

function redactedRoot(root: RootCA): RootCA {
  const { rootRotation } = root;
  return {
    ...root,
    caKey: EMPTY_BYTES,
    rootRotation: rootRotation && { ...rootRotation, caKey: EMPTY_BYTES },
  };
}
