# Missed bytes: loads are not among those that the row says it moves.
s/chunks_issued(&c->t\[Y\], 1)/chunks_issued(\&c->t[Y], 0)/
