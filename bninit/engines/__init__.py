"""Where training runs: from jobs to stacks, on this machine."""
