/** Bars as SVG: a row for each figure, its median as a bar, least and most as a whisker. */
import { short } from './stats.ts';

export type Bar = {
  readonly label: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Bars of one group have one colour. */
  readonly group: string;
};

export type Plot = {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** A line across all bars, such as a goal. */
  readonly mark?: number | undefined;
};

const ROW_PX = 22;
const TOP_PX = 34;
const LABEL_PX = 330;
const WIDTH_PX = 900;
const VALUE_PX = 70;
const COLOURS = ['#2563eb', '#d97706', '#059669', '#9333ea', '#dc2626', '#475569'];

/** The scale is logarithmic when the figures span more than two powers of ten. */
export function barPlot({ title, bars, mark }: Plot): string {
  const values = bars.flatMap((bar) => [bar.min, bar.max]).filter((value) => value > 0);
  const most = Math.max(...values, mark ?? 0);
  const least = Math.min(...values, mark ?? Infinity);
  const isLog = most / least > 100;
  const from = isLog ? Math.log10(least) - 0.3 : 0;
  const to = isLog ? Math.log10(most) : most;
  const room = WIDTH_PX - LABEL_PX - VALUE_PX;
  const x = (value: number): number => {
    const at = isLog ? Math.log10(Math.max(value, 10 ** from)) : value;
    return LABEL_PX + (room * (at - from)) / (to - from || 1);
  };
  const groups = [...new Set(bars.map((bar) => bar.group))];
  const height = TOP_PX + bars.length * ROW_PX + 8;
  const rows = bars.map((bar, index) => {
    const y = TOP_PX + index * ROW_PX;
    const middle = y + ROW_PX / 2 - 2;
    const colour = COLOURS[groups.indexOf(bar.group) % COLOURS.length];
    const [end, low, high] = [x(bar.median), x(bar.min), x(bar.max)].map((at) => at.toFixed(1));
    return [
      `<text x="${LABEL_PX - 8}" y="${middle + 4}" text-anchor="end">${escaped(bar.label)}</text>`,
      `<rect x="${LABEL_PX}" y="${y}" width="${(Number(end) - LABEL_PX).toFixed(1)}" height="${ROW_PX - 6}" fill="${colour}"/>`,
      `<line x1="${low}" x2="${high}" y1="${middle}" y2="${middle}" stroke="#111" stroke-width="1.5"/>`,
      `<text x="${(Number(high) + 6).toFixed(1)}" y="${middle + 4}">${short(bar.median)}</text>`,
    ].join('\n');
  });
  const scale = isLog ? ' (logarithmic)' : '';
  const line =
    mark === undefined
      ? ''
      : `<line x1="${x(mark).toFixed(1)}" x2="${x(mark).toFixed(1)}" y1="${TOP_PX - 6}" y2="${height - 8}" stroke="#dc2626" stroke-dasharray="4 3"/>\n`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH_PX} ${height}" ` +
    `font-family="sans-serif" font-size="12">\n` +
    `<rect width="${WIDTH_PX}" height="${height}" fill="#fff"/>\n` +
    `<text x="8" y="18" font-size="14">${escaped(title + scale)}</text>\n` +
    `${rows.join('\n')}\n${line}</svg>\n`
  );
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
