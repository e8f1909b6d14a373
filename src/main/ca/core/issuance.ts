/** What happens to a node's certificate in the store (behaviour rule 4.4): pure over objects. */
import { type Cluster, Node } from '../../../shared/wire/gen/objects.ts';
import { type NodeSpecAvailability, NodeSpecMembership } from '../../../shared/wire/gen/specs.ts';
import { IssuanceStatusState as State, NodeRole } from '../../../shared/wire/gen/types.ts';

/** Whether the signer has work: a renewal, or a new node that was accepted. */
export function needsCertificate(node: Node): boolean {
  const { state } = node.certificate.status;
  if (state === State.RENEW) return true;
  return state === State.PENDING && node.spec.membership === NodeSpecMembership.ACCEPTED;
}

/** Whether whoever waits for this certificate has their answer. ROTATE: it is there, but old. */
export function isSettled(node: Node): boolean {
  const { state } = node.certificate.status;
  return state === State.ISSUED || state === State.FAILED || state === State.ROTATE;
}

/** A node that joins, as it is first stored. */
export function joiningNode(
  id: string,
  request: {
    readonly role: NodeRole;
    readonly csr: Uint8Array;
    readonly availability: NodeSpecAvailability;
  },
  cluster: Cluster,
): Node {
  const { role, csr, availability } = request;
  return Node.create({
    id,
    role,
    spec: { desiredRole: role, membership: NodeSpecMembership.ACCEPTED, availability },
    certificate: { csr, cn: id, role, status: { state: State.PENDING } },
    vxlanUdpPort: cluster.vxlanUdpPort,
  });
}

/** The node with a request for a new certificate, for the role it has now. */
export function renewing(node: Node, csr: Uint8Array): Node {
  return {
    ...node,
    certificate: {
      role: node.role,
      csr,
      status: { state: State.RENEW, err: '' },
      certificate: new Uint8Array(),
      cn: node.id,
    },
  };
}

/** The node with its signed certificate. */
export function issued(node: Node, certificate: Uint8Array): Node {
  const status = { state: State.ISSUED, err: '' } as const;
  return { ...node, certificate: { ...node.certificate, certificate, status } };
}

/** The node whose request cannot be signed. */
export function refused(node: Node, err: string): Node {
  return { ...node, certificate: { ...node.certificate, status: { state: State.FAILED, err } } };
}

/** Which role a join token gives; `undefined` when it is none of the cluster's. */
export function roleOfToken(
  token: string,
  cluster: Cluster,
  same: (given: string, wanted: string) => boolean,
): NodeRole | undefined {
  const { manager, worker } = cluster.rootCa.joinTokens;
  if (same(token, manager)) return NodeRole.MANAGER;
  if (same(token, worker)) return NodeRole.WORKER;
  return undefined;
}
