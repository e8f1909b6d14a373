/**
 * Tables: one line an object, columns in a fixed order and as wide as their widest cell. Nothing is
 * cut: a column that may be long wraps below itself when the terminal is too narrow.
 */

export type Column<Row> = {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** The cell may be longer than the terminal is wide. */
  readonly wraps?: boolean;
};

const GAP = '   ';
/** A wrapped column is never narrower; a terminal below that wraps by itself. */
const WRAP_WIDTH_MIN = 24;

/** Control characters would move the cursor; in a cell they are spaces. */
const plain = (text: string): string => text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();

/** The text in lines of at most `width`, broken between words where that is possible. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    let rest = word;
    if (line !== '' && line.length + 1 + rest.length > width) {
      lines.push(line);
      line = '';
    }
    while (rest.length > width) {
      lines.push(rest.slice(0, width));
      rest = rest.slice(width);
    }
    line = line === '' ? rest : `${line} ${rest}`;
  }
  return [...lines, line];
}

/** The whole table, with its header; `columns` is the width of the terminal, if there is one. */
export function tableOf<Row>(
  rows: readonly Row[],
  shape: readonly Column<Row>[],
  columns: number | undefined,
): string {
  const cells = rows.map((row) => shape.map(({ cell }) => plain(cell(row))));
  const titles = shape.map(({ title }) => title.toUpperCase());
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)),
  );
  const wrapped = shape.findLastIndex(({ wraps }) => wraps === true);
  if (columns !== undefined && wrapped !== -1) {
    const others = widths.reduce((sum, width, at) => sum + (at === wrapped ? 0 : width), 0);
    const room = columns - others - GAP.length * (widths.length - 1);
    widths[wrapped] = Math.min(widths[wrapped] ?? 0, Math.max(room, WRAP_WIDTH_MIN));
  }
  const lineOf = (line: readonly string[]): string =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(GAP)
      .trimEnd();
  const lines = cells.flatMap((line) => {
    if (wrapped === -1) return [lineOf(line)];
    const parts = wrap(line[wrapped] ?? '', widths[wrapped] ?? WRAP_WIDTH_MIN);
    return parts.map((part, index) =>
      lineOf(line.map((cell, at) => (at === wrapped ? part : index === 0 ? cell : ''))),
    );
  });
  return [lineOf(titles), ...lines].map((line) => `${line}\n`).join('');
}
