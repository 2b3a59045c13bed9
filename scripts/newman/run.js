// Starts the clients, each a process, and prints a table of what they saw.
'use strict';

const { fork } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { jtl, table } = require('./table.js');

/** Beyond the time of the run, for clients to start and for the last answers. */
const GRACE_SECONDS = 180;

function refuse(why) {
    process.stderr.write(`error: ${why}; see --help\n`);
    process.exit(2);
}

function whole(name, text, least = 1) {
    const number = Number(text);
    return /^\d+$/.test(text) && number >= least
        ? number
        : refuse(`--${name} ${text} is not a whole number from ${least}`);
}

function readOptions() {
    const text = (value) => ({ type: 'string', default: value });
    let given;
    try {
        given = parseArgs({
            options: {
                url: text('http://127.0.0.1:8080'),
                folder: text('contract'),
                clients: text('20'),
                pause: text('233'),
                seconds: text('60'),
                rows: text('60000'),
                limit: { type: 'string' },
                out: { type: 'string' },
            },
        }).values;
    } catch (error) {
        return refuse(error.message);
    }
    if (!['contract', 'stress'].includes(given.folder)) {
        refuse(`--folder ${given.folder} is not known; there are contract and stress`);
    }
    if (!/^https?:\/\/[^/]/.test(given.url)) {
        refuse(`--url ${given.url} does not begin with http:// or https://`);
    }
    const rows = whole('rows', given.rows, 20);
    if (rows % 20 !== 0) refuse(`--rows ${rows} is not a multiple of 20`);
    const isStress = given.folder === 'stress';
    return {
        isStress,
        url: given.url.replace(/\/+$/, ''),
        folder: given.folder,
        clients: isStress ? whole('clients', given.clients) : 1,
        pause: isStress ? whole('pause', given.pause, 0) : 0,
        seconds: whole('seconds', given.seconds),
        matchingRows: (rows * 7) / 20,
        limit: given.limit === undefined ? '' : whole('limit', given.limit),
        out: given.out && path.resolve(given.out),
    };
}

async function expectService(url) {
    try {
        const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(10000) });
        if (answer.ok) return;
        throw new Error(`/health/ready answers ${answer.status}`);
    } catch (error) {
        const why = error.cause?.message || error.cause?.code || error.message;
        process.stderr.write(`error: ${url}: ${why}. Is the service running, and is --url right?\n`);
        process.exit(1);
    }
}

/** A client's process: `ready` when it can begin, `done` when it has ended. */
function startClient(number, options, onRequest) {
    const child = fork(path.join(__dirname, 'client.js'), [], { stdio: 'inherit' });
    const client = { child, failures: [] };
    client.ready = new Promise((resolve) => {
        client.done = new Promise((ended) => {
            child.on('message', (message) => {
                if (message.ready) resolve();
                if (message.request) onRequest({ ...message.request, client: number });
                if (message.done) client.failures = message.failures;
            });
            child.on('exit', (code, signal) => {
                if (code !== 0) client.failures.push(`client ${number} ended with ${signal || code}`);
                resolve();
                ended();
            });
        });
    });
    client.begin = () => {
        if (child.connected) child.send({ ...options, number });
    };
    return client;
}

async function main() {
    const options = readOptions();
    await expectService(options.url);
    if (options.out) fs.mkdirSync(options.out, { recursive: true });
    const requests = [];
    const clients = Array.from({ length: options.clients }, (_, i) =>
        startClient(i + 1, options, (request) => requests.push(request)));
    const end = () => clients.forEach((client) => client.child.kill());
    process.on('exit', end);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
    await Promise.all(clients.map((client) => client.ready));
    if (options.isStress) {
        const what = options.limit === '' ? 'all that match' : `${options.limit} products`;
        process.stdout.write(
            `${options.clients} clients ask ${options.url} for ${what}, pausing ${options.pause} ms, ` +
                `for ${options.seconds} s\n`,
        );
    }
    const patience = setTimeout(end, 1000 * (options.seconds + GRACE_SECONDS));
    clients.forEach((client) => client.begin());
    await Promise.all(clients.map((client) => client.done));
    clearTimeout(patience);
    process.stdout.write(`\n${table(requests)}\n`);
    if (options.out) fs.writeFileSync(path.join(options.out, 'requests.jtl'), jtl(requests, options));
    const failures = clients.flatMap((client) => client.failures);
    const bad = options.isStress ? requests.filter((request) => request.error) : [];
    const said = [...new Set([...failures, ...bad.map((request) => `${request.name}: ${request.error}`)])];
    if (requests.length === 0) said.push('not a single request was answered');
    if (said.length > 0) {
        const more = said.length > 10 ? [`and ${said.length - 10} more`] : [];
        process.stderr.write(`\n${['These failed:', ...said.slice(0, 10), ...more].join('\n  ')}\n`);
    }
    process.exitCode = said.length > 0 ? 1 : 0;
}

main();
