// Requests as a table for people, and as JMeter's CSV (.jtl) for programs.
'use strict';

/** The smallest value that at least this share is not above (nearest rank). */
function percentile(sorted, share) {
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

const grouped = (number) => number.toLocaleString('en-US');

function rowsOf(requests) {
    const counts = requests.filter((request) => request.rows > 0).map((request) => request.rows);
    if (counts.length === 0) return '-';
    const [least, most] = [Math.min(...counts), Math.max(...counts)];
    return least === most ? grouped(least) : `${grouped(least)} to ${grouped(most)}`;
}

function line(name, requests, seconds) {
    const times = requests.map((request) => request.ms).sort((a, b) => a - b);
    const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
    return [
        name,
        grouped(requests.length),
        (requests.length / seconds).toFixed(1),
        mean.toFixed(1),
        String(percentile(times, 0.5)),
        String(percentile(times, 0.95)),
        grouped(requests.filter((request) => request.error).length),
        rowsOf(requests),
    ];
}

/** The requests of stress in their order, of which each client begins with another one. */
const STRESS = ['direct', 'pooled', 'cached'];
const HEADS = ['endpoint', 'requests', 'requests/s', 'mean ms', 'p50 ms', 'p95 ms', 'errors', 'rows'];

/** A line for each endpoint and one for all of them. */
function table(requests) {
    if (requests.length === 0) return 'There were no requests.';
    const begin = requests.reduce((least, request) => Math.min(least, request.at), Infinity);
    const end = requests.reduce((most, request) => Math.max(most, request.at + request.ms), 0);
    const seconds = Math.max(end - begin, 1) / 1000;
    const names = [...new Set(requests.map((request) => request.name))]
        .sort((a, b) => STRESS.indexOf(a) - STRESS.indexOf(b));
    const lines = names.map((name) =>
        line(name, requests.filter((request) => request.name === name), seconds));
    lines.push(line('all', requests, seconds));
    const widths = HEADS.map((head, i) => Math.max(head.length, ...lines.map((cells) => cells[i].length)));
    const print = (cells) =>
        cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
    const rule = widths.map((width) => '-'.repeat(width)).join('  ');
    return [print(HEADS), rule, ...lines.slice(0, -1).map(print), rule, print(lines.at(-1))].join('\n');
}

/** Every request, in the order of their beginnings. */
function jtl(requests, options) {
    const text = (value) => `"${String(value).replaceAll('"', '""')}"`;
    const lines = [...requests].sort((a, b) => a.at - b.at).map((request) => [
        request.at, request.ms, text(request.name), request.status, text(request.error ?? 'OK'),
        text(`client ${request.client}`), request.error ? 'false' : 'true', request.bytes, options.clients, request.rows,
    ].join(','));
    const heads = 'timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,bytes,allThreads,rows';
    return `${[heads, ...lines].join('\n')}\n`;
}

module.exports = { jtl, percentile, table };
