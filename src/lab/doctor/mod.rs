//! The doctor: arithmetic on plans, configurations and claims, before anything is run.
