/**
 * Placement constraints: `key==value` and `key!=value` over the facts of a node.
 *
 * One reading of them for everybody who asks: the control API refuses what does not parse, the
 * placement engine and the orchestrators match. Values compare without regard to case; what a node
 * does not say compares as the empty string; a key that nobody knows matches no node at all.
 */
import { contains, parseAddress, parseSubnet, type Address } from './addresses.ts';
import type { Node } from '../wire/gen/objects.ts';
import { NodeRole } from '../wire/gen/types.ts';

/** One parsed constraint. `key` and `value` are trimmed and otherwise as written. */
export type Constraint = {
  readonly key: string;
  readonly operator: '==' | '!=';
  readonly value: string;
};

/** Parsed constraints, or the text that tells the user what is wrong with the first bad one. */
export type ParsedConstraints =
  | { readonly ok: true; readonly constraints: readonly Constraint[] }
  | { readonly ok: false; readonly error: string };

/** What constraints can see of a node. */
export type ConstraintSubject = {
  readonly id: string;
  readonly hostname: string;
  /** The address the node is seen at; empty when it never was. */
  readonly address: string;
  readonly role: 'manager' | 'worker';
  readonly os: string;
  readonly architecture: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly engineLabels: ReadonlyMap<string, string>;
};

const OPERATORS = ['==', '!='] as const;
const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_ \t\n\f\r.*()?+[\]\\^$|/]+$/i;

export const NODE_LABEL_PREFIX = 'node.labels.';
export const ENGINE_LABEL_PREFIX = 'engine.labels.';

/**
 * Reads the constraints of a service.
 *
 * @example parseConstraints(['node.role==manager'])
 */
export function parseConstraints(expressions: readonly string[]): ParsedConstraints {
  const constraints: Constraint[] = [];
  for (const expression of expressions) {
    const parsed = parseConstraint(expression);
    if (typeof parsed === 'string') return { ok: false, error: parsed };
    constraints.push(parsed);
  }
  return { ok: true, constraints };
}

/** One constraint, or its error text. `==` is looked for first, wherever it stands. */
function parseConstraint(expression: string): Constraint | string {
  const operator = OPERATORS.find((candidate) => expression.includes(candidate));
  if (operator === undefined) return 'constraint expected one operator from ==, !=';
  const at = expression.indexOf(operator);
  const key = expression.slice(0, at).trim();
  const value = expression.slice(at + operator.length).trim();
  if (!KEY.test(key)) return `key '${key}' is invalid`;
  if (!VALUE.test(value)) return `value '${value}' is invalid`;
  return { key, operator, value };
}

/** Whether the node satisfies every constraint. */
export function matchesConstraints(
  constraints: readonly Constraint[],
  subject: ConstraintSubject,
): boolean {
  return constraints.every((constraint) => matchesConstraint(constraint, subject));
}

function matchesConstraint(constraint: Constraint, subject: ConstraintSubject): boolean {
  const wanted = constraint.operator === '==';
  if (constraint.key.toLowerCase() === 'node.ip') {
    return addressEquals(constraint.value, subject.address) === wanted;
  }
  const actual = subjectValue(constraint.key, subject);
  if (actual === undefined) return false;
  return (actual.toLowerCase() === constraint.value.toLowerCase()) === wanted;
}

/** What the node says for a key: '' when it says nothing, undefined when there is no such key. */
function subjectValue(key: string, subject: ConstraintSubject): string | undefined {
  switch (key.toLowerCase()) {
    case 'node.id':
      return subject.id;
    case 'node.hostname':
      return subject.hostname;
    case 'node.role':
      return subject.role;
    case 'node.platform.os':
      return subject.os;
    case 'node.platform.arch':
      return subject.architecture;
    default:
      return subjectLabel(key, subject);
  }
}

/**
 * The value of `node.labels.K` or `engine.labels.K`: the prefix in any case, K exactly. '' when the
 * node has no such label, undefined when the text names no label. Spread preferences use it too.
 */
export function subjectLabel(descriptor: string, subject: ConstraintSubject): string | undefined {
  const node = afterPrefix(descriptor, NODE_LABEL_PREFIX);
  if (node !== undefined) return subject.labels.get(node) ?? '';
  const engine = afterPrefix(descriptor, ENGINE_LABEL_PREFIX);
  return engine === undefined ? undefined : (subject.engineLabels.get(engine) ?? '');
}

function afterPrefix(text: string, prefix: string): string | undefined {
  if (text.length <= prefix.length) return undefined;
  return text.slice(0, prefix.length).toLowerCase() === prefix
    ? text.slice(prefix.length)
    : undefined;
}

/**
 * Whether the node's address is the given one or lies in the given block; undefined, which no
 * operator matches, when the constraint's value is neither.
 */
function addressEquals(value: string, nodeAddress: string): boolean | undefined {
  const actual = unmapped(parseAddress(nodeAddress));
  const single = unmapped(parseAddress(value));
  if (single !== undefined)
    return actual?.family === single.family && actual.value === single.value;
  const subnet = parseSubnet(value);
  if (subnet === undefined) return undefined;
  return actual !== undefined && contains(subnet, actual);
}

const MAPPED_HIGH_BITS = 0xffffn;

/** An IPv4 address written as `::ffff:a.b.c.d` is that IPv4 address. */
function unmapped(address: Address | undefined): Address | undefined {
  if (address?.family !== 6 || address.value >> 32n !== MAPPED_HIGH_BITS) return address;
  return { family: 4, value: address.value & 0xffff_ffffn };
}

/** What constraints see of a stored node. */
export function constraintSubject(node: Node): ConstraintSubject {
  const description = node.description;
  return {
    id: node.id,
    hostname: description?.hostname ?? '',
    address: node.status.addr,
    role: node.role === NodeRole.MANAGER ? 'manager' : 'worker',
    os: description?.platform?.os ?? '',
    architecture: description?.platform?.architecture ?? '',
    labels: new Map(Object.entries(node.spec.annotations.labels)),
    engineLabels: new Map(Object.entries(description?.engine?.labels ?? {})),
  };
}
