// A user as the main thread sees it: its thread, its one connection, and the requests that are sent for it.
import http from 'node:http';
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';

export class User {
  constructor(vu, script, environment) {
    const { port1: line, port2: theirs } = new MessageChannel();
    const gate = new Int32Array(new SharedArrayBuffer(4));
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    this.line = line;
    line.on('message', async (request) => {
      line.postMessage(await this.#send(request));
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
    });
    this.thread = new Worker(new URL('./user.js', import.meta.url), {
      workerData: { vu, script, environment, line: theirs, gate },
      transferList: [theirs],
    });
    this.thread.on('error', (error) => {
      throw error;
    });
    this.ready = once(this.thread, 'message');
  }

  /** One iteration: what it measured, and what it threw. */
  async run(iteration) {
    this.thread.postMessage(iteration);
    const [result] = await once(this.thread, 'message');
    return result;
  }

  async end() {
    this.line.close();
    this.agent.destroy();
    await this.thread.terminate();
  }

  /** Sends a request and reads its whole answer. Without an answer the status is 0, as in k6. */
  #send({ method, url, body, headers, timeout }) {
    const begun = performance.now();
    const finish = (status, rest) => {
      const duration = performance.now() - begun;
      return { status, body: null, headers: {}, error: '', ...rest, timings: { duration }, ended: Date.now() };
    };
    return new Promise((answered) => {
      const request = http.request(url, { method, headers, agent: this.agent });
      const timer = setTimeout(() => request.destroy(new Error('request timeout')), timeout);
      const done = (status, rest) => {
        clearTimeout(timer);
        answered(finish(status, rest));
      };
      request.on('error', (error) => done(0, { error: error.message }));
      request.on('response', async (response) => {
        try {
          const parts = [];
          for await (const part of response) parts.push(part);
          done(response.statusCode, { body: Buffer.concat(parts).toString(), headers: canonical(response.headers) });
        } catch (error) {
          done(0, { error: error.message });
        }
      });
      request.end(body);
    });
  }
}

/** Names of headers as k6 writes them: Content-Type. */
function canonical(headers) {
  const name = (text) => text.replace(/(^|-)([a-z])/g, (_, before, letter) => before + letter.toUpperCase());
  return Object.fromEntries(Object.entries(headers).map(([key, value]) => [name(key), String(value)]));
}
