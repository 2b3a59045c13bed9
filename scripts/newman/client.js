// One client: a run of Newman that tells its parent of each request.
'use strict';

const path = require('node:path');
const newman = require('newman');

const POSTMAN = path.join(__dirname, '..', '..', 'postman');
/** What every product begins with; a quote inside of a text has a backslash before it. */
const PRODUCT = Buffer.from('{"id":');

process.on('disconnect', () => process.exit(1));
process.once('message', run);
process.send({ ready: true });

function countProducts(body) {
    let rows = 0;
    for (let at = body.indexOf(PRODUCT); at !== -1; at = body.indexOf(PRODUCT, at + PRODUCT.length)) rows += 1;
    return rows;
}

function run(options) {
    const variables = {
        baseUrl: options.url,
        matchingRows: options.matchingRows,
        stressSeconds: options.seconds,
        stressLimit: options.limit,
    };
    const report = options.out && path.join(options.out, `client-${String(options.number).padStart(2, '0')}.json`);
    const runner = newman.run(
        {
            collection: path.join(POSTMAN, 'poolwise.postman_collection.json'),
            environment: path.join(POSTMAN, 'local.postman_environment.json'),
            envVar: Object.entries(variables).map(([key, value]) => ({ key, value: String(value) })),
            folder: options.folder,
            delayRequest: options.pause,
            timeoutRequest: 60000,
            reporters: [...(options.isStress ? [] : ['cli']), ...(report ? ['json'] : [])],
            reporter: { cli: { noBanner: true, noSummary: true }, json: { export: report } },
        },
        (error, summary) => {
            const failures = summary.run.failures.map((failure) =>
                `${failure.source?.name}: ${failure.error.test || failure.at}: ${failure.error.message}`);
            if (error) failures.push(error.message);
            process.send({ done: true, failures }, () => process.exit(0));
        },
    );
    const current = {};
    runner.on('beforeRequest', () => { current.at = Date.now(); });
    runner.on('request', (error, { request, response, item }) => {
        const status = response?.code ?? 0;
        const refused = options.isStress && status !== 200 ? `answered with ${status}` : undefined;
        Object.assign(current, {
            name: options.isStress ? item.name : `${request.method} ${item.request.url.getPath({ unresolved: true })}`,
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
    });
}
