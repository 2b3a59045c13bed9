//! Reports: a pure function of a run and its analysis to HTML, Markdown and CSV.
