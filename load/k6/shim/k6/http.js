// `k6/http`: requests that wait for their answer, as in k6. They are sent by the main thread.
import { ask, emit } from './vu.js';

function request(method, url, body, { headers = {}, tags = {}, timeout = '60s', ...others } = {}) {
  const unknown = Object.keys(others);
  if (unknown.length) throw new Error(`the stand-in for k6 does not know the parameter ${unknown.join(', ')}`);
  const seconds = /^(\d+)s$/.exec(timeout);
  if (!seconds) throw new Error(`the stand-in for k6 knows timeouts in seconds only, not ${timeout}`);
  const answer = ask({ method, url, body: body ?? null, headers, timeout: seconds[1] * 1000 });
  const all = { name: url, ...tags, method, url, status: String(answer.status) };
  all.expected_response = String(answer.status >= 200 && answer.status < 400);
  if (answer.error) all.error = answer.error;
  emit('http_reqs', 'counter', 1, all, answer.ended);
  emit('http_req_duration', 'trend', answer.timings.duration, all, answer.ended);
  emit('http_req_failed', 'rate', Number(all.expected_response !== 'true'), all, answer.ended);
  return { ...answer, url, json: () => JSON.parse(answer.body) };
}

const withoutBody = (method) => (url, parameters) => request(method, url, null, parameters);
const withBody = (method) => (url, body, parameters) => request(method, url, body, parameters);

export const get = withoutBody('GET');
export const post = withBody('POST');
export const put = withBody('PUT');
export const patch = withBody('PATCH');
export const del = withBody('DELETE');
export default { get, post, put, patch, del, request };
