// A recording relay the way one would write it with npm's ws: what the recorder is compared with.
//
//     node relay.mjs PORT UPSTREAM-PORT FILE
import fs from 'node:fs';
import { WebSocket, WebSocketServer } from 'ws';

const [port, upstreamPort, file] = process.argv.slice(2);
const out = fs.createWriteStream(file);
let connections = 0;

new WebSocketServer({ port: Number(port), host: '127.0.0.1', perMessageDeflate: false }).on('connection', (client) => {
  const connection = `conn-${++connections}`;
  const started = performance.now();
  const upstream = new WebSocket(`ws://127.0.0.1:${upstreamPort}/`, { perMessageDeflate: false });
  const early = [];

  const record = (direction, data, isBinary) => {
    out.write(JSON.stringify({
      connection,
      timestamp_ms: Math.round((performance.now() - started) * 1000) / 1000,
      direction,
      type: isBinary ? 'binary' : 'text',
      data: data.toString(isBinary ? 'base64' : 'utf8'),
    }) + '\n');
  };
  client.on('message', (data, isBinary) => {
    record('incoming', data, isBinary);
    if (upstream.readyState === WebSocket.OPEN) upstream.send(data, { binary: isBinary });
    else early.push([data, isBinary]);
  });
  upstream.on('open', () => early.forEach(([data, binary]) => upstream.send(data, { binary })));
  upstream.on('message', (data, isBinary) => {
    record('outgoing', data, isBinary);
    client.send(data, { binary: isBinary });
  });
  client.on('close', () => upstream.close());
  upstream.on('close', () => client.close());
  client.on('error', () => upstream.terminate());
  upstream.on('error', () => client.terminate());
});
