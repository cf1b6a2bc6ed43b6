"""One room a verb: what it computes, and how that looks."""
