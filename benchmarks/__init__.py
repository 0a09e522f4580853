"""Speed and memory, printed as ratios of one run."""
