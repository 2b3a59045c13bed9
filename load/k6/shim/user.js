// A virtual user: a thread with the script loaded into it, that runs an iteration whenever it is told to.
import { parentPort, workerData } from 'node:worker_threads';
import { place, taken } from 'k6/vu';

globalThis.__ENV = workerData.environment;
globalThis.__VU = place.vu = workerData.vu;
globalThis.__ITER = 0;
const script = await import(workerData.script);

parentPort.on('message', async ({ scenario, exec, iteration }) => {
  Object.assign(place, { scenario, iteration, own: globalThis.__ITER });
  let error;
  try {
    await script[exec]();
  } catch (thrown) {
    error = String(thrown?.stack ?? thrown);
  }
  globalThis.__ITER += 1;
  parentPort.postMessage({ measured: taken(), error });
});
parentPort.postMessage({ ready: true });
