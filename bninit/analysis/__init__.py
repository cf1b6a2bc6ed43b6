"""What the runs mean: from recorded numbers to comparisons and verdicts.

The numerical heart takes arrays and plain values, and does no input or output:

- `inference`, `shares`: what one sample of per-seed differences says (mean, median; counts).
- `statistics`: means and paired differences with intervals, correction for several comparisons.
- `survival`: targets that some runs never reached (right-censored times).
- `pairing`: tidy tables of runs to arrays of paired cells.
- `measures`: spread and trend over the levels of an axis.
- `questions`: a claim as numbers: two sides, a measure, an expectation.
- `verdicts`: supported, contradicted or undecided, for all claims of a study at once.
- `sentences`: each verdict in words.
"""
