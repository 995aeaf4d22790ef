# A wrong closed form: the row does not say that it does a FLOP less.
s/\.saved = one, //
