/**
 * The commands of raft scripts, each acting on the script's cluster.
 */
import {
  ConfChange,
  ConfChangeType,
  Message,
  MessageType,
} from '../../src/shared/wire/gen/raftpb.ts';
import type { Refusal } from '../../src/main/raft/core/refusal.ts';
import { addNodesOptions } from './add-nodes.ts';
import type { Cluster, Recipient } from './cluster.ts';
import { describeEntry, describeMessage, describeProgress, describeRole } from './describe.ts';
import type { Output } from './output.ts';
import { ScriptError, parseCommand } from './script.ts';
import type { Argument, Command, Step } from './script.ts';

export type World = { readonly cluster: Cluster; readonly output: Output };

type Handler = (world: World, args: readonly Argument[]) => void;

/** Runs the command of `step`, and those in its input lines. */
export function runStep(world: World, { command, input }: Step): void {
  if (command.name === 'propose-conf-change') {
    proposeConfChange(world, command.args, input);
    return;
  }
  runCommand(world, command);
  for (const line of input) runCommand(world, parseCommand(line));
}

function runCommand(world: World, { name, args }: Command): void {
  const handler = COMMANDS[name];
  if (handler === undefined) throw new ScriptError(`unknown command ${name}`);
  handler(world, args);
}

const COMMANDS: { readonly [name: string]: Handler | undefined } = {
  'add-nodes': ({ cluster }, args) => {
    const { snapshot, options } = addNodesOptions(args.slice(1));
    cluster.addNodes(numberOf(args[0]), snapshot, options);
  },
  campaign: ({ cluster }, args) => cluster.raft(first(args)).campaign(),
  compact: (world, args) => {
    world.cluster.storage(first(args)).compact(numberOf(args[1]));
    printLog(world, first(args));
  },
  'deliver-msgs': deliverMessages,
  'forget-leader': ({ cluster }, args) => cluster.raft(first(args)).forgetLeader(),
  'log-level': ({ output }, args) => {
    output.level = levelOf(args[0]?.key);
  },
  'process-ready': processReady,
  propose: ({ cluster, output }, args) => {
    const data = Buffer.from(args[1]?.key ?? '');
    say(output, cluster.raft(first(args)).propose(data));
  },
  'raft-log': (world, args) => printLog(world, first(args)),
  'raft-state': printStates,
  'read-index': ({ cluster }, args) =>
    cluster.raft(first(args)).readIndex(Buffer.from(args[1]?.key ?? '')),
  'report-snapshot': ({ cluster }, args) =>
    cluster.raft(first(args)).reportSnapshot(idOf(args[1]), args[2]?.key !== 'failed'),
  'report-unreachable': ({ cluster }, args) =>
    cluster.raft(first(args)).reportUnreachable(idOf(args[1])),
  'send-snapshot': sendSnapshot,
  'set-randomized-election-timeout': ({ cluster }, args) =>
    cluster.raft(first(args)).overrideElectionTimeout(Number(valueOf(args, 'timeout'))),
  stabilize: ({ cluster, output }, args) => {
    const ids = idsOf(args);
    const level = args.find(({ key }) => key === 'log-level')?.values[0] ?? output.level;
    output.atLevel(levelOf(level), () => cluster.stabilize(ids.length > 0 ? ids : cluster.ids));
  },
  status: ({ cluster, output }, args) => {
    const { progress } = cluster.raft(first(args)).status();
    output.lines([...progress].map(([id, status]) => describeProgress(id, status)));
  },
  tick: ({ cluster }, args) => tick(cluster, first(args), numberOf(args[1])),
  'tick-election': ({ cluster }, args) =>
    tick(cluster, first(args), cluster.electionTicks(first(args))),
  'tick-heartbeat': ({ cluster }, args) => tick(cluster, first(args), 1),
  'transfer-leadership': ({ cluster }, args) =>
    cluster.raft(BigInt(valueOf(args, 'from'))).transferLeadership(BigInt(valueOf(args, 'to'))),
};

function deliverMessages({ cluster, output }: World, args: readonly Argument[]): void {
  const given = idsOf(args).map((id) => ({ id, drop: false }));
  const dropped = args
    .filter(({ key }) => key === 'drop')
    .flatMap(({ values }) => values.map((id): Recipient => ({ id: BigInt(id), drop: true })));
  const type = args.find(({ key }) => key === 'type')?.values[0];
  const count = cluster.deliver([...given, ...dropped], type === undefined ? null : typeOf(type));
  if (count === 0) output.lines(['no messages']);
}

function processReady({ cluster, output }: World, args: readonly Argument[]): void {
  const ids = idsOf(args);
  for (const id of ids) {
    if (ids.length === 1) cluster.processReady(id);
    else {
      output.lines([`> ${id} handling Ready`]);
      output.indented(() => cluster.processReady(id));
    }
  }
}

function sendSnapshot({ cluster, output }: World, args: readonly Argument[]): void {
  const [from, to] = idsOf(args);
  if (from === undefined || to === undefined)
    throw new ScriptError('send-snapshot needs two nodes');
  const snapshot = cluster.storage(from).snapshot() ?? undefined;
  const { term } = cluster.raft(from).status();
  const message = Message.create({ type: MessageType.MsgSnap, from, to, term, snapshot });
  cluster.enqueue(message);
  output.lines(describeMessage(message));
}

const CHANGES: { readonly [letter: string]: ConfChangeType | undefined } = {
  v: ConfChangeType.ConfChangeAddNode,
  r: ConfChangeType.ConfChangeRemoveNode,
  u: ConfChangeType.ConfChangeUpdateNode,
  l: ConfChangeType.ConfChangeAddLearnerNode,
};

function proposeConfChange(
  { cluster, output }: World,
  args: readonly Argument[],
  input: readonly string[],
): void {
  const words = input.join(' ').split(/\s+/).filter(Boolean);
  const isSingle = args.some(({ key, values }) => key === 'v1' && values[0] === 'true');
  const [word] = words;
  const type = CHANGES[word?.[0] ?? ''];
  if (!isSingle || words.length !== 1 || word === undefined || type === undefined) {
    throw new ScriptError('only single changes are supported: v1=true, and one of v1, r1, u1');
  }
  const change = ConfChange.create({ type, nodeId: BigInt(word.slice(1)) });
  say(output, cluster.raft(first(args)).proposeConfChange(change));
}

function printLog({ cluster, output }: World, id: bigint): void {
  const storage = cluster.storage(id);
  const [from, last] = [storage.firstIndex(), storage.lastIndex()];
  if (last < from) {
    output.lines([`log is empty: first index=${from}, last index=${last}`]);
    return;
  }
  output.lines((storage.entries(from, last + 1, Infinity) ?? []).map(describeEntry));
}

function printStates({ cluster, output }: World): void {
  for (const id of cluster.ids) {
    const { role, voters, term, leader } = cluster.raft(id).status();
    const standing = voters.includes(id) ? '(Voter)' : '(Non-Voter)';
    output.lines([`${id}: ${describeRole(role)} ${standing} Term:${term} Lead:${leader}`]);
  }
}

function tick(cluster: Cluster, id: bigint, count: number): void {
  for (let ticked = 0; ticked < count; ticked += 1) cluster.raft(id).tick();
}

function say(output: Output, refusal: Refusal | null): void {
  if (refusal !== null) output.error(refusal.detail);
}

const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal', 'none'];

function levelOf(word: string | undefined): string {
  const level = word?.toLowerCase() ?? '';
  if (!LEVELS.includes(level)) throw new ScriptError(`unknown log level ${word}`);
  return level;
}

function typeOf(name: string): MessageType {
  const type = Object.entries(MessageType).find(([known]) => known === name)?.[1];
  if (type === undefined) throw new ScriptError(`unknown message type ${name}`);
  return type;
}

function valueOf(args: readonly Argument[], key: string): string {
  const value = args.find((arg) => arg.key === key)?.values[0];
  if (value === undefined) throw new ScriptError(`${key} is missing`);
  return value;
}

/** All arguments that are plain node ids. */
function idsOf(args: readonly Argument[]): readonly bigint[] {
  return args.filter(({ values }) => values.length === 0).map(idOf);
}

function first(args: readonly Argument[]): bigint {
  return idOf(args[0]);
}

function idOf(arg: Argument | undefined): bigint {
  return BigInt(numberOf(arg));
}

function numberOf(arg: Argument | undefined): number {
  const number = Number(arg?.key);
  if (!Number.isSafeInteger(number)) throw new ScriptError(`not a number: ${arg?.key}`);
  return number;
}
