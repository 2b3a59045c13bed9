// Runs a k6 script with Node.js where k6 itself is not to be had: its code, its requests to a real service, its checks
// and its thresholds. It is no load generator of its own: two executors, and an error for whatever it does not know.
//   node main.js [-e NAME=VALUE]... [--out json=FILE] SCRIPT
import { createWriteStream } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import { User } from './thread.js';
import { Summary } from './summary.js';

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(107);
}

function parse(list) {
  const given = { environment: {}, out: null, script: null };
  while (list.length) {
    const word = list.shift();
    if (word === '-e') {
      const [name, ...value] = (list.shift() ?? '').split('=');
      given.environment[name] = value.join('=');
    } else if (word === '--out') {
      const [kind, file] = (list.shift() ?? '').split('=');
      if (kind !== 'json' || !file) fail('--out is known as json=FILE only');
      given.out = file;
    } else if (word.startsWith('-') || given.script) {
      fail(`${word} is not known`);
    } else {
      given.script = word;
    }
  }
  if (!given.script) fail('which script?');
  return given;
}

const only = (what, object, ...known) => {
  const others = Object.keys(object).filter((key) => !known.includes(key));
  if (others.length) fail(`${what}: the stand-in for k6 does not know ${others.join(', ')}`);
};

const seconds = (text) => {
  const found = /^(\d+(?:\.\d+)?)s$/.exec(text);
  return found ? Number(found[1]) : fail(`a duration must be in seconds, such as 60s, and is ${text}`);
};

/** Iterations one after the other: each user goes on as soon as it is done. */
async function constantUsers(name, scenario, users, iterate) {
  only(`scenario ${name}`, scenario, 'executor', 'vus', 'duration', 'exec');
  const end = performance.now() + seconds(scenario.duration) * 1000;
  const live = async (user) => {
    while (performance.now() < end) await iterate(user);
  };
  await Promise.all(users.map(live));
}

/** Iterations at a rate: one that finds no free user is dropped. */
async function constantRate(name, scenario, users, iterate, drop) {
  only(`scenario ${name}`, scenario, 'executor', 'rate', 'timeUnit', 'duration', 'preAllocatedVUs', 'maxVUs', 'exec');
  const gap = (seconds(scenario.timeUnit ?? '1s') * 1000) / scenario.rate;
  const begin = performance.now();
  const count = Math.floor((seconds(scenario.duration) * 1000) / gap);
  const free = [...users];
  const running = new Set();
  for (let number = 0; number < count; number += 1) {
    const early = begin + number * gap - performance.now();
    // Also when it is late: without it nobody would become free.
    await new Promise((done) => setTimeout(done, Math.max(0, early)));
    const user = free.pop();
    if (!user) {
      drop();
      continue;
    }
    const run = iterate(user).then(() => {
      running.delete(run);
      free.unshift(user);
    });
    running.add(run);
  }
  await Promise.all(running);
}

const EXECUTORS = {
  'constant-vus': [constantUsers, (scenario) => scenario.vus],
  'constant-arrival-rate': [constantRate, (scenario) => scenario.maxVUs ?? scenario.preAllocatedVUs],
};

const given = parse(process.argv.slice(2));
const script = pathToFileURL(resolve(given.script)).href;
globalThis.__ENV = given.environment;
globalThis.__VU = 0;
const { options = {}, ...functions } = await import(script);
only('options', options, 'scenarios', 'thresholds', 'summaryTrendStats');
only('the script', functions, 'default', ...Object.values(options.scenarios ?? {}).map(({ exec }) => exec));
const out = given.out ? createWriteStream(given.out) : null;
const summary = new Summary(options.thresholds ?? {}, out);

for (const [name, scenario] of Object.entries(options.scenarios ?? fail('the script has no scenarios'))) {
  const [run, count] = EXECUTORS[scenario.executor] ?? fail(`the stand-in for k6 does not know ${scenario.executor}`);
  const people = Array.from({ length: count(scenario) }, (_, i) => new User(i + 1, script, given.environment));
  await Promise.all(people.map((user) => user.ready));
  let iteration = 0;
  const iterate = async (user) => {
    const { measured, error } = await user.run({ scenario: name, exec: scenario.exec ?? 'default', iteration: iteration++ });
    summary.add(measured);
    summary.add([{ metric: 'iterations', type: 'counter', value: 1, tags: { scenario: name }, time: Date.now() }]);
    if (error) summary.failed(error);
  };
  const drop = () => {
    iteration += 1;
    summary.add([{ metric: 'dropped_iterations', type: 'counter', value: 1, tags: { scenario: name }, time: Date.now() }]);
  };
  const begun = performance.now();
  await run(name, scenario, people, iterate, drop);
  summary.took = (performance.now() - begun) / 1000;
  await Promise.all(people.map((user) => user.end()));
}
if (out) await new Promise((done) => out.end(done));
// k6's own exit code when a threshold is crossed.
process.exitCode = summary.print() ? 0 : 99;
