"""Records, pixels and batches: from a data set's folder to the tensors a network is fed."""
