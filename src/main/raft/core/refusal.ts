/**
 * What the core turns down, as values: the caller's or a peer's doing, never a bug of ours.
 */

/** Why a request or message was not taken. `detail` is for people. */
export type Refusal = { readonly code: RefusalCode; readonly detail: string };

export type RefusalCode = keyof typeof REFUSALS;

const REFUSALS = {
  PROPOSAL_DROPPED: 'raft proposal dropped',
  LOCAL_MESSAGE: 'raft: cannot step raft local message',
  PEER_NOT_FOUND: 'raft: cannot step as peer not found',
  MALFORMED_MESSAGE: 'raft: message entries are not consecutive or of a later term',
  CONF_CHANGE_UNSUPPORTED:
    'raft: only single changes that add, remove or update one voter are supported',
  CONF_CHANGE_LEAVES_NOBODY: 'raft: the configuration change would remove the last voter',
} as const;

export function refuse(code: RefusalCode): Refusal {
  return { code, detail: REFUSALS[code] };
}

/** A committed change or a stored configuration that this node cannot follow. */
export class ConfigurationError extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode) {
    super(REFUSALS[code]);
    this.name = 'ConfigurationError';
    this.code = code;
  }
}
