/** The table of all goals: what was measured of each, and whether that keeps it. */
import type { GoalRow } from './goals.ts';
import { goalText, isKept, type FigureLine } from './lines.ts';
import { short } from './stats.ts';

export type Judged = {
  readonly row: GoalRow;
  readonly result: 'met' | 'missed' | 'not measured';
  /** The figure that counts, in words. */
  readonly measured: string;
};

/** Holds a row against those of the figures that it is about. */
export function judge(row: GoalRow, figures: readonly FigureLine[]): Judged {
  const about = valuesOf(row, figures);
  if (about.length < (row.figures ?? 1)) return { row, result: 'not measured', measured: '' };
  const values = about.map(({ value }) => value);
  const [least, greatest] = [Math.min(...values), Math.max(...values)];
  if (row.judge === 'spread') {
    const range = `${short(least)} to ${short(greatest)} ${row.unit}, ${about.length} sizes`;
    return judged(row, greatest / least, `${short(greatest / least)} x (${range})`);
  }
  const worst = 'atLeast' in row.goal ? least : greatest;
  const where = about.find(({ value }) => value === worst)?.scenario;
  const of = about.length === 1 ? '' : `, worst of ${about.length}: ${where}`;
  return judged(row, worst, `${short(worst)} ${row.unit}${of}`);
}

type Value = { readonly scenario: string; readonly value: number };

function valuesOf(row: GoalRow, figures: readonly FigureLine[]): Value[] {
  const about = figures.filter(
    (line) =>
      line.bench === row.bench &&
      row.scenario.test(line.scenario) &&
      line.unit === row.unit &&
      Number.isFinite(line.median) &&
      (row.side === undefined || line.side === row.side),
  );
  return about.flatMap(({ scenario, metric, median }) => {
    if (metric !== row.metric) return [];
    if (row.plus === undefined) return [{ scenario, value: median }];
    const other = about.find((line) => line.scenario === scenario && line.metric === row.plus);
    return other === undefined ? [] : [{ scenario, value: median + other.median }];
  });
}

function judged(row: GoalRow, value: number, measured: string): Judged {
  return { row, result: isKept(row.goal, value) ? 'met' : 'missed', measured };
}

/** As Markdown. */
export function goalTable(all: readonly Judged[]): string[] {
  const rows = all.map(({ row, result, measured }) => [
    row.work,
    `${goalText(row.goal, short)} ${row.judge === 'spread' ? 'x' : row.unit}`,
    measured,
    result === 'missed' ? '**missed**' : result,
    `\`npm run bench -- ${row.command}\``,
  ]);
  const columns = ['work', 'goal', 'measured', '', 'measured by'];
  return [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}
