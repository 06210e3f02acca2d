// npm's mockttp as a recording relay: its own pass-through, and a JSON line for each message.
//
//     node mockttp.mjs PORT UPSTREAM-PORT FILE
import fs from 'node:fs';
import * as mockttp from 'mockttp';

const [port, upstreamPort, file] = process.argv.slice(2);
const out = fs.createWriteStream(file);
const server = mockttp.getLocal({ recordTraffic: false });

const record = (direction) => (message) => {
  out.write(JSON.stringify({
    connection: message.streamId,
    timestamp_ms: message.eventTimestamp,
    direction,
    type: message.isBinary ? 'binary' : 'text',
    data: Buffer.from(message.content).toString(message.isBinary ? 'base64' : 'utf8'),
  }) + '\n');
};
await server.forAnyWebSocket().thenForwardTo(`ws://127.0.0.1:${upstreamPort}`);
await server.on('websocket-message-received', record('incoming'));
await server.on('websocket-message-sent', record('outgoing'));
await server.start(Number(port));
