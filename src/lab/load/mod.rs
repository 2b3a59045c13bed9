//! The load driver: requests at set times or by users who pause, each answer read to its last byte.
