import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogStream } from '../../shared/wire/gen/logbroker.ts';
import { logMessage } from './log-message.ts';

const context = { serviceId: 's', nodeId: 'n', taskId: 't' };
const timestamp = { seconds: 7, nanos: 8 };

test('[LGS6] a line goes out with its line end, even an empty one', () => {
  for (const line of ['hello', '', 'ends with \\n']) {
    const data = Buffer.from(line);
    const message = logMessage(context, { stream: 'stdout', timestamp, data });
    assert.equal(Buffer.from(message.data).toString(), `${line}\n`);
  }
});

test('a record keeps its task, time and stream', () => {
  const data = Buffer.from('x');
  const { LOG_STREAM_STDOUT, LOG_STREAM_STDERR } = LogStream;
  for (const [stream, wire] of [
    ['stdout', LOG_STREAM_STDOUT],
    ['stderr', LOG_STREAM_STDERR],
  ] as const) {
    const message = logMessage(context, { stream, timestamp, data });
    assert.deepEqual(
      [message.context, message.timestamp, message.stream],
      [context, timestamp, wire],
    );
  }
});
