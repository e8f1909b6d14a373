/** One Markdown page of what runs wrote: all goals first, then a table and plots for each benchmark. */
import { GOALS } from './goals.ts';
import { goalTable, judge } from './goal-table.ts';
import {
  goalText,
  keeps,
  type EndLine,
  type FigureLine,
  type Line,
  type RunLine,
} from './lines.ts';
import { barPlot } from './plot.ts';
import { quantile, short } from './stats.ts';

/** Files by name: `report.md`, and the plots that it shows. */
export function report(lines: readonly Line[]): Map<string, string> {
  const files = new Map<string, string>();
  const runs = lines.filter((line) => line.t === 'run');
  const ends = lines.filter((line) => line.t === 'end');
  const figures = latest(lines.filter((line) => line.t === 'figure'));
  const sections = [...Map.groupBy(figures, ({ bench }) => bench)].map(([bench, ofBench]) =>
    section(
      runs.findLast((run) => run.bench === bench),
      ofBench,
      files,
    ),
  );
  const page = [
    '# Benchmarks',
    '',
    ...circumstances(runs, figures),
    ...failures(ends),
    ...goals(figures.filter(({ bench }) => !isTiny(runs, bench))),
    ...sections.flat(),
  ];
  files.set('report.md', `${page.join('\n')}\n`);
  return files;
}

/** Of figures with the same name the last one, where the first one stood. */
function latest(figures: readonly FigureLine[]): FigureLine[] {
  const byName = new Map<string, FigureLine>();
  for (const line of figures) {
    const { bench, scenario, side, metric, unit } = line;
    byName.set(JSON.stringify([bench, scenario, side, metric, unit]), line);
  }
  return [...byName.values()];
}

/** On what, when, and beside how much other work all was measured. */
function circumstances(runs: readonly RunLine[], figures: readonly FigureLine[]): string[] {
  const all = (of: (run: RunLine) => string): string => [...new Set(runs.map(of))].join(', ');
  const others = figures.flatMap(({ othersCores }) => othersCores ?? []);
  const noise =
    others.length === 0
      ? 'not known'
      : `${quantile(others, 0.5).toFixed(2)} cores (median; at most ${Math.max(...others).toFixed(2)})`;
  return [
    `- Machine: ${all(({ cores, cpu }) => `${cores} × ${cpu}`)}; Node ${all(({ node }) => node)}`,
    `- Date: ${all(({ at }) => at.slice(0, 10))}; commit: ${all(({ commit }) => commit ?? 'unknown')}`,
    `- What other processes used meanwhile: ${noise}. Where *others* is not near 0 below, compare only rows of one scenario with each other.`,
    '',
  ];
}

/** Whether the benchmark was last run only to see that it runs: its times count for nothing. */
function isTiny(runs: readonly RunLine[], bench: string): boolean {
  return runs.findLast((run) => run.bench === bench)?.size === 'tiny';
}

function failures(ends: readonly EndLine[]): string[] {
  const failed = ends.filter((end) => end.failed).map(({ bench }) => bench);
  return failed.length === 0
    ? []
    : [`**Failed, and told only in part: ${failed.join(', ')}.**`, ''];
}

function goals(figures: readonly FigureLine[]): string[] {
  const all = GOALS.map((row) => judge(row, figures));
  const count = (wanted: string): number => all.filter(({ result }) => result === wanted).length;
  return [
    '## Goals',
    '',
    `${count('met')} of ${all.length} are met, ${count('missed')} missed, ${count('not measured')} not measured in this run.`,
    '',
    ...goalTable(all),
  ];
}

function section(
  run: RunLine | undefined,
  figures: readonly FigureLine[],
  files: Map<string, string>,
): string[] {
  const [{ bench } = { bench: '' }] = figures;
  const byUnit = Map.groupBy(figures, ({ metric, unit }) => `${metric}, ${unit}`);
  const plots = [...byUnit].map(([title, ofPlot], index) => {
    const name = `${bench}-${index + 1}.svg`;
    files.set(name, plot(`${bench}: ${title}`, ofPlot));
    return `![${bench}: ${title}](${name})`;
  });
  const size = run === undefined ? '' : `Size ${run.size}, ${run.at}. `;
  const about = `${size}Medians, with the least and the most of all rounds.`;
  return ['', `## ${bench}`, '', about, '', ...table(figures), '', ...plots];
}

function plot(title: string, figures: readonly FigureLine[]): string {
  const marks = new Set(
    figures.flatMap(({ goal }) =>
      goal === undefined ? [] : ['atLeast' in goal ? goal.atLeast : goal.atMost],
    ),
  );
  const bars = figures.map(({ scenario, side, median, min, max }) => {
    return { label: `${scenario}: ${side}`, group: side, median, min, max };
  });
  const [mark] = marks.size === 1 ? marks : [];
  return barPlot({ title, bars, mark });
}

function table(figures: readonly FigureLine[]): string[] {
  const rows = figures.map((line) => {
    const kept = keeps(line);
    const goal = line.goal === undefined ? '' : goalText(line.goal, short);
    return [
      line.scenario,
      line.side,
      line.metric,
      `${short(line.median)} ${line.unit}`,
      `${short(line.min)} to ${short(line.max)}`,
      line.othersCores === null ? '' : line.othersCores.toFixed(2),
      kept === undefined ? goal : `${goal} ${kept ? 'kept' : '**missed**'}`,
    ];
  });
  const columns = ['scenario', 'who', 'what', 'median', 'range', 'others', 'goal'];
  return [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}
