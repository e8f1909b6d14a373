/**
 * The placement core alone: decisions a second at SwarmKit's own benchmark shapes and at harder ones,
 * each task a group of its own and as tasks of services. Before a scenario is timed, every decision
 * of it is held against a plain heap's; the plain heap itself is held against the slow oracle.
 *
 * What is timed is all that a decision takes: shapes and tasks coming in, and the turns. The nodes and
 * the profiles are known before, as in a cluster that has been running.
 *
 * `npm run bench -- placement TEXT` runs the scenarios whose name has the text. With SKEIN_BASE set to
 * the folder of another checkout, its engine is measured instead: run both in turn. (Not in one process:
 * there two engines were seen to halve each other's speed.)
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Placer } from '../src/workers/placement/core/placer.ts';
import { Oracle } from '../src/workers/placement/core/testing/oracle.ts';
import type { Bench, Round, Session } from './kit/bench.ts';
import type { Change, PlacementEngine } from './placement/engine.ts';
import { begin, check, play, write, type Script } from './placement/play.ts';
import { FULL, SHORT, TINY, type Grouping, type Scenario } from './placement/scenarios.ts';

const GOAL = { atLeast: 5_000_000 };

/** Decisions of a round at least, over as many engines as that takes: the clocks are coarse. */
const PER_ROUND_MIN = 500_000;

/** The plain heap's decisions are those of the oracle, which looks at every node for every task. */
function checkHeap(script: Script, name: string): void {
  const oracle = new Oracle();
  const profiles = new Map(
    script.before
      .flat()
      .flatMap((said) => (said.t === 'profile' ? [[said.profile, said.facts]] : [])),
  );
  const apply = (said: Change): void => {
    if (said.t === 'node') {
      oracle.nodes.set(said.node, said.facts);
    } else if (said.t === 'shapes') {
      said.shapes.forEach((shape, i) => {
        const known = profiles.get(said.profiles[i] ?? -1);
        assert.ok(known !== undefined);
        oracle.addShape(shape, said.services[i] ?? -1, known);
      });
    } else if (said.t === 'place') {
      said.tasks.forEach((task, i) => oracle.place(task, said.shapes[i] ?? -1));
    } else if (said.t === 'gone') {
      said.tasks.forEach((task) => oracle.tasks.delete(task));
    } else {
      assert.ok(said.t === 'profile' || said.t === 'shapesGone');
    }
  };
  for (const part of script.before) {
    part.forEach(apply);
    oracle.turn(0);
  }
  const decided = script.parts.flatMap((part) => {
    part.forEach(apply);
    return oracle.turn(0);
  });
  const wanted = Array.from(script.tasks, (task, i) => [task, script.nodes[i]]);
  assert.deepEqual(
    decided.map(({ task, node }) => [task, node]),
    wanted,
    `${name}: the plain heap differs from the oracle`,
  );
}

/** Makes a round of as many engines as the clocks ask for. */
function rounds(make: () => PlacementEngine, script: Script): () => Round {
  const count = Math.ceil(PER_ROUND_MIN / script.tasks.length);
  return () => {
    const engines = Array.from({ length: count }, () => begin(make(), script));
    return () => engines.reduce((sum, engine) => sum + play(engine, script), 0);
  };
}

function nameOf({ name, turns, services }: Scenario, grouping: Grouping): string {
  const inTurns = turns === 1 ? '' : ` in ${turns} turns`;
  const of = services === 1 ? 'one service' : `${services} services`;
  return `${name}${inTurns}, ${grouping === 'alone' ? 'groups of one' : of}`;
}

type Makers = Readonly<Record<string, () => PlacementEngine>>;

async function measure(
  session: Session,
  { scenario, grouping, makers }: { scenario: Scenario; grouping: Grouping; makers: Makers },
): Promise<void> {
  const script = write(scenario, grouping);
  const name = nameOf(scenario, grouping);
  if (session.size === 'tiny') checkHeap(script, name);
  for (const make of Object.values(makers)) check(begin(make(), script), script, name);
  if (session.size === 'tiny') {
    session.record(
      { scenario: name, side: 'checked', metric: 'result', unit: 'decisions', better: 'more' },
      [script.tasks.length],
    );
    return;
  }
  await session.compare(
    { scenario: name, things: 'decisions', rounds: session.pick({ tiny: 1, short: 5, full: 9 }) },
    Object.entries(makers).map(([side, make]) => {
      const goal = side === 'engine' ? GOAL : undefined;
      return { name: side, prepare: rounds(make, script), goal };
    }),
  );
}

/** This checkout's engine, or that of another where one is given. */
async function makersOf(): Promise<Makers> {
  const folder = process.env['SKEIN_BASE'];
  if (folder === undefined) return { engine: () => new Placer() };
  const file = join(folder, 'src/workers/placement/core/placer.ts');
  const loaded: { readonly Placer: typeof Placer } = await import(pathToFileURL(file).href);
  return { base: () => new loaded.Placer() };
}

/**
 * A round's engine is new, and its columns grow from nothing. glibc gives each column that was outgrown
 * back to the system, and the next one is new pages again: their faults can cost more than the decisions.
 * Here the process keeps what it freed, as a thread does whose columns have grown once. In bytes.
 */
const KEEP_FREED_MEMORY = {
  MALLOC_MMAP_THRESHOLD_: String(2 ** 25),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 31),
  MALLOC_TOP_PAD_: String(2 ** 26),
};

export const bench: Bench = {
  environment: KEEP_FREED_MEMORY,
  about: 'decisions a second of the placement core, each checked against a plain heap [TEXT]',
  run: async (session) => {
    const makers = await makersOf();
    const [text = ''] = session.args;
    const scenarios = session.pick({ tiny: TINY, short: SHORT, full: FULL });
    for (const scenario of scenarios) {
      for (const grouping of ['alone', 'services'] as const) {
        if (!nameOf(scenario, grouping).includes(text)) continue;
        await measure(session, { scenario, grouping, makers });
      }
    }
  },
};
