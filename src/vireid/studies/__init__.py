"""Studies beyond the paper's tables: robustness, scaling and tuning, one command each."""
