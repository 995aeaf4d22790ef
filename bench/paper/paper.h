/* Umbrella of bench/paper/: the arithmetic of re-measuring RooflineBench (arXiv 2602.11506). What
 * its code would have said (proxy.h), what it printed (data.h), its potential (phi.h), and a long
 * generation from a few contexts (integrate.h): pure functions over data. And what records say of
 * its claims, as a report (report.h). Nothing here times. Included by bench.h.
 * Read next: proxy.h. */
#ifndef RB_PAPER_H
#define RB_PAPER_H

#include "data.h"
#include "grid.h"
#include "integrate.h"
#include "note.h"
#include "phi.h"
#include "proxy.h"
#include "report.h"

#endif
