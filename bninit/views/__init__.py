"""What people see: progress, tables and pictures. Nothing here decides a number.

- `text`: how numbers are written, everywhere the same.
- `results`, `tables`: what came out; lists of runs, one run, and parameters, for the terminal.
- `progress`: a training while it runs.
- `palette`: colours, line styles and markers of arms, and the look of all pictures.
- `curves`: loss and accuracy over the epochs.

The numbers come from `bninit.analysis` and `bninit.nets.inventory`. matplotlib and pandas are
imported when a picture is drawn.
"""
