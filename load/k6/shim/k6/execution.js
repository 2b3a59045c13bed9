// `k6/execution`: where in the test this is.
import { place } from './vu.js';

export default {
  scenario: {
    get name() {
      return place.scenario;
    },
    get iterationInTest() {
      return place.iteration;
    },
  },
  vu: {
    get idInTest() {
      return place.vu;
    },
    get iterationInInstance() {
      return place.own;
    },
  },
};
