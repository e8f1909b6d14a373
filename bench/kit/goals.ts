/** What the suite's figures are held against: a row for each goal, and the command that measures it. */
import type { Goal } from './bench.ts';

export type GoalRow = {
  /** The work that the goal is about. */
  readonly work: string;
  readonly goal: Goal;
  /** Figures of this benchmark ... */
  readonly bench: string;
  /** ... of scenarios like this one, ... */
  readonly scenario: RegExp;
  readonly side?: string;
  readonly metric: string;
  readonly unit: string;
  /** Another metric of the same scenario, which has to be there and is added. */
  readonly plus?: string;
  /** The worst of them, or how many times the least of them the greatest is. The worst unless given. */
  readonly judge?: 'worst' | 'spread';
  /** Figures that are needed at least; 1 unless given. */
  readonly figures?: number;
  /** Arguments of `npm run bench --`. */
  readonly command: string;
};

function placement(): GoalRow[] {
  const work = 'placement core, every scenario: decisions a second of processor time';
  const goal = { atLeast: 5e6 };
  const from = { bench: 'placement', scenario: /./, side: 'engine', metric: 'cpu' };
  const unit = 'decisions/s';
  return [{ work, goal, ...from, unit, figures: 2, command: 'placement --full' }];
}

function throughTheStore(): GoalRow[] {
  const shapes = [
    { nodes: 1000, which: '', tasks: 100_000, seconds: 1 },
    { nodes: 5000, which: ', one in 3 fit', tasks: 100_000, seconds: 1 },
    { nodes: 100_000, which: ', known before', tasks: 1000, seconds: 0.3 },
    { nodes: 100_000, which: '', tasks: 1_000_000, seconds: 20 },
  ] as const;
  return shapes.map(({ nodes, which, tasks, seconds }) => {
    const scenario = `${nodes} nodes${which} × ${tasks}, groups of one`;
    return {
      work: `through the store with a durable log: ${scenario}`,
      goal: { atMost: seconds },
      bench: 'assign',
      scenario: new RegExp(`^${scenario}$`),
      metric: 'wall',
      unit: 's',
      command: `assign --full "${nodes} × ${tasks} groups"`,
    };
  });
}

function besideDocker(): GoalRow[] {
  const plans = [
    { tasks: 5000, report: 'last', wall: 4, cpu: 8 },
    { tasks: 20_000, report: 'last', wall: 15, cpu: 40 },
    { tasks: 5000, report: 'each', wall: 1.8, cpu: 8 },
    { tasks: 20_000, report: 'each', wall: 2.5, cpu: 20 },
  ] as const;
  return plans.flatMap(({ tasks, report, wall, cpu }) => {
    const how = report === 'each' ? 'five states, a call each' : 'batched reports';
    const scenario = `${tasks} tasks, 50 workers, ${how}`;
    const from = { bench: 'compare', unit: 'x', scenario: new RegExp(`^${scenario}$`) };
    const rounds = tasks > 5000 && report === 'each' ? 1 : 3;
    const command = `compare -- --tasks ${tasks} --report ${report} --rounds ${rounds}`;
    const docker = { ...from, side: 'docker / skein', command };
    const rows: GoalRow[] = [
      {
        ...docker,
        work: `${scenario}: Docker's wall time over ours`,
        metric: 'wall',
        goal: { atLeast: wall },
      },
      {
        ...docker,
        work: `${scenario}: Docker's manager CPU over ours`,
        metric: 'cpu',
        goal: { atLeast: cpu },
      },
    ];
    if (report === 'last') return rows;
    const work = `${scenario}: our wall time over an empty manager's`;
    return [
      ...rows,
      { ...from, work, side: 'skein / floor', metric: 'wall', goal: { atMost: 1.5 }, command },
    ];
  });
}

function aMillion(): GoalRow[] {
  const from = {
    bench: 'cluster',
    scenario: /^one service: 1000000 tasks, 1000 workers, batched reports$/,
    command: 'cluster -- --tasks 1000000 --workers 1000 --processes 2 --report last --shapes one',
  };
  const work = 'a million tasks RUNNING on 1,000 workers';
  return [
    { ...from, work: `${work}: wall time`, metric: 'wall', unit: 'ms', goal: { atMost: 180_000 } },
    {
      ...from,
      work: `${work}: memory in all, the manager's and the workers'`,
      metric: 'peak',
      plus: 'crowd peak',
      unit: 'MiB',
      goal: { atMost: 8192 },
    },
    {
      ...from,
      work: `${work}: a task in the store`,
      metric: 'store',
      unit: 'bytes a task',
      goal: { atMost: 1024 },
    },
    {
      ...from,
      work: `${work}: longest main-thread turn`,
      metric: 'turn',
      unit: 'ms of CPU, longest',
      goal: { atMost: 50 },
    },
    {
      work: 'a million tasks in the store alone: a task',
      bench: 'store',
      scenario: /^1000000 tasks/,
      side: 'task',
      metric: 'memory',
      unit: 'bytes each',
      goal: { atMost: 1024 },
      command: 'store -- 1000000',
    },
  ];
}

function flatness(): GoalRow[] {
  const from = {
    bench: 'cluster',
    metric: 'cpu',
    unit: 'us a task',
    judge: 'spread',
    goal: { atMost: 1.3 },
    command: 'cluster --full',
  } as const;
  return [
    {
      ...from,
      work: 'cost a task, from none to 1k to 1M on 1,000 workers: dearest over cheapest',
      scenario: /^one service: 10+ tasks, 1000 workers, batched reports$/,
      figures: 4,
    },
    {
      ...from,
      work: 'cost a task of 10,000 more beside 1k to 1M, on 1,000 workers: dearest over cheapest',
      scenario: /^more beside them: 10+ tasks, 1000 workers, batched reports$/,
      figures: 4,
    },
    {
      ...from,
      work: 'cost a task that is reported in batches, 10 to 5,000 workers: dearest over cheapest',
      scenario: /^one service: 50000 tasks, \d+ workers, batched reports$/,
      figures: 4,
    },
    {
      ...from,
      work: 'cost a task that is reported as a stock engine does, 10 to 5,000 workers: dearest over cheapest',
      scenario: /^one service: 10000 tasks, \d+ workers, five states, a call each$/,
      figures: 4,
    },
  ];
}

function idleWorkers(): GoalRow[] {
  const from = { bench: 'sessions', command: 'sessions -- --workers 5000' };
  const idle = { ...from, scenario: /^5000 workers, heartbeats only$/ };
  const back = { ...from, scenario: /^5000 workers, manager \w+ and started again$/ };
  const work = '5,000 workers by mutual TLS, heartbeats only';
  return [
    {
      ...idle,
      work: `${work}: the manager's CPU`,
      metric: 'cpu',
      unit: 'cores',
      goal: { atMost: 0.5 },
    },
    {
      ...idle,
      work: `${work}: its memory`,
      metric: 'peak',
      unit: 'MiB, joining too',
      goal: { atMost: 1024 },
    },
    {
      ...back,
      work: '5,000 workers: all are back after a restart of the manager',
      metric: 'back',
      unit: 'ms since it started',
      goal: { atMost: 20_000 },
    },
  ];
}

function commits(): GoalRow[] {
  const work = "commit latency, one client: times the disk's own synced write";
  const from = { bench: 'log', scenario: /^1 manager, 1 in flight$/, metric: 'ratio' };
  const unit = 'x fdatasync';
  return [{ work, ...from, unit, goal: { atMost: 2 }, command: 'log' }];
}

export const GOALS: readonly GoalRow[] = [
  ...placement(),
  ...throughTheStore(),
  ...besideDocker(),
  ...aMillion(),
  ...flatness(),
  ...idleWorkers(),
  ...commits(),
];
