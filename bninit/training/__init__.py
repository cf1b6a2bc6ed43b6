"""The training: random streams, batches, optimisers, evaluation and the loop."""
