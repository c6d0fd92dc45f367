// Runs the server: node main.js --key KEY --webhook-secret SECRET [--port PORT]. Prints the port, then serves until
// its standard input ends or a signal comes.
'use strict';

const {parseArgs} = require('node:util');

const {Server} = require('./server');

async function main() {
    const {values} = parseArgs({options: {
        key: {type: 'string'}, 'webhook-secret': {type: 'string'}, port: {type: 'string', default: '0'}}});
    const server = new Server({key: values.key, webhookSecret: values['webhook-secret']});
    console.log(await server.listen(Number(values.port)));
    // Who started it may die without a word.
    process.stdin.on('end', () => process.exit(0)).resume();
}

main();
