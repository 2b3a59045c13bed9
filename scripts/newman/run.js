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
                processes: { type: 'string' },
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
    const clients = isStress ? whole('clients', given.clients) : 1;
    return {
        isStress,
        url: given.url.replace(/\/+$/, ''),
        folder: given.folder,
        clients,
        processes: Math.min(clients, given.processes === undefined ? clients : whole('processes', given.processes)),
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

/** The numbers of the clients, from 1, of each process. */
function share({ clients, processes }) {
    const numbers = Array.from({ length: processes }, () => []);
    for (let client = 0; client < clients; client += 1) numbers[client % processes].push(client + 1);
    return numbers;
}

/** A process with some of the clients: `ready` when it can begin, `done` when it has ended. */
function startProcess(numbers, options, onRequest) {
    // Otherwise each has four threads that help it to compile, on processors that the service needs.
    const child = fork(path.join(__dirname, 'client.js'), [], { stdio: 'inherit', execArgv: ['--v8-pool-size=1'] });
    const started = { child, failures: [] };
    started.ready = new Promise((resolve) => {
        started.done = new Promise((ended) => {
            child.on('message', (message) => {
                if (message.ready) child.send({ ...options, numbers });
                if (message.prepared) resolve();
                if (message.request) onRequest(message.request);
                if (message.done) started.failures = message.failures;
            });
            child.on('exit', (code, signal) => {
                const who = numbers.length === 1 ? `client ${numbers[0]}` : `the process of clients ${numbers.join(', ')}`;
                if (code !== 0) started.failures.push(`${who} ended with ${signal || code}`);
                resolve();
                ended();
            });
        });
    });
    started.begin = () => {
        if (child.connected) child.send({ begin: true });
    };
    return started;
}

/** Each failure once, with how often it was: at most ten of them. */
function sentences(failures) {
    const counts = new Map();
    for (const failure of failures) counts.set(failure, (counts.get(failure) ?? 0) + 1);
    const said = [...counts].map(([failure, count]) => (count > 1 ? `${failure} (${count} times)` : failure));
    return said.length > 10 ? [...said.slice(0, 10), `and ${said.length - 10} more`] : said;
}

function announce(options) {
    const what = options.limit === '' ? 'all that match' : `${options.limit} products`;
    const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
    const how = options.processes < options.clients ? ` in ${count(options.processes, 'process', 'processes')}` : '';
    process.stdout.write(
        `${count(options.clients, 'client', 'clients')}${how} ask ${options.url} for ${what}, pausing ${options.pause} ms, ` +
            `for ${options.seconds} s\n`,
    );
}

async function main() {
    const options = readOptions();
    await expectService(options.url);
    if (options.out) fs.mkdirSync(options.out, { recursive: true });
    const requests = [];
    const processes = share(options).map((numbers) =>
        startProcess(numbers, options, (request) => requests.push(request)));
    const end = () => processes.forEach(({ child }) => child.kill());
    process.on('exit', end);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
    // All begin together; on few processors many processes take a while to start.
    await Promise.all(processes.map(({ ready }) => ready));
    if (options.isStress) announce(options);
    const patience = setTimeout(end, 1000 * (options.seconds + GRACE_SECONDS));
    processes.forEach(({ begin }) => begin());
    await Promise.all(processes.map(({ done }) => done));
    clearTimeout(patience);
    process.stdout.write(`\n${table(requests)}\n`);
    if (options.out) fs.writeFileSync(path.join(options.out, 'requests.jtl'), jtl(requests, options));
    const bad = options.isStress ? requests.filter((request) => request.error) : [];
    const failures = processes.flatMap((one) => one.failures);
    const said = sentences([...failures, ...bad.map((request) => `${request.name}: ${request.error}`)]);
    if (requests.length === 0) said.push('not a single request was answered');
    if (said.length > 0) process.stderr.write(`\n${['These failed:', ...said].join('\n  ')}\n`);
    process.exitCode = said.length > 0 ? 1 : 0;
}

main();
