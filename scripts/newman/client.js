// One client: a run of Newman that tells its parent of each request.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const newman = require('newman');

const POSTMAN = path.join(__dirname, '..', '..', 'postman');
/** What every product begins with; a quote inside of a text has a backslash before it. */
const PRODUCT = Buffer.from('{"id":');

process.on('disconnect', () => process.exit(1));
process.once('message', run);
process.send({ ready: true });

function read(name) {
    return JSON.parse(fs.readFileSync(path.join(POSTMAN, name), 'utf8'));
}

function countProducts(body) {
    let rows = 0;
    for (let at = body.indexOf(PRODUCT); at !== -1; at = body.indexOf(PRODUCT, at + PRODUCT.length)) rows += 1;
    return rows;
}

/** The collection, where the requests of stress ask for so many products at a time. */
function collection(limit) {
    const written = read('poolwise.postman_collection.json');
    const stress = written.item.find((folder) => folder.name === 'stress');
    for (const item of limit === '' ? [] : stress.item) {
        const parameter = item.request.url.query.find((one) => one.key === 'limit');
        Object.assign(parameter, { value: String(limit), disabled: false });
    }
    return written;
}

function run(options) {
    const { isStress } = options;
    const variables = { baseUrl: options.url, matchingRows: options.matchingRows };
    const runner = newman.run(
        {
            collection: collection(options.limit),
            environment: read('local.postman_environment.json'),
            envVar: Object.entries(variables).map(([key, value]) => ({ key, value: String(value) })),
            folder: options.folder,
            // More than there is time for.
            iterationCount: isStress ? 1000000 : 1,
            delayRequest: options.pause,
            timeoutRequest: 60000,
            reporters: isStress ? [] : ['cli'],
            reporter: { cli: { noBanner: true, noSummary: true } },
        },
        finish,
    );
    const current = {};
    let deadline = Infinity;

    /** Says what failed, and ends this client. */
    function finish(error) {
        const { summary } = runner;
        // What an answer of stress was is told with its request.
        const failures = (isStress ? [] : summary.run.failures).map((failure) =>
            `${failure.source?.name}: ${failure.error.test || failure.at}: ${failure.error.message}`);
        if (error) failures.push(error.message);
        if (options.out) {
            summary.run.timings.completed ??= Date.now();
            const name = `client-${String(options.number).padStart(2, '0')}.json`;
            fs.writeFileSync(path.join(options.out, name), `${JSON.stringify(summary, null, 2)}\n`);
        }
        process.send({ done: true, failures }, () => process.exit(0));
    }

    runner.on('start', () => {
        if (isStress) deadline = Date.now() + 1000 * options.seconds;
    });
    runner.on('beforeRequest', () => { current.at = Date.now(); });
    runner.on('request', (error, { request, response, item }) => {
        const status = response?.code ?? 0;
        const refused = isStress && status !== 200 ? `answered with ${status}` : undefined;
        Object.assign(current, {
            name: isStress ? item.name : `${request.method} /${item.request.url.path.join('/')}`,
            status,
            ms: response?.responseTime ?? Date.now() - current.at,
            bytes: response?.responseSize ?? 0,
            rows: response?.stream && status === 200 ? countProducts(response.stream) : 0,
            error: error?.message ?? refused,
        });
    });
    runner.on('assertion', (error) => {
        if (error && !current.error) current.error = `${error.test}: ${error.message}`;
    });
    runner.on('item', () => {
        process.send({ request: { ...current } });
        // Newman would keep every body until the end.
        const { response } = runner.summary.run.executions.at(-1) ?? {};
        if (response) delete response.stream;
        if (Date.now() + options.pause >= deadline) {
            runner.removeAllListeners();
            finish();
        }
    });
}
