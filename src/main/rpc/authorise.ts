/**
 * Who is calling, and may they: the rules of behaviour 3.8 and 3.9, as pure functions.
 *
 * A caller is a verified certificate, or somebody whom a manager forwards in metadata, or nobody.
 * Only certificates of this cluster's organisation count, and only those not removed from it.
 */
import type { PeerCertificate } from 'node:tls';
import { Code, RpcError } from './errors.ts';

export const Role = { MANAGER: 'swarm-manager', WORKER: 'swarm-worker' } as const;
export type Role = (typeof Role)[keyof typeof Role];

/** What a certificate says about its holder. */
export type Identity = {
  /** Common name. Empty when nobody is known. */
  readonly nodeId: string;
  /** First organization: the cluster id. */
  readonly organization: string;
  /** Organizational units: `swarm-manager`, `swarm-worker`. */
  readonly roles: readonly string[];
};

/** On whose behalf a handler works. `nodeId` is set whenever the method's table asks for a role. */
export type Caller = Identity & {
  /** `ip:port` of whoever asked first, also through a forwarder. */
  readonly remoteAddress: string;
  /** Came over this node's control socket, and counts as this node itself. */
  readonly local: boolean;
  /** `host:port` where the caller itself says that it is reached: a manager to another one. */
  readonly listensAt?: string;
  /** Node id of the manager that passed the call on. */
  readonly forwardedBy: string | undefined;
};

/** What a listener knows of a connection. */
export type Peer = {
  readonly identity: Identity | undefined;
  readonly address: string;
};

/** The forwarding metadata of a request; see `forwardedFrom`. */
export type Forwarded = {
  readonly nodeId: string | undefined;
  readonly organization: string | undefined;
  readonly roles: readonly string[];
  readonly remoteAddress: string;
};

/** What a cluster accepts. */
export type Policy = {
  /** The cluster id, which every certificate names as its organization. */
  readonly organization: string;
  /** True for a node that was removed from the cluster. */
  readonly isRemoved: (nodeId: string) => boolean;
};

const NOBODY: Identity = { nodeId: '', organization: '', roles: [] };

function list(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

/** The identity in a verified certificate; `undefined` when it names nobody. */
export function identityOf(certificate: PeerCertificate): Identity | undefined {
  const subject: Partial<Record<string, string | string[]>> = { ...certificate.subject };
  const nodeId = list(subject['CN']).at(0) ?? '';
  const organization = list(subject['O']).at(0) ?? '';
  if (nodeId === '' && organization === '') return undefined;
  return { nodeId, organization, roles: list(subject['OU']) };
}

/** The header of {@link Caller.listensAt}. */
export const LISTENS_AT = 'skein-listens-at';

/** Reads one header of a request: all its values. */
export type Header = (name: string) => readonly string[];

/** The forwarding metadata, if there is any: exactly one `forwarded_cert: true`. */
export function forwardedFrom(header: Header): Forwarded | undefined {
  const marks = header('forwarded_cert');
  if (marks.length !== 1 || marks[0] !== 'true') return undefined;
  return {
    nodeId: header('forwarded_cert_cn').at(0),
    organization: header('forwarded_cert_org').at(0),
    // Node joins repeated headers; a role holds no comma.
    roles: header('forwarded_cert_ou').flatMap((roles) => roles.split(/,\s*/).filter(Boolean)),
    remoteAddress: header('remote_addr').at(0) ?? '',
  };
}

const denied = (text: string): RpcError => new RpcError(Code.PERMISSION_DENIED, text);

/** Go prints a string list so. */
const goList = (items: readonly string[]): string => `[${items.join(' ')}]`;

function direct(
  identity: Identity | undefined,
  roles: readonly string[],
  policy: Policy,
): Identity {
  if (identity === undefined) throw denied('no client certificates in request');
  if (!identity.roles.some((role) => roles.includes(role))) {
    throw denied(`Permission denied: remote certificate not part of OUs: ${goList(roles)}`);
  }
  if (policy.isRemoved(identity.nodeId)) {
    throw denied(`Permission denied: node ${identity.nodeId} was removed from swarm`);
  }
  if (identity.organization !== policy.organization) {
    throw denied(
      `Permission denied: remote certificate not part of organization: ${policy.organization}`,
    );
  }
  return identity;
}

/** Runs a check and, when it refuses, says so in the words of the outer rule. */
function within(outer: string, check: () => Identity): Identity {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    throw denied(`Permission denied: ${outer}: ${error.goText}`);
  }
}

function relayed(forwarded: Forwarded, roles: readonly string[], policy: Policy): Identity {
  const { nodeId, organization } = forwarded;
  if (!nodeId || !organization || forwarded.roles.length === 0) {
    throw denied('Permission denied: missing information in forwarded request');
  }
  if (!forwarded.roles.some((role) => roles.includes(role))) {
    throw denied(`Permission denied: unauthorized forwarded role, expecting: ${goList(roles)}`);
  }
  if (organization !== policy.organization) {
    throw denied(`Permission denied: organization mismatch, expecting: ${policy.organization}`);
  }
  // SwarmKit forgets this check for forwarded callers: a removed node could go through a follower.
  if (policy.isRemoved(nodeId)) {
    throw denied(`Permission denied: node ${nodeId} was removed from swarm`);
  }
  return { nodeId, organization, roles: forwarded.roles };
}

/**
 * The manager that passes somebody else's call on.
 *
 * @throws RpcError PermissionDenied when the peer may not speak for others.
 */
export function authoriseForwarder(peer: Peer, policy: Policy): Identity {
  return within('unauthorized forwarder role', () => direct(peer.identity, [Role.MANAGER], policy));
}

/**
 * The caller of a method that asks for one of `roles`.
 *
 * @throws RpcError PermissionDenied, in SwarmKit's words.
 */
export function authorise(
  peer: Peer,
  forwarded: Forwarded | undefined,
  roles: readonly string[],
  policy: Policy,
): Caller {
  if (forwarded === undefined) {
    const identity = within('unauthorized peer role', () => direct(peer.identity, roles, policy));
    return { ...identity, remoteAddress: peer.address, local: false, forwardedBy: undefined };
  }
  const forwarder = authoriseForwarder(peer, policy);
  const identity = relayed(forwarded, roles, policy);
  const remoteAddress = forwarded.remoteAddress || peer.address;
  return { ...identity, remoteAddress, local: false, forwardedBy: forwarder.nodeId };
}

/** The manager that passed a call on, if it is one that may. */
function forwarderOf(peer: Peer, policy: Policy): Identity | undefined {
  try {
    return direct(peer.identity, [Role.MANAGER], policy);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return undefined;
  }
}

/** The caller of a method that anybody may call: whoever can be recognised, else nobody. */
export function recognise(peer: Peer, forwarded: Forwarded | undefined, policy: Policy): Caller {
  try {
    return authorise(peer, forwarded, Object.values(Role), policy);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
  }
  const forwarder = forwarded === undefined ? undefined : forwarderOf(peer, policy);
  const from = forwarder === undefined ? undefined : forwarded?.remoteAddress;
  return {
    ...NOBODY,
    remoteAddress: from ?? peer.address,
    local: false,
    forwardedBy: forwarder?.nodeId,
  };
}
