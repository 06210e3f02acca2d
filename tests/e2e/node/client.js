// node's ws as a client: sends what the arguments say to URL and checks that it comes back. Prints one JSON line.
//
//     node client.js URL COUNT SIZE
'use strict';
const WebSocket = require('ws');

const [url, count, size] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const ws = new WebSocket(url, ['first', 'second'], { headers: { 'X-Client': 'node' } });
const sent = Array.from({ length: count }, (_, i) =>
    i % 2 ? Buffer.alloc(size, i % 256) : `${i} \u20ac `.padEnd(size, 'x'));
const result = { echoed: 0, pongs: 0, extensions: null, protocol: null, code: null, reason: null };

ws.on('open', () => {
    result.extensions = ws.extensions;
    result.protocol = ws.protocol;
    ws.ping('are you there');
    for (const message of sent) ws.send(message);
});
ws.on('pong', (data) => { if (data.toString() === 'are you there') result.pongs++; });
ws.on('message', (data, binary) => {
    const wanted = sent[result.echoed];
    const same = binary ? Buffer.isBuffer(wanted) && wanted.equals(data) : wanted === data.toString();
    if (!same) throw new Error(`message ${result.echoed} came back changed`);
    if (++result.echoed === count) ws.close(4001, 'done \u20ac');
});
ws.on('close', (code, reason) => {
    Object.assign(result, { code, reason: reason.toString() });
    console.log(JSON.stringify(result));
});
ws.on('error', (error) => { console.error(error); process.exit(1); });
