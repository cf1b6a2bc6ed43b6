"""How fast training is on this machine, beside the loops that people write today.

Modules:
    work: Operations and bytes of a step, counted from shapes.
    case: What is trained: the shape of the network, the batch, and the data.
    contenders, torch_loops, stacks: Who trains it.
    check: Whether they all compute the same.
    measure: Their times, side by side.
    machine: What the machine can do at best.
    scaling: How time and memory grow.
"""
