//! Two runs side by side: better, worse, or no measurable difference.
