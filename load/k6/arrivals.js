// An arrival rate: requests begin so many times a second whether answers have come or not, each endpoint as often as
// the others. What is dropped had no user free: the service is slower than the rate.
//   k6 run load/k6/arrivals.js -e URL=http://127.0.0.1:8080
// SECONDS (60), RATE (60 requests a second), USERS (100, at most at once), LIMIT (100 rows),
// LATE (1000: milliseconds that the 95th percentile may have)
import exec from 'k6/execution';
import { STRATEGIES, number, products, thresholds } from './lib/poolwise.js';

const limit = number('LIMIT', 100);
const users = number('USERS', 100);

export const options = {
  scenarios: {
    arrivals: {
      executor: 'constant-arrival-rate',
      rate: number('RATE', 60),
      timeUnit: '1s',
      duration: `${number('SECONDS', 60)}s`,
      preAllocatedVUs: users,
      maxVUs: users,
    },
  },
  thresholds: { ...thresholds(number('LATE', 1000)), dropped_iterations: ['count==0'] },
  summaryTrendStats: ['count', 'avg', 'min', 'med', 'p(95)', 'max'],
};

export default function () {
  const strategy = STRATEGIES[exec.scenario.iterationInTest % STRATEGIES.length];
  products(strategy, `category=electronics&limit=${limit}`, limit);
}
