// npm socket.io and socket.io-client over their WebSocket transport (Engine.IO 4 below): acknowledgements, binary attachments,
// a namespace, events that the server sends by itself, heartbeats.
//
//     node socketio.js server          prints its port
//     node socketio.js client URL [late]   one JSON line; `late`: asks only after a heartbeat or two
'use strict';

function serve() {
    const http = require('http').createServer();
    const io = new (require('socket.io').Server)(http, { transports: ['websocket'], pingInterval: 300, pingTimeout: 5000 });
    io.on('connection', (socket) => {
        socket.emit('welcome', { you: socket.id });
        socket.on('add', (a, b, answer) => answer({ sum: a + b }));
        socket.on('join', (room) => {
            socket.join(room);
            io.to(room).emit('joined', room, socket.id);
        });
        socket.on('upload', (name, bytes, answer) => {
            answer({ name, size: bytes.length });
            socket.emit('stored', name, Buffer.from(bytes).reverse());
        });
    });
    io.of('/admin').on('connection', (socket) => socket.on('whoami', (answer) => answer(socket.id)));
    http.listen(0, '127.0.0.1', () => console.log(http.address().port));
}

async function connect(url, late) {
    const { io } = require('socket.io-client');
    const options = { transports: ['websocket'], reconnection: false, forceNew: false };
    const socket = io(url, options);
    const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
    const result = {};
    socket.on('connect_error', (error) => { console.error(error); process.exit(1); });
    const welcome = next(socket, 'welcome');
    await next(socket, 'connect');
    result.welcome_is_mine = (await welcome)[0].you === socket.id;
    if (late) await next(socket.io.engine, 'ping');
    result.sums = await Promise.all([[1, 2], [3, 4], [10, 20]].map((pair) => socket.emitWithAck('add', ...pair)));
    const joined = next(socket, 'joined');
    socket.emit('join', 'lobby');
    const [room, who] = await joined;
    Object.assign(result, { room, joined_is_me: who === socket.id });
    const stored = next(socket, 'stored');
    result.upload = await socket.emitWithAck('upload', 'a.bin', Buffer.from([1, 2, 3, 250]));
    const [name, bytes] = await stored;
    result.stored = [name, [...bytes]];
    const admin = io(new URL('/admin', url).href, options);
    await next(admin, 'connect');
    result.admin_is_me = (await admin.emitWithAck('whoami')) === admin.id;
    socket.once('disconnect', () => console.log(JSON.stringify(result)));
    admin.disconnect();
    socket.disconnect();
}

if (process.argv[2] === 'server') serve();
else connect(process.argv[3], process.argv[4] === 'late');
