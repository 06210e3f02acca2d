// JSON-RPC 2.0 with random ids: npm rpc-websockets (numbers) and npm jayson (UUIDs), each with its own server and client.
//
//     node jsonrpc.js server rpc-websockets|jayson        prints its port
//     node jsonrpc.js client rpc-websockets|jayson URL [less]   one JSON line; `less`: only the first calls
'use strict';
const crypto = require('crypto');
const WebSocket = require('ws');

const methods = { sum: ([a, b]) => a + b, echo: ([value]) => ({ value }), login: () => ({ session: crypto.randomUUID() }) };

const kinds = {
    'rpc-websockets': {
        serve() {
            const { Server } = require('rpc-websockets');
            const server = new Server({ host: '127.0.0.1', port: 0 });
            for (const [name, method] of Object.entries(methods)) server.register(name, method);
            server.event('news');
            server.register('speak', () => setImmediate(() => server.emit('news', { text: 'extra' })) && true);
            server.on('listening', () => console.log(server.wss.address().port));
        },
        async connect(url, less) {
            const { Client } = require('rpc-websockets');
            const client = new Client(url, { reconnect: false }, () => crypto.randomInt(1e6, 1e9));
            await new Promise((resolve) => client.on('open', resolve));
            const result = { sums: await Promise.all([[1, 2], [20, 30]].map((pair) => client.call('sum', pair))) };
            result.echo = await client.call('echo', [{ deep: [1, null, 'x'] }]);
            if (less) {
                client.close();
                return result;
            }
            result.session = typeof (await client.call('login')).session;
            await client.subscribe('news');
            const news = new Promise((resolve) => client.on('news', resolve));
            await client.call('speak');
            result.news = await news;
            result.error = await client.call('nothing').catch((error) => error.code);
            client.close();
            return result;
        },
    },
    jayson: {
        serve() {
            const jayson = require('jayson/promise');
            const wrapped = Object.fromEntries(Object.entries(methods).map(([name, f]) => [name, async (args) => f(args)]));
            const wss = new jayson.Server(wrapped).websocket({ host: '127.0.0.1', port: 0 });
            wss.on('listening', () => console.log(wss.address().port));
        },
        async connect(url, less) {
            const jayson = require('jayson/promise');
            const ws = new WebSocket(url);
            await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject));
            const client = jayson.Client.websocket({ ws, timeout: 5000 });
            const sums = await Promise.all([[1, 2], [20, 30]].map((pair) => client.request('sum', pair)));
            const result = { sums: sums.map((answer) => answer.result) };
            result.echo = (await client.request('echo', [{ deep: [1, null, 'x'] }])).result;
            if (less) {
                ws.close(1000);
                return result;
            }
            const batch = [client.request('sum', [5, 6], undefined, false), client.request('sum', [7, 8], undefined, false)];
            result.batch = (await client.request(batch)).map((answer) => answer.result);
            result.error = (await client.request('nothing', [])).error.code;
            ws.close(1000);
            await new Promise((resolve) => ws.on('close', resolve));
            return result;
        },
    },
};

const [role, kind, url, less] = process.argv.slice(2);
if (role === 'server') kinds[kind].serve();
else kinds[kind].connect(url, less === 'less').then((result) => {
    console.log(JSON.stringify(result));
    setTimeout(() => process.exit(0), 20); // jayson keeps the timers of what was answered long ago
});
