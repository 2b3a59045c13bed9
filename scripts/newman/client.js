// One process: runs of Newman, each a client, that tell their parent of each request.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const newman = require('newman');

const POSTMAN = path.join(__dirname, '..', '..', 'postman');
/** What every product begins with; a quote inside of a text has a backslash before it. */
const PRODUCT = Buffer.from('{"id":');
/** Rounds after which Node.js has compiled most of Newman: the more clients a process has, the more it is worth. */
const WARM_UP_ROUNDS_PER_CLIENT = 10;

process.on('disconnect', () => process.exit(1));
process.once('message', prepare);
process.send({ ready: true });

function read(name) {
    return JSON.parse(fs.readFileSync(path.join(POSTMAN, name), 'utf8'));
}

function countProducts(body) {
    let rows = 0;
    for (let at = body.indexOf(PRODUCT); at !== -1; at = body.indexOf(PRODUCT, at + PRODUCT.length)) rows += 1;
    return rows;
}

/** The folder alone, which Newman starts sooner. Requests of stress ask for `limit` products at a time, and clients
 * do not all begin with the same one. */
function collection({ folder, isStress, limit }, number) {
    const written = read('poolwise.postman_collection.json');
    written.item = written.item.filter((one) => one.name === folder);
    if (!isStress) return written;
    const [{ item: items }] = written.item;
    items.unshift(...items.splice(number % items.length));
    for (const item of limit === '' ? [] : items) {
        const parameter = item.request.url.query.find((one) => one.key === 'limit');
        Object.assign(parameter, { value: String(limit), disabled: false });
    }
    return written;
}

/** What Newman is asked to do, for the client of this number. */
function settings(options, url, number) {
    const variables = { baseUrl: url, matchingRows: options.matchingRows };
    return {
        collection: collection(options, number),
        environment: read('local.postman_environment.json'),
        envVar: Object.entries(variables).map(([key, value]) => ({ key, value: String(value) })),
        timeoutRequest: 60000,
        color: process.stdout.isTTY && !process.env.NO_COLOR ? 'on' : 'off',
        reporters: options.isStress ? [] : ['cli'],
        reporter: { cli: { noBanner: true, noSummary: true, noFailures: true } },
    };
}

/** Gets ready, and begins when it is told to. */
async function prepare(options) {
    if (options.isStress) await warmUp(options);
    const clients = options.numbers.map((number) => start(options, number));
    await Promise.all(clients.map(({ started }) => started));
    process.once('message', async () => {
        for (const { begin } of clients) begin();
        const failures = await Promise.all(clients.map(({ ended }) => ended));
        process.send({ done: true, failures: failures.flat() }, () => process.exit(0));
    });
    process.send({ prepared: true });
}

/** The first requests of a process take ten times as long as the others, because Node.js compiles Newman meanwhile.
 * So they go to a server in this process, and the service is not asked. */
async function warmUp(options) {
    const server = http.createServer((request, response) => response.end('[]'));
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const url = `http://127.0.0.1:${server.address().port}`;
    const rounds = WARM_UP_ROUNDS_PER_CLIENT * options.numbers.length;
    await new Promise((resolve) => {
        newman.run({ ...settings(options, url, 0), iterationCount: rounds }, resolve);
    });
    server.closeAllConnections();
    server.close();
}

/** One client: `started` when it waits for `begin`, `ended` with what failed, as sentences. */
function start(options, number) {
    const { isStress } = options;
    const client = {};
    const current = {};
    let deadline = Infinity;
    let controls;

    // Without the time that Newman takes to make a client ready for its first request.
    client.begin = () => {
        if (isStress) deadline = Date.now() + 1000 * options.seconds;
        controls?.resume();
    };
    client.started = new Promise((started) => {
        client.ended = new Promise((ended) => {
            const runner = newman.run(
                {
                    ...settings(options, options.url, number),
                    // More than there is time for.
                    iterationCount: isStress ? 1000000 : 1,
                    delayRequest: options.pause,
                },
                (error, summary) => {
                    if (summary && options.out) save(summary, options.out, number);
                    // What an answer of stress was is told with its request.
                    const failures = (summary && !isStress ? summary.run.failures : []).map((failure) =>
                        `${failure.source?.name}: ${failure.error.test || failure.at}: ${failure.error.message}`);
                    if (error) failures.push(error.message);
                    started();
                    ended(failures);
                },
            );
            runner.on('start', (error, { run }) => {
                controls = run;
                run.pause(() => started());
            });
            runner.on('beforeRequest', () => { current.at = Date.now(); });
            runner.on('request', (error, { request, response, item }) => {
                const status = response?.code ?? 0;
                const rows = response?.stream && status === 200 ? countProducts(response.stream) : 0;
                Object.assign(current, {
                    name: isStress ? item.name : `${request.method} /${item.request.url.path.join('/')}`,
                    status,
                    ms: response?.responseTime ?? Date.now() - current.at,
                    bytes: response?.responseSize ?? 0,
                    rows,
                    error: error?.message ?? (isStress ? wrong(status, rows, options) : undefined),
                });
            });
            runner.on('assertion', (error) => {
                if (error && !current.error) current.error = `${error.test}: ${error.message}`;
            });
            runner.on('item', () => {
                process.send({ request: { ...current, client: number } });
                // Newman would keep every body until the end.
                const { response } = runner.summary.run.executions.at(-1) ?? {};
                if (response) delete response.stream;
                if (Date.now() + options.pause >= deadline) controls.abort();
            });
        });
    });
    return client;
}

function save(summary, folder, number) {
    const name = `client-${String(number).padStart(2, '0')}.json`;
    fs.writeFileSync(path.join(folder, name), `${JSON.stringify(summary, null, 2)}\n`);
}

/** What is wrong with an answer of stress, or nothing. */
function wrong(status, rows, { limit, matchingRows }) {
    if (status !== 200) return `answered with ${status}`;
    const wanted = Math.min(limit || matchingRows, matchingRows);
    if (rows !== wanted) {
        return `${rows} products instead of ${wanted} (--rows says how many products the service holds)`;
    }
    return undefined;
}
