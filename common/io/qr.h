#ifndef IO_QR_H
#define IO_QR_H
/*
 * QR codes (ISO/IEC 18004, byte mode, level M) as SVG, made by libqrencode.  Threads: any; memory:
 * the arena's.
 */
#include "common/base/arena.h"

enum { qr_text_max = 2048, qr_svg_max = 128 * 1024 }; /* bytes */
/* One line of SVG with a light ground and the four modules of quiet around it, so that it can be
 * read in a dark page too.  `label`: its name for people who do not see it; "": none.  "" if the
 * text is longer than qr_text_max. */
const char *qr_svg(struct arena *a, const char *text, const char *label);
#endif
