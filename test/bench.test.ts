/** Each benchmark at its smallest: that it still runs, checks itself and tells figures. Times count for nothing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { judge } from '../bench/kit/goal-table.ts';
import { GOALS, type GoalRow } from '../bench/kit/goals.ts';
import { figure, keeps, readLines, type FigureLine } from '../bench/kit/lines.ts';
import { BENCHES } from '../bench/kit/list.ts';
import { report } from '../bench/kit/report.ts';
import { median, short } from '../bench/kit/stats.ts';

const MAIN = new URL('../bench/main.ts', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'skein-bench-'));
after(() => rmSync(folder, { recursive: true }));

function bench(...args: readonly string[]): { readonly status: number | null; out: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  return { status, out: stdout + stderr };
}

for (const name of Object.keys(BENCHES)) {
  test(`the ${name} benchmark runs, and writes what it measured`, () => {
    const json = join(folder, `${name}.jsonl`);
    const { status, out } = bench(name, '--tiny', '--json', json);
    assert.equal(status, 0, out);
    const [run, ...figures] = readLines(json);
    assert.equal(run?.t, 'run');
    assert.ok(figures.length > 0, 'it told no figure');
    for (const line of figures) {
      assert.ok(line.t === 'figure' && line.bench === name);
      assert.ok(line.samples.length > 0 && line.samples.every(Number.isFinite));
      assert.ok(line.min <= line.median && line.median <= line.max);
    }
  });
}

test('report makes a page with all goals and the plots of what a benchmark wrote', () => {
  const json = join(folder, 'reported.jsonl');
  const out = join(folder, 'page');
  assert.equal(bench('codecs', '--tiny', '--json', json).status, 0);
  const told = bench('report', json, '--out', out);
  assert.equal(told.status, 0, told.out);
  const page = readFileSync(join(out, 'report.md'), 'utf8');
  for (const { work } of GOALS) assert.ok(page.includes(`| ${work} |`));
  const plots = [...page.matchAll(/^!\[.*\]\((.*)\)$/gm)].map(([, file = '']) => file);
  assert.ok(plots.length > 0);
  for (const file of plots) assert.match(readFileSync(join(out, file), 'utf8'), /^<svg /);
});

test('list names every benchmark; an unknown one is refused', () => {
  const { status, out } = bench('list');
  assert.equal(status, 0, out);
  for (const name of Object.keys(BENCHES)) assert.match(out, new RegExp(`^${name} `, 'm'));
  const unknown = bench('no-such-thing');
  assert.equal(unknown.status, 2);
  assert.match(unknown.out, /no such benchmark: no-such-thing; see "npm run bench -- list"/);
});

const label = {
  scenario: 'a <b>',
  side: 'ours',
  metric: 'wall',
  unit: 'x/s',
  better: 'more',
} as const;

function made(samples: readonly number[], atLeast: number): FigureLine {
  return figure('made-up', { ...label, goal: { atLeast } }, samples, 0.1234);
}

test('a report shows the last figure of a name, beside its goal, and draws it', () => {
  const files = report([made([1], 5), made([4, 9, 6], 5)]);
  const page = files.get('report.md') ?? '';
  assert.match(page, /\| a <b> \| ours \| wall \| 6 x\/s \| 4 to 9 \| 0\.12 \| ≥ 5 kept \|/);
  assert.match(page, /!\[made-up: wall, x\/s\]\(made-up-1\.svg\)/);
  const plot = files.get('made-up-1.svg') ?? '';
  assert.match(plot, /^<svg .*<\/svg>\n$/s);
  assert.match(plot, /a &lt;b>: ours/);
});

/** Figures as the placement core's, with these medians. */
function placed(...medians: readonly number[]): FigureLine[] {
  return medians.map((value, i) =>
    figure(
      'placement',
      { ...label, scenario: `scenario ${i}`, side: 'engine', metric: 'cpu', unit: 'decisions/s' },
      [value],
      0,
    ),
  );
}

const row = GOALS.find(({ bench: name }) => name === 'placement');
assert(row !== undefined);

test('a goal is met when the worst of its figures keeps it', () => {
  assert.equal(judge(row, placed(6e6, 5e6)).result, 'met');
  const { result, measured } = judge(row, placed(6e6, 4e6, 7e6));
  assert.equal(result, 'missed');
  assert.match(measured, /^4M decisions\/s, worst of 3: scenario 1$/);
  assert.equal(judge(row, placed(6e6)).result, 'not measured');
  const others = placed(6e6, 6e6).map((line) => ({ ...line, side: 'base' }));
  assert.equal(judge(row, others).result, 'not measured');
});

test('a cost is flat when the dearest size is not much dearer than the cheapest', () => {
  const flat: GoalRow = { ...row, judge: 'spread', goal: { atMost: 1.3 } };
  assert.equal(judge(flat, placed(100, 129, 110)).result, 'met');
  const { result, measured } = judge(flat, placed(100, 90, 140));
  assert.equal(result, 'missed');
  assert.match(measured, /^1\.56 x \(90 to 140 decisions\/s, 3 sizes\)$/);
});

test('what two figures are together is held against one goal', () => {
  const both: GoalRow = { ...row, plus: 'more', figures: 1, goal: { atMost: 10 } };
  const [line] = placed(6);
  assert(line !== undefined);
  assert.equal(judge(both, [line]).result, 'not measured');
  assert.equal(judge(both, [line, { ...line, metric: 'more', median: 4 }]).result, 'met');
  assert.equal(judge(both, [line, { ...line, metric: 'more', median: 5 }]).result, 'missed');
});

test('a report begins with what it was measured on, what failed, and every goal', () => {
  const run = {
    t: 'run',
    bench: 'placement',
    size: 'full',
    at: '2030-01-02T03:04:05Z',
    node: 'v1',
    cpu: 'chip',
    cores: 2,
    commit: 'abc1234-dirty',
  } as const;
  const end = { t: 'end', bench: 'lanes', failed: true, seconds: 1 } as const;
  const page = report([run, ...placed(6e6, 4e6), end]).get('report.md') ?? '';
  const [head = ''] = page.split('\n## placement');
  assert.match(head, /Machine: 2 × chip; Node v1\n/);
  assert.match(head, /Date: 2030-01-02; commit: abc1234-dirty\n/);
  assert.match(head, /Failed, and told only in part: lanes\./);
  assert.match(head, new RegExp(`0 of ${GOALS.length} are met, 1 missed`));
  const tiny = report([{ ...run, size: 'tiny' }, ...placed(6e6, 4e6)]).get('report.md') ?? '';
  assert.match(tiny, /0 of \d+ are met, 0 missed/);
  for (const { work, command } of GOALS) {
    assert.ok(head.includes(`| ${work} |`) && head.includes(`\`npm run bench -- ${command}\``));
  }
});

test('every goal is about a benchmark of the suite', () => {
  for (const { bench: name, command } of GOALS) {
    assert.ok(name in BENCHES && command.startsWith(name), `${name}: ${command}`);
  }
});

test('figures say whether they keep their goal', () => {
  assert.equal(keeps(made([1, 2, 3], 3)), false);
  assert.equal(keeps(made([1, 3, 3], 3)), true);
  assert.equal(keeps(figure('made-up', { ...label, goal: { atMost: 2 } }, [1, 3], 0)), false);
  assert.equal(keeps(figure('made-up', label, [1], 0)), undefined);
});

test('a file that no benchmark wrote is named with its line', () => {
  assert.throws(() => readLines(new URL('../package.json', import.meta.url).pathname));
  const { status, out } = bench('report', join(folder, 'nothing.jsonl'));
  assert.notEqual(status, 0);
  assert.match(out, /nothing\.jsonl/);
});

test('figures are shortened to what matters', () => {
  const pairs: readonly (readonly [number, string])[] = [
    [12_345_678, '12.3M'],
    [999, '999'],
    [0.04217, '0.042'],
    [1_500, '1.50k'],
    [Number.NaN, '-'],
  ];
  for (const [value, text] of pairs) assert.equal(short(value), text);
  assert.equal(median([3, 1, 2]), 2);
});
