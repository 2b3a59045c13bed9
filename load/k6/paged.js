// 200 users ask for pages of 100 rows for 2 minutes, without a pause.
//   k6 run load/k6/paged.js -e URL=http://127.0.0.1:8080
// SECONDS (120), USERS (200), STRATEGY (pooled), LATE (1000: milliseconds that the 95th percentile may have)
import exec from 'k6/execution';
import { number, products, thresholds } from './lib/poolwise.js';

const strategy = __ENV.STRATEGY || 'pooled';
// As in config/lab/paged.toml: what is far behind would measure how the database skips rows.
const PAGES = 20;
const LIMIT = 100;

export const options = {
  scenarios: {
    paged: {
      executor: 'constant-vus',
      vus: number('USERS', 200),
      duration: `${number('SECONDS', 120)}s`,
    },
  },
  thresholds: thresholds(number('LATE', 1000)),
  summaryTrendStats: ['count', 'avg', 'min', 'med', 'p(95)', 'max'],
};

export default function () {
  const page = exec.scenario.iterationInTest % PAGES;
  products(strategy, `limit=${LIMIT}&offset=${page * LIMIT}`, LIMIT);
}
