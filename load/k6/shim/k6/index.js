// `k6`: check and sleep.
import { emit } from './vu.js';

const gate = new Int32Array(new SharedArrayBuffer(4));

export function sleep(seconds) {
  Atomics.wait(gate, 0, 0, seconds * 1000);
}

export function check(value, checks, tags = {}) {
  let all = true;
  for (const [name, holds] of Object.entries(checks)) {
    const result = Boolean(typeof holds === 'function' ? holds(value) : holds);
    emit('checks', 'rate', Number(result), { ...tags, check: name });
    all &&= result;
  }
  return all;
}
