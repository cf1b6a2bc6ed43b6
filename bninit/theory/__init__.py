"""What a network does before training, worked out and not measured: the theory of wide layers.

Modules:
    functions: An activation and its slope as functions of numpy arrays.
    gaussian: Means of functions of Gaussian variables.
    mean_field: Length, slope and depth scales, layer by layer, of one input.
    batch_norm: How gradients grow under batch norm, by batch size.
    batch_kernel: What a layer does to the signals and gradients of a real mini-batch.
    prediction: All layers of a network, from the first to the output and back.
"""
