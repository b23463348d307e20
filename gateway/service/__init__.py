"""One file per unit: wiring, loop, signals. Values are moved between rooms here and nowhere else."""
