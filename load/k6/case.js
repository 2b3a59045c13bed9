// The case: 20 users who pause 233 ms ask the three endpoints in turn for the same products, 35 % of all.
//   k6 run load/k6/case.js -e URL=http://127.0.0.1:8080
// SECONDS (60), USERS (20), PAUSE (233, milliseconds), LIMIT (0: all rows), ROWS (21000: what each answer must have)
import { sleep } from 'k6';
import exec from 'k6/execution';
import { STRATEGIES, number, products, thresholds } from './lib/poolwise.js';

const limit = number('LIMIT', 0);
const wanted = number('ROWS', 21000);
const pause = number('PAUSE', 233) / 1000;

export const options = {
  scenarios: {
    case: {
      executor: 'constant-vus',
      vus: number('USERS', 20),
      duration: `${number('SECONDS', 60)}s`,
    },
  },
  thresholds: thresholds(30000),
  summaryTrendStats: ['count', 'avg', 'min', 'med', 'p(95)', 'max'],
};

export default function () {
  const strategy = STRATEGIES[exec.scenario.iterationInTest % STRATEGIES.length];
  products(strategy, limit ? `category=electronics&limit=${limit}` : 'category=electronics', wanted);
  sleep(pause);
}
