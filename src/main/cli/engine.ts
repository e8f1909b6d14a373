/** Which Docker Engine there is, if any. */
import { request } from 'node:http';

/** How long an engine may take to say that it is there. */
const ANSWER_TIMEOUT_MS = 2000;

/** Whether a Docker Engine answers on the socket. */
export function engineAnswers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: ANSWER_TIMEOUT_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}
