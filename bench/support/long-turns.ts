/** What a profiled process did in its longest turns, from its CPU profile and its probe's turns. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Turn } from './turns.ts';

/** Written into the folder of the profiles. */
export const TURNS_FILE = 'turns.json';

/** Of V8's format what is needed here; times are in microseconds. */
type Profile = {
  readonly startTime: number;
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};
type ProfileNode = {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
};

/** Turns that are told, and functions of each. */
const TOLD = { turns: 5, functions: 16 } as const;

function read(file: string): Profile {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- V8's own format
  return JSON.parse(readFileSync(file, 'utf8')) as Profile;
}

/** The main thread's: it ran longest, so its profile is the largest. */
function mainProfile(folder: string): Profile {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  const [largest = ''] = files
    .map((name) => join(folder, name))
    .toSorted((a, b) => statSync(b).size - statSync(a).size);
  return read(largest);
}

const nameOf = ({ callFrame: { functionName, url } }: ProfileNode): string =>
  `${functionName === '' ? '(anonymous)' : functionName} ${basename(url)}`;

/**
 * V8 calls the thread idle for as long as the event loop polls, whatever native code runs in it: sockets,
 * TLS, HTTP/2's frames. What of it is more than the loop waited is that code's.
 */
const IDLE = '(idle)';
const POLLING = '(native code of the poll phase)';

type Within = {
  /** The turn's time, without its waiting. */
  readonly allMs: number;
  /** Milliseconds of each function, callees included. */
  readonly byName: Map<string, number>;
};

function within(profile: Profile, turn: Turn): Within {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of profile.nodes) {
    for (const child of children) parents.set(child, id);
  }
  const byName = new Map<string, number>();
  const add = (name: string, ms: number): void =>
    void byName.set(name, (byName.get(name) ?? 0) + ms);
  let atMs = profile.startTime / 1000;
  for (const [i, sample] of profile.samples.entries()) {
    const ms = (profile.timeDeltas[i] ?? 0) / 1000;
    atMs += ms;
    if (atMs < turn.fromMs || atMs > turn.toMs) continue;
    const names = new Set<string>();
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const node = nodes.get(id);
      if (node?.callFrame.functionName === IDLE) names.add(POLLING);
      else if (node !== undefined) names.add(nameOf(node));
    }
    for (const name of names) add(name, ms);
  }
  add(POLLING, -Math.min(turn.idleMs, byName.get(POLLING) ?? 0));
  return { allMs: turn.toMs - turn.fromMs - turn.idleMs, byName };
}

/** Lines that tell of each of the longest turns which functions it was in, callees included. */
export function* longTurns(folder: string): Generator<string> {
  const profile = mainProfile(folder);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the probe
  const turns = JSON.parse(readFileSync(join(folder, TURNS_FILE), 'utf8')) as readonly Turn[];
  for (const turn of turns.slice(0, TOLD.turns)) {
    const { allMs, byName } = within(profile, turn);
    const { cpuMs, gcMs } = turn;
    yield `a turn of ${cpuMs.toFixed(0)} ms (${allMs.toFixed(0)} by the wall, ${gcMs.toFixed(0)} of them the collector's)`;
    const most = [...byName].toSorted(([, a], [, b]) => b - a).slice(0, TOLD.functions);
    for (const [name, ms] of most) yield `  ${ms.toFixed(0).padStart(4)} ms ${name}`;
  }
}
