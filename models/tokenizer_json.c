/* stub. */
#include "tokenizer_parts.h"
rb_status rb_tokenizer_from_directory(rb_tokenizer **t, const char *path, rb_error *err){(void)t;(void)path; return rb_fail(err,RB_ERR_UNSUPPORTED,"x");}
