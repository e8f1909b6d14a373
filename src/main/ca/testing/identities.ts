/** A cluster's identities for tests: a root, and certificates for whoever is needed. */
import type { Role } from '../../rpc/authorise.ts';
import type { Credentials } from '../../rpc/listener.ts';
import { certificateRequest, newKey } from '../certificates.ts';
import { RootCa } from '../root.ts';

export type TestCluster = {
  readonly organization: string;
  readonly root: RootCa;
  /** A certificate of this cluster. */
  readonly member: (nodeId: string, role: Role, organization?: string) => Promise<Credentials>;
};

export async function testCluster(organization = 'testorganization'): Promise<TestCluster> {
  const nowMs = Date.now();
  const root = await RootCa.create(nowMs);
  return {
    organization,
    root,
    member: async (nodeId, role, inside = organization) => {
      const keyPem = await newKey();
      const name = { nodeId, organization: inside, role };
      const certificatePem = root.issue(certificateRequest(keyPem), name, { nowMs, expiryMs: 0 });
      return { certificatePem, keyPem, rootPem: root.certificatePem };
    },
  };
}
