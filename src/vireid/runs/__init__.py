"""What one does with a finished run: evaluate it, embed with it."""
