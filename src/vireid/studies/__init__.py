"""Questions beyond the paper's tables: robustness, scaling, tuning; each by one command."""
