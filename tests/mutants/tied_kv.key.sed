# Missed bytes: the key that all heads share is not among those of a row of the cache.
s/ + rb_row_bytes(r->type_k, d \/ 2);/;/
