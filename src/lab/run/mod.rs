//! One run from plan to `run.json`: blocks in random order, samplers beside them, a file after each.
