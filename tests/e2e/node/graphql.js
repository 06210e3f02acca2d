// npm graphql-ws on both sides (graphql-transport-ws): a server, and an unmodified client whose subscription ids are random.
//
//     node graphql.js server            prints its port
//     node graphql.js client URL [reverse | a,c]   one JSON line: what each operation gave; `reverse` begins them in another order
'use strict';
const WebSocket = require('ws');

async function* ticks(topic, count) {
    for (let i = 0; i < count; i++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield { tick: `${topic} ${i}` };
    }
}

function serve() {
    const graphql = require('graphql');
    const { useServer } = require('graphql-ws/use/ws');
    const field = (type, resolve, args, more) => ({ type, args, resolve, ...more });
    const { GraphQLString: Text, GraphQLInt: Int } = graphql;
    const schema = new graphql.GraphQLSchema({
        query: new graphql.GraphQLObjectType({
            name: 'Query',
            fields: { hello: field(Text, (_, { name }) => `hello ${name}`, { name: { type: Text } }) },
        }),
        subscription: new graphql.GraphQLObjectType({
            name: 'Subscription',
            fields: {
                tick: field(Text, (event) => event.tick, { topic: { type: Text }, count: { type: Int } },
                    { subscribe: (_, { topic, count }) => ticks(topic, count) }),
            },
        }),
    });
    const server = new WebSocket.Server({ host: '127.0.0.1', port: 0, path: '/graphql',
        handleProtocols: (protocols) => (protocols.has('graphql-transport-ws') ? 'graphql-transport-ws' : false) });
    useServer({ schema }, server);
    server.on('listening', () => console.log(server.address().port));
}

async function connect(url, which) {
    const { createClient } = require('graphql-ws');
    const client = createClient({ url, webSocketImpl: WebSocket, lazy: false, retryAttempts: 0 });
    const operations = {
        a: { query: 'subscription ($topic: String) { tick(topic: $topic, count: 3) }', variables: { topic: 'news' } },
        b: { query: 'subscription ($topic: String) { tick(topic: $topic, count: 2) }', variables: { topic: 'weather' } },
        c: { query: 'query ($name: String) { hello(name: $name) }', variables: { name: 'Ada' } },
        d: { query: '{ nothing }' },
    };
    const results = {};
    const run = async (name) => {
        results[name] = [];
        try {
            for await (const result of client.iterate(operations[name]))
                results[name].push(result.data ?? result.errors.map((error) => error.message));
        } catch (error) {
            results[name].push(Array.isArray(error) ? error.map((one) => one.message) : String(error));
        }
    };
    const names = Object.keys(operations);
    const chosen = which === 'reverse' ? names.reverse() : which ? which.split(',') : names;
    await Promise.all(chosen.map(run));
    await client.dispose();
    console.log(JSON.stringify(Object.fromEntries(Object.entries(results).sort())));
}

if (process.argv[2] === 'server') serve();
else connect(process.argv[3], process.argv[4]);
