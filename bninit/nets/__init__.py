"""The networks: initial values, activations, normalization and stacks of equal-shaped networks."""
