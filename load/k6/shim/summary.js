// What was measured: written line by line as `k6 run --out json=FILE` does, and summed up at the end.

const WORDS = {
  count: (values) => values.length,
  avg: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  min: (values) => values[0],
  med: (values) => quantile(values, 0.5),
  max: (values) => values.at(-1),
};

/** Between the two nearest values, as k6 does it. */
function quantile(values, share) {
  const place = share * (values.length - 1);
  const below = values[Math.floor(place)];
  return below + (values[Math.ceil(place)] - below) * (place % 1);
}

/** A figure of a metric by its name in a threshold. */
function figure(type, values, word) {
  const sum = () => values.reduce((total, value) => total + value, 0);
  if (type === 'counter' && word === 'count') return sum();
  if (type === 'rate' && word === 'rate') return sum() / values.length;
  const share = /^p\((\d+(?:\.\d+)?)\)$/.exec(word);
  if (type === 'trend' && share) return quantile(values, share[1] / 100);
  if (type === 'trend' && WORDS[word]) return WORDS[word](values);
  throw new Error(`the stand-in for k6 does not know ${word} of a ${type}`);
}

const COMPARE = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
};

export class Summary {
  constructor(thresholds, out) {
    Object.assign(this, { thresholds, out, metrics: new Map(), errors: new Map(), took: 0 });
    // One that cannot be read fails at the start and not at the end.
    for (const rule of Object.values(thresholds).flat()) parse(rule);
  }

  add(samples) {
    for (const { metric, type, value, tags, time } of samples) {
      const kept = this.metrics.get(metric) ?? { type, samples: [] };
      this.metrics.set(metric, kept);
      kept.samples.push({ value, tags });
      const data = { time: new Date(time).toISOString(), value, tags };
      this.out?.write(`${JSON.stringify({ metric, type: 'Point', data })}\n`);
    }
  }

  failed(error) {
    this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
  }

  /** The values of a metric, or of those samples of it that have a tag: `metric{tag:value}`. */
  values(name) {
    const [, metric, tag, value] = /^([a-z_]+)(?:\{([a-z_]+):([^}]*)\})?$/.exec(name);
    const { type, samples } = this.metrics.get(metric) ?? { type: null, samples: [] };
    const wanted = tag ? samples.filter(({ tags }) => tags[tag] === value) : samples;
    return { type, values: wanted.map((sample) => sample.value).sort((a, b) => a - b) };
  }

  /** Prints it all; whether every threshold holds and nothing was thrown. */
  print() {
    let all = this.errors.size === 0;
    for (const [error, times] of this.errors) console.error(`${times} iterations failed: ${error}`);
    for (const name of [...this.metrics.keys()].sort()) {
      const { type, values } = this.values(name);
      const show = (words) => words.map((word) => `${word}=${round(figure(type, values, word))}`).join(' ');
      const text = {
        trend: () => show(['count', 'avg', 'min', 'med', 'p(95)', 'max']),
        rate: () => `${show(['rate'])} of ${values.length}`,
        counter: () => `${show(['count'])} (${round(figure(type, values, 'count') / this.took)}/s)`,
      }[type];
      console.log(`  ${name.padEnd(24, '.')} ${text ? text() : values.at(-1)}`);
    }
    for (const [name, rules] of Object.entries(this.thresholds)) {
      const { type, values } = this.values(name);
      for (const rule of rules) {
        const [word, compare, limit] = parse(rule);
        // Like k6: what was never measured crosses nothing.
        const is = values.length ? figure(type, values, word) : null;
        const holds = is === null || COMPARE[compare](is, limit);
        all &&= holds;
        console.log(`  ${holds ? '✓' : '✗'} ${name}: ${rule}${is === null ? ' (no samples)' : ` (${round(is)})`}`);
      }
    }
    return all;
  }
}

function parse(rule) {
  const found = /^\s*([a-z]+(?:\([\d.]+\))?)\s*(<=|>=|==|<|>)\s*([\d.]+)\s*$/.exec(rule);
  if (!found) throw new Error(`the stand-in for k6 cannot read the threshold ${rule}`);
  return [found[1], found[2], Number(found[3])];
}

const round = (value) => Math.round(value * 1000) / 1000;
