"""A trained model outside PyTorch: exported, quantised, described, and run by whatever runs it."""
