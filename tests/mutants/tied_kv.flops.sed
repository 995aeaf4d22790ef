# A wrong closed form: scores and values of the core once, not of both.
s/4 \* d \* h \* s/2 * d * h * s/
