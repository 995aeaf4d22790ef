/* The synthetic attention that losses of conversions were measured on: 4 layers, 128 wide, heads of
 * 16, 128 tokens; random weights, or such whose K and V have decaying singular values, with inputs
 * of which few directions matter. Read next: synthetic.c, test_attn_loss.c. */
#ifndef SYNTHETIC_H
#define SYNTHETIC_H

#include "../models/models.h"

enum { SYN_H = 128, SYN_HEADS = 8, SYN_D = 16, SYN_TOKENS = 128, SYN_LAYERS = 4 };

/* A llama of f32 weights; decay: singular values e^(-i/16) of [W_k; W_v], of the size that keeps
 * scores as large as random ones. To be closed. */
rb_model *synthetic_model(int64_t n_head_kv, bool decay);
/* [SYN_TOKENS][SYN_H] inputs of a layer's attention, of mean square 1. To be freed. */
double *synthetic_inputs(int64_t layer, bool decay);
/* Mean over layers of ||O' - O|| / ||O||, O what attention gives on those inputs. */
double synthetic_loss(const rb_model *converted, const rb_model *original, bool decay);

#endif
