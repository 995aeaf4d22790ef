/* Umbrella of kernels/: the only header that other folders include. Kernels and their primitives
 * stay inside; what leaves is views, costs, ops, the door and the proof. Start at ops.h for what
 * can be run, op.h for how it is counted. */
#ifndef RB_KERNELS_H
#define RB_KERNELS_H

#include "types.h"
#include "cost.h"
#include "op.h"
#include "register.h"
#include "launch.h"
#include "trace.h"
#include "ops.h"
#include "tables.h"
#include "cases.h"
#include "shaped.h"
#include "prove.h"

#endif
