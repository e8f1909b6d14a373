/** Where an engine's thread begins: its file's address, unbuilt (`.ts`) and built (`.js`). */

/** Address of `src/workers/<engine>/entry`. Tests start entries of their own by URL. */
export function workerEntry(engine: string): URL {
  // The compiler rewrites import specifiers but no URLs, so the extension follows this file's own.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`../../workers/${engine}/entry.${extension}`, import.meta.url);
}
