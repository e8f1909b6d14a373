/** Where a command writes, and what that place can show. */

export type Terminal = {
  /** Results: what a script reads. */
  readonly out: (text: string) => void;
  /** Everything else: progress, warnings. */
  readonly err: (text: string) => void;
  /** Progress may be redrawn in place. */
  readonly live: boolean;
  readonly color: boolean;
  /** Width of the table that results may take; undefined when nobody looks. */
  readonly columns: number | undefined;
  /** Text from standard input, to its end. */
  readonly read: () => Promise<Buffer>;
};

async function readAll(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** This process's own; colours only on a terminal, and never when NO_COLOR is set (https://no-color.org). */
export function processTerminal(): Terminal {
  const noColor = (process.env['NO_COLOR'] ?? '') !== '';
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    live: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
    color: process.stderr.isTTY && !noColor && process.env['TERM'] !== 'dumb',
    columns: process.stdout.isTTY ? process.stdout.columns : undefined,
    read: readAll,
  };
}

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, dim: 2, bold: 1 } as const;

/** The text in a colour, where there are colours. */
export function paint(
  terminal: Pick<Terminal, 'color'>,
  color: keyof typeof CODES,
  text: string,
): string {
  return terminal.color ? `\u001B[${CODES[color]}m${text}\u001B[0m` : text;
}
