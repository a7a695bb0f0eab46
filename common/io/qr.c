#include "common/io/qr.h"

#include "common/base/buf.h"

#include <qrencode.h>

enum { quiet = 4, pixels = 232 };

/* The dark modules of a row, a stroke for each run of them. */
static void put_row(struct buf *b, const QRcode *q, int y)
{
    const unsigned char *row = q->data + (size_t)y * (size_t)q->width;
    for (int x = 0; x < q->width;) {
        int n = 0;
        while (x + n < q->width && row[x + n] & 1)
            n++;
        if (n)
            buf_printf(b, "M%d %dh%dv1h-%dz", x + quiet, y + quiet, n, n);
        x += n ? n : 1;
    }
}

const char *qr_svg(struct arena *a, const char *text, const char *label)
{
    struct buf b;
    QRcode *q = strlen(text) > qr_text_max ? NULL : QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    if (!q)
        return "";
    int side = q->width + 2 * quiet;
    buf_init(&b, a, 16 * 1024, qr_svg_max);
    buf_printf(&b,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
               "height=\"%d\" shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"%s\">"
               "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path fill=\"#000\" d=\"",
               side, side, pixels, pixels, label, side, side);
    for (int y = 0; y < q->width; y++)
        put_row(&b, q, y);
    buf_puts(&b, "\"/></svg>");
    buf_putc(&b, '\0');
    QRcode_free(q);
    return b.overflow ? "" : b.data;
}
