// `k6/metrics`: metrics of the script's own.
import { emit } from './vu.js';

const metric = (type) =>
  class {
    constructor(name) {
      this.name = name;
    }
    add(value, tags) {
      emit(this.name, type, Number(value), tags);
    }
  };

export const Counter = metric('counter');
export const Gauge = metric('gauge');
export const Rate = metric('rate');
export const Trend = metric('trend');
