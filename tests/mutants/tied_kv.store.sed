# Missed bytes: the state is never written to the cache.
s/rb_op_kv_store(ex, 2, piece/rb_op_kv_store(ex, 1, piece/
