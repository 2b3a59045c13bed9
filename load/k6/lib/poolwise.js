// What the scripts share: one way to ask for products that checks every answer.
import http from 'k6/http';
import { check } from 'k6';
import { Trend } from 'k6/metrics';

export const STRATEGIES = ['direct', 'pooled', 'cached'];
const url = __ENV.URL || 'http://127.0.0.1:8080';
// How many rows answers had: its minimum and maximum are what they must have.
const rows = new Trend('rows');

/** A number from the environment (`k6 run -e NAME=value`), or what it is otherwise. */
export function number(name, otherwise) {
  const value = __ENV[name] === undefined || __ENV[name] === '' ? otherwise : Number(__ENV[name]);
  if (!Number.isFinite(value)) throw new Error(`${name} must be a number and is ${__ENV[name]}`);
  return value;
}

/** Asks a strategy for products without compression; the answer must be 200 and have `wanted` rows. */
export function products(strategy, query, wanted) {
  const answer = http.get(`${url}/products/${strategy}?${query}`, {
    headers: { 'Accept-Encoding': 'identity' },
    // Without a name each URL would be a line of its own in the statistics.
    tags: { name: `GET /products/${strategy}`, strategy },
    timeout: '30s',
  });
  const found = rowsOf(answer.body);
  rows.add(found, { strategy });
  check(
    answer,
    {
      'status 200': (r) => r.status === 200,
      'not compressed': (r) => !r.headers['Content-Encoding'],
      'as many rows as there must be': () => found === wanted,
    },
    { strategy },
  );
}

/** Rows of a JSON array of products. Counting a key costs far less than parsing 21,000 rows; inside a text it would
 * stand with a backslash before its second quote. */
function rowsOf(body) {
  return typeof body === 'string' && body.startsWith('[') ? body.split('"sku":').length - 1 : 0;
}

/** No request fails, every check holds, and (generously, for machines with other things to do) p95 stays below this. */
export function thresholds(milliseconds) {
  const each = STRATEGIES.map((strategy) => [
    `http_req_duration{strategy:${strategy}}`,
    [`p(95)<${milliseconds}`],
  ]);
  return { checks: ['rate==1'], http_req_failed: ['rate==0'], ...Object.fromEntries(each) };
}
