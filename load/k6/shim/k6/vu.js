// What the modules of a user have in common: the line to the main thread, and what was measured in an iteration.
import { receiveMessageOnPort, workerData } from 'node:worker_threads';

/** Where in the test this user is; the user's thread sets it. */
export const place = { scenario: '', iteration: 0, own: 0, vu: 0 };
let measured = [];

/** A sample of a metric. */
export function emit(metric, type, value, tags = {}, time = Date.now()) {
  measured.push({ metric, type, value, tags: { ...tags, scenario: place.scenario }, time });
}

/** What was measured since the last time. */
export function taken() {
  const all = measured;
  measured = [];
  return all;
}

/** Sends a request and waits, with this thread, for its answer. */
export function ask(request) {
  if (!workerData?.line) throw new Error('requests cannot be sent while a script is loaded');
  const { line, gate } = workerData;
  Atomics.store(gate, 0, 0);
  line.postMessage(request);
  Atomics.wait(gate, 0, 0);
  return receiveMessageOnPort(line).message;
}
