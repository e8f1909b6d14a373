/** What a part of the main thread may ask of a logger: a pino logger fits. */
export type Log = {
  readonly debug: (fields: Readonly<Record<string, unknown>>, text: string) => void;
  readonly info: (fields: Readonly<Record<string, unknown>>, text: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, text: string) => void;
  readonly error: (fields: Readonly<Record<string, unknown>>, text: string) => void;
};

const nothing = (): void => undefined;

/** Says nothing: for tests and short-lived tools. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
