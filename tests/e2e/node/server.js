// node's ws as an upstream: echoes, and prints its port, then one JSON line for each connection.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
    host: '127.0.0.1', port: 0, perMessageDeflate: true, maxPayload: 64 << 20,
    handleProtocols: (offered) => (offered.has('second') ? 'second' : false),
});
server.on('listening', () => console.log(JSON.stringify({ port: server.address().port })));
server.on('connection', (ws, request) => {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
    ws.on('close', (code, reason) => console.log(JSON.stringify({
        url: request.url, client: request.headers['x-client'], offered: request.headers['sec-websocket-extensions'] || null,
        code, reason: reason.toString(),
    })));
    ws.on('error', (error) => console.log(JSON.stringify({ error: String(error) })));
});
